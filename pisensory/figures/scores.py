"""Figures of scores: each takes the scores of a study and returns (alternative text, figure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tasks.cartpole import FEATURES
from .style import INK, MARKERS, PALETTE, PAPER, SOFT, colour, new_figure, sequential

Scores = Sequence[dict[str, Any]]
Drawn = tuple[str, Any]

_RETURN = "mean return of an episode"
_KIND_NAMES = {
    "white": "white (new at every step)", "constant": "constant (one draw an episode)",
    "walk": "slow random walk", "copy": "copy of an input + white noise",
}  # fmt: skip


def _by_model(scores: Scores) -> dict[str, list[dict[str, Any]]]:
    models: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        models.setdefault(score["model"], []).append(score)
    return models


def _draw_line(axes: Any, xs: Any, scores: Scores, number: int, label: str, **style: Any) -> None:
    """Draw means with their 95 % intervals."""
    means = np.array([np.nan if score["mean"] is None else score["mean"] for score in scores])
    low, high = ([score[name] for score in scores] for name in ("interval_low", "interval_high"))
    settings = {"marker": MARKERS[number % len(MARKERS)], "color": colour(number), "markersize": 5, **style}
    axes.plot(xs, means, label=label, **settings)
    if None not in low:
        axes.fill_between(xs, np.array(low, float), np.array(high, float), color=settings["color"], alpha=0.18, lw=0)


def _legend_above(figure: Any, axes: Any, n_columns: int = 3) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(n_columns, len(labels)))


def _task_name(score: dict[str, Any]) -> str:
    task = score["task"]
    return str(task.get("version", task["kind"] if "env" not in task else task["env"]))


def draw_reshuffling(scores: Scores) -> Drawn:
    """Draw the return against the steps between two reshuffles, a line a model."""
    labels = list(dict.fromkeys(score["key"].removeprefix("every ") for score in scores))
    figure, axes = _draw_models(scores, lambda score: labels.index(score["key"].removeprefix("every ")))
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel("steps between two reshuffles")
    return "Mean return against the number of steps between two reshuffles, for each model", figure


def draw_noise_features(scores: Scores) -> Drawn:
    """Draw the return against 0 to 25 noise inputs, with the inputs in order and shuffled."""
    models = _by_model(scores)
    figure, axes = new_figure(3.6 + 0.22 * len(models))
    for number, (model, found) in enumerate(models.items()):
        for shuffle in (False, True):
            some = [score for score in found if score["shuffle"] == shuffle]
            style = {"linestyle": "none", "marker": "x", "color": INK, "markersize": 9} if shuffle else {}
            label = f"{model}, {'shuffled' if shuffle else 'in order'}"
            _draw_line(axes, [score["n_noise"] for score in some], some, number, label, **style)
    axes.set_xticks(sorted({score["n_noise"] for score in scores}))
    axes.set(xlabel="noise inputs beside the five (white, deviation 0.1)", ylabel=f"{_RETURN} (v1)", ylim=(0, 1000))
    _legend_above(figure, axes, 2)
    return "Mean return on v1 against 0 to 25 noise inputs, in order and shuffled", figure


def draw_noise_inputs(scores: Scores) -> Drawn:
    """Draw the return against up to a thousand noise inputs, a line a model."""
    figure, axes = _draw_models(scores, lambda score: score["n_noise"], "symlog", linthresh=1, linscale=0.5)
    axes.set_xticks(
        [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
        ["0", "1", "2", "5", "10", "20", "50", "100", "200", "500", "1000"],
    )
    axes.minorticks_off()
    axes.set_xlabel("noise inputs beside the five (white, deviation 0.1)")
    return "Mean return against the number of noise inputs, up to 1000, for each model", figure


def _draw_models(
    scores: Scores, position: Callable[[dict[str, Any]], float], scale: str = "linear", **settings: Any
) -> tuple[Any, Any]:
    """Draw the return against a position of each score, a line a model; return the figure and its axes."""
    models = _by_model(scores)
    figure, axes = new_figure(3.6 + 0.22 * ((len(models) + 1) // 2))
    for number, (model, found) in enumerate(models.items()):
        _draw_line(axes, [position(score) for score in found], found, number, f"{model} ({_task_name(found[0])})")
    axes.set_xscale(scale, **settings)
    axes.set_ylabel(_RETURN)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    _legend_above(figure, axes, 2)
    return figure, axes


def draw_shuffling(scores: Scores) -> Drawn:
    """Draw the returns of each model as a violin: above its line in order, below it shuffled."""
    models = _by_model(scores)
    figure, axes = new_figure(1.5 + 0.72 * len(models))
    for number, found in enumerate(models.values()):
        for score, side, shade in zip(found, (1, -1), (PALETTE[0], PALETTE[4])):
            returns = np.array(score["returns"])
            grid, density = _density(returns)
            centre = len(models) - 1 - number
            axes.fill_between(grid, centre, centre + side * 0.42 * density, color=shade, alpha=0.75, lw=0)
            mean = returns.mean()
            axes.plot([mean, mean], [centre, centre + side * 0.42], color=INK, lw=2)
            axes.annotate(
                f"{mean:.0f}", (mean, centre + side * 0.24), xytext=(6 if mean < 880 else -6, 0),
                textcoords="offset points", ha="left" if mean < 880 else "right", va="center", fontsize=9,
                bbox={"facecolor": PAPER, "alpha": 0.75, "linewidth": 0, "pad": 1},
            )  # fmt: skip
        axes.axhline(len(models) - 1 - number, color=SOFT, lw=0.6)
    for shade, label in ((PALETTE[0], "inputs in order"), (PALETTE[4], "shuffled")):
        axes.fill_between([], [], color=shade, alpha=0.75, lw=0, label=label)
    axes.plot([], [], color=INK, lw=2, label="mean")
    axes.set_yticks(range(len(models)), list(models)[::-1])
    axes.set(xlabel="return of an episode (v1)", ylim=(-0.6, len(models) - 0.4), xlim=(-15, 1015))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    _legend_above(figure, axes)
    means = "; ".join(
        f"{model}: {found[0]['mean']:.0f} in order, {found[1]['mean']:.0f} shuffled" for model, found in models.items()
    )
    return f"Distribution of returns on v1, in order and shuffled. Means: {means}", figure


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


def draw_dropped(scores: Scores, plain: float) -> Drawn:
    """Draw a table of the return without each input (diagonal) and each pair of inputs, for one model."""
    size = len(FEATURES)
    values = np.full((size, size), np.nan)
    for score in scores:
        first, last = score["dropped"][0], score["dropped"][-1]
        values[last, first] = score["mean"]
    figure, axes = new_figure(3.9)
    top = max(plain, np.nanmax(values), 1.0)
    image = axes.imshow(values, cmap=sequential(), vmin=min(0, np.nanmin(values)), vmax=top, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontweight="bold" if row == column else None,
                color="#ffffff" if value > 0.6 * top else "#1b1a18",
            )  # fmt: skip
    axes.set_xticks(range(size), FEATURES)
    axes.set_yticks(range(size), FEATURES)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{scores[0]['model']} ({_task_name(scores[0])}): {plain:.0f} with all inputs", fontsize=10)
    axes.set(xlabel="input that reads 0", ylabel="and one more that does")
    bar = figure.colorbar(image, ax=axes, label=_RETURN, pad=0.02)
    bar.outline.set_visible(False)
    worst = min(scores, key=lambda score: score["mean"] if len(score["dropped"]) == 1 else np.inf)
    return (
        f"Mean return of {scores[0]['model']} without each input and pair of inputs; the single loss that costs most "
        f"is {worst['label']}: {worst['mean']:.0f}",
        figure,
    )


def draw_delay(scores: Scores, plain: float) -> Drawn:
    """Draw the return against the delay of one input, a line an input, for one model."""
    figure, axes = new_figure(3.7)
    for number, name in enumerate(FEATURES):
        found = [score for score in scores if score["input"] == name]
        _draw_line(axes, [score["delay"] for score in found], found, number, name)
    axes.axhline(plain, color=INK, lw=1.2, ls="--", label="no delay")
    axes.set_xticks(sorted({score["delay"] for score in scores}))
    axes.set(xlabel="delay of this one input (steps of 0.01 s)", ylabel=_RETURN)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_title(f"{scores[0]['model']} ({_task_name(scores[0])})", fontsize=10)
    _legend_above(figure, axes, 6)
    return f"Mean return of {scores[0]['model']} against the delay of one input, for each of the five", figure


def draw_noise_kinds(scores: Scores, plain: float) -> Drawn:
    """Draw the return against the size of five noise inputs, a line a kind of noise, for one model."""
    figure, axes = new_figure(3.9)
    kinds = list(dict.fromkeys(score["kind"] for score in scores))
    for number, kind in enumerate(kinds):
        found = [score for score in scores if score["kind"] == kind]
        _draw_line(axes, [score["noise_std"] for score in found], found, number, _KIND_NAMES[kind])
    axes.axhline(plain, color=INK, lw=1.2, ls="--", label="no noise inputs")
    sizes = sorted({score["noise_std"] for score in scores})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.set(xlabel="standard deviation of the five noise inputs", ylabel=_RETURN)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_title(f"{scores[0]['model']} ({_task_name(scores[0])})", fontsize=10)
    _legend_above(figure, axes, 3)
    return f"Mean return of {scores[0]['model']} against the size of five noise inputs, for four kinds of noise", figure
