"""Figures of scores: each takes the scores of a study and returns (alternative text, figure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .style import INK, MARKERS, PALETTE, PAPER, SOFT, bar_beside, colour, legend_above, new_figure, sequential

Score = dict[str, Any]
Drawn = tuple[str, Any]

_RETURN = "mean return of an episode"
_NOISE = "noise inputs beside the five (white, deviation 0.1)"
_KIND_NAMES = {
    "white": "white (new at every step)", "constant": "constant (one draw an episode)",
    "walk": "slow random walk", "copy": "copy of an input + white noise",
}  # fmt: skip
# The halves of a violin: left or above, right or below.
_SIDES = {-1: (PALETTE[0], "inputs in order"), 1: (PALETTE[4], "shuffled")}


def group(scores: Iterable[Score], key: Callable[[Score], str]) -> dict[str, list[Score]]:
    """Return scores by what `key` says of them, in the order in which that first appears."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(key(score), []).append(score)
    return groups


def _title(score: Score) -> str:
    return f"{score['model']} ({score['task_label']})"


def _draw_lines(
    scores: list[Score], line: Callable[[Score], str], x: Callable[[Score], Any], xlabel: str, **scale: Any
) -> tuple[Any, Any]:
    """Draw the mean returns with their 95 % intervals against `x`, a line for each that `line` names.

    Returns the figure and its axes.
    """
    lines = group(scores, line)
    figure, axes = new_figure(3.6 + 0.22 * ((len(lines) + 1) // 2))
    places = list(dict.fromkeys(map(x, scores)))
    positions = dict(zip(places, range(len(places)) if isinstance(places[0], str) else places))
    for number, (label, found) in enumerate(lines.items()):
        style = {"marker": MARKERS[number % len(MARKERS)], "color": colour(number), "markersize": 5}
        xs = [positions[x(score)] for score in found]
        mean, low, high = (
            np.array([score[name] for score in found], float) for name in ("mean", "interval_low", "interval_high")
        )
        axes.plot(xs, mean, label=label, **style)
        axes.fill_between(xs, low, high, color=style["color"], alpha=0.18, lw=0)
    if scale:
        axes.set_xscale(**scale)
    axes.set_xticks(list(positions.values()), [place if isinstance(place, str) else f"{place:g}" for place in places])
    axes.minorticks_off()
    axes.set(xlabel=xlabel, ylabel=_RETURN)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    return figure, axes


def draw_reshuffling(scores: list[Score]) -> Drawn:
    """Draw the return against the steps between two reshuffles, a line a model."""
    figure, axes = _draw_lines(
        scores, _title, lambda score: score["key"].removeprefix("every "), "steps between two reshuffles"
    )
    legend_above(figure, axes, 2)
    return "Mean return against the number of steps between two reshuffles, for each model", figure


def draw_noise_features(scores: list[Score]) -> Drawn:
    """Draw the returns with 0 to 25 noise inputs as violins, a row a model: left in order, right shuffled."""
    models = group(scores, lambda score: score["model"])
    figure, rows = new_figure(0.9 + 2.0 * len(models), len(models), 1, squeeze=False, sharex=True)
    counts = list(dict.fromkeys(score["n_noise"] for score in scores))
    for axes, (model, found) in zip(rows[:, 0], models.items()):
        for score in found:
            centre, side = counts.index(score["n_noise"]), 1 if score["shuffle"] else -1
            returns = np.array(score["returns"])
            grid, density = _density(returns)
            axes.fill_betweenx(grid, centre, centre + side * 0.33 * density, color=_SIDES[side][0], alpha=0.75, lw=0)
            axes.plot([centre, centre + side * 0.33], [returns.mean()] * 2, color=INK, lw=2)
            if score["shuffle"]:
                axes.annotate(f"{returns.mean():.0f}", (centre + 0.36, returns.mean()), va="center", fontsize=8)
        axes.set_title(model, fontsize=10)
        axes.set(ylim=(0, 1015), xlim=(-0.5, len(counts) - 0.35))
        axes.grid(axis="x", visible=False)
    rows[-1, 0].set_xticks(range(len(counts)), counts)
    rows[-1, 0].set_xlabel(_NOISE)
    figure.supylabel("return of an episode (v1)", fontsize=10)
    _label_sides(rows[0, 0])
    legend_above(figure, rows[0, 0], 3)
    means = "; ".join(
        f"{model}: {found[0]['mean']:.0f} with none, {found[-1]['mean']:.0f} with {found[-1]['n_noise']}, shuffled"
        for model, found in models.items()
    )
    return f"Distribution of returns on v1 with 0 to 25 noise inputs, in order and shuffled. Means: {means}", figure


def draw_noise_inputs(scores: list[Score]) -> Drawn:
    """Draw the return against up to a thousand noise inputs, a line a model."""
    scale = {"value": "symlog", "linthresh": 1, "linscale": 0.5}
    figure, axes = _draw_lines(scores, _title, lambda score: score["n_noise"], _NOISE, **scale)
    legend_above(figure, axes, 2)
    return "Mean return against the number of noise inputs, up to 1000, for each model", figure


def draw_delay(scores: list[Score], plain: float) -> Drawn:
    """Draw the return against the delay of one input, a panel an input, for one model."""
    inputs = group(scores, lambda score: score["label"].split(", ")[0])
    figure, row = new_figure(2.9, 1, len(inputs), squeeze=False, sharey=True)
    for axes, (name, found) in zip(row[0], inputs.items()):
        delays = [score["delay"] for score in found]
        axes.axhline(plain, color=INK, lw=1.2, ls="--", label="no delay")
        axes.plot(delays, [score["mean"] for score in found], "o-", color=PALETTE[0], markersize=4, label="delayed")
        low, high = ([score[name] for score in found] for name in ("interval_low", "interval_high"))
        axes.fill_between(delays, low, high, color=PALETTE[0], alpha=0.18, lw=0, label="95 % interval")
        axes.set_title(name, fontsize=10)
        axes.set_xticks(sorted({1, (1 + max(delays)) // 2, max(delays)}))
    row[0, 0].set(ylabel=_RETURN, ylim=(min(0, *(score["mean"] for score in scores)), None))
    figure.supxlabel(f"delay of this one input of {_title(scores[0])}, steps of 0.01 s", fontsize=10)
    legend_above(figure, row[0, 0], 3)
    return f"Mean return of {scores[0]['model']} against the delay of one input, for each of the five", figure


def draw_noise_kinds(scores: list[Score], plain: float) -> Drawn:
    """Draw the return against the size of five noise inputs, a line a kind of noise, for one model."""
    figure, axes = _draw_lines(
        scores, lambda score: _KIND_NAMES[score["noise_kind"]], lambda score: score["noise_std"],
        "standard deviation of the five noise inputs", value="log",
    )  # fmt: skip
    _finish_one(figure, axes, scores, plain, "no noise inputs", 3)
    return f"Mean return of {scores[0]['model']} against the size of five noise inputs, for four kinds of noise", figure


def _finish_one(figure: Any, axes: Any, scores: list[Score], plain: float, label: str, n_columns: int) -> None:
    """Add to a figure of one model its score with nothing done to its inputs, its name, and a legend."""
    axes.axhline(plain, color=INK, lw=1.2, ls="--", label=label)
    axes.set_title(_title(scores[0]), fontsize=10)
    legend_above(figure, axes, n_columns)


def draw_shuffling(scores: list[Score]) -> Drawn:
    """Draw the returns of each model as a violin: above its line in order, below it shuffled."""
    models = group(scores, lambda score: score["model"])
    figure, axes = new_figure(1.5 + 0.72 * len(models))
    for centre, found in zip(range(len(models) - 1, -1, -1), models.values()):
        for score, side in zip(found, (1, -1)):
            returns = np.array(score["returns"])
            grid, density = _density(returns)
            axes.fill_between(grid, centre, centre + side * 0.42 * density, color=_SIDES[-side][0], alpha=0.75, lw=0)
            mean = returns.mean()
            axes.plot([mean, mean], [centre, centre + side * 0.42], color=INK, lw=2)
            axes.annotate(
                f"{mean:.0f}", (mean, centre + side * 0.24), xytext=(6 if mean < 880 else -6, 0),
                textcoords="offset points", ha="left" if mean < 880 else "right", va="center", fontsize=9,
                bbox={"facecolor": PAPER, "alpha": 0.75, "linewidth": 0, "pad": 1},
            )  # fmt: skip
        axes.axhline(centre, color=SOFT, lw=0.6)
    _label_sides(axes)
    axes.set_yticks(range(len(models)), list(models)[::-1])
    axes.set(xlabel="return of an episode (v1)", ylim=(-0.6, len(models) - 0.4), xlim=(-15, 1015))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    legend_above(figure, axes, 3)
    means = "; ".join(
        f"{model}: {found[0]['mean']:.0f} in order, {found[1]['mean']:.0f} shuffled" for model, found in models.items()
    )
    return f"Distribution of returns on v1, in order and shuffled. Means: {means}", figure


def _label_sides(axes: Any) -> None:
    """Have the legend of the axes explain the halves of violins."""
    for shade, label in _SIDES.values():
        axes.fill_between([], [], color=shade, alpha=0.75, lw=0, label=label)
    axes.plot([], [], color=INK, lw=2, label="mean")


def _density(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel estimate of the density of returns, at most 1, on a grid over what they can be.

    Gaussian kernels with the bandwidth of Silverman, "Density Estimation", 1986, equation 3.31, but no narrower
    than 6, so that returns that are all alike still make a mark.
    """
    q1, q3 = np.quantile(returns, [0.25, 0.75])
    spread = min(returns.std(), (q3 - q1) / 1.34) or returns.std()
    width = max(6.0, 0.9 * spread * len(returns) ** -0.2)
    grid = np.linspace(max(0, returns.min() - 3 * width), min(1000, returns.max() + 3 * width), 400)
    density = np.exp(-0.5 * ((grid[:, None] - returns) / width) ** 2).sum(axis=1)
    return grid, density / density.max()


def draw_dropped(scores: list[Score], plain: float) -> Drawn:
    """Draw a table of the return without each input (diagonal) and each pair of inputs, for one model."""
    alone = {score["dropped"][0]: score for score in scores if len(score["dropped"]) == 1}
    names = [score["label"] for score in alone.values()]
    values = np.full((len(names), len(names)), np.nan)
    for score in scores:
        values[score["dropped"][-1], score["dropped"][0]] = score["mean"]
    figure, axes = new_figure(3.9)
    top = max(plain, np.nanmax(values), 1.0)
    image = axes.imshow(values, cmap=sequential(), vmin=min(0, np.nanmin(values)), vmax=top, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontweight="bold" if row == column else None,
                color=PAPER if value > 0.6 * top else INK,
            )  # fmt: skip
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{_title(scores[0])}: {plain:.0f} with all inputs", fontsize=10)
    axes.set(xlabel="input that reads 0", ylabel="and one more that does")
    bar_beside(figure, image, axes, _RETURN)
    worst = min(alone.values(), key=lambda score: score["mean"])
    return (
        f"Mean return of {scores[0]['model']} without each input and pair of inputs; the single loss that costs most "
        f"is {worst['label']}: {worst['mean']:.0f}",
        figure,
    )
