"""Figures of what goes on inside an invariant policy: each returns (alternative text, figure)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .style import INK, MARKERS, PALETTE, SOFT, bar_beside, colour, diverging, legend_above, new_figure

Drawn = tuple[str, Any]
_STEPS = "step (0.01 s)"


def draw_latent(model: str, data: dict[str, Any]) -> Drawn:
    """Draw the latent code over an episode, with the inputs in order above and shuffled below."""
    figure, axes = new_figure(4.6, 2, sharex=True)
    image = None
    for row, (key, title) in enumerate((("in_order", "inputs in order"), ("shuffled", "inputs shuffled"))):
        image = axes[row].imshow(
            np.array(data[key]).T, cmap=diverging(), vmin=-1, vmax=1, aspect="auto", interpolation="nearest"
        )
        axes[row].set_title(title, fontsize=10)
        axes[row].set_ylabel("channel")
        axes[row].grid(visible=False)
    axes[1].set_xlabel(_STEPS)
    difference = data["largest_difference"]
    found = "the episodes are not of one length" if difference is None else f"largest difference: {difference:g}"
    axes[0].set_title(f"{model}, {found}", loc="right", fontsize=10, fontweight="normal")
    bar_beside(figure, image, axes, "latent code")
    return f"The latent code of {model} over one episode, with inputs in order and shuffled; {found}", figure


def draw_attention(model: str, data: dict[str, Any]) -> Drawn:
    """Draw the mean absolute attention to each input over an episode, and all of it at one step."""
    figure, axes = new_figure(4.9, 2, height_ratios=(3, 2))
    series = np.array(data["mean_absolute"])
    window = 5
    smooth = np.apply_along_axis(np.convolve, 0, series, np.ones(window) / window, mode="valid")
    for number, name in enumerate(data["inputs"]):
        every = max(1, len(smooth) // 12)
        axes[0].plot(
            smooth[:, number], color=colour(number), label=name, lw=1.3, marker=MARKERS[number], markersize=4,
            markevery=(number * every // len(data["inputs"]), every),
        )  # fmt: skip
    axes[0].axvline(data["step"], color=SOFT, lw=1, ls=":")
    axes[0].set(xlabel=_STEPS, ylabel="mean |attention|", ylim=(0, 1.05), xlim=(0, len(smooth)))
    axes[0].set_title(model, fontsize=10)
    image = axes[1].imshow(np.array(data["at_step"]), cmap=diverging(), vmin=-1, vmax=1, aspect="auto")
    axes[1].set_yticks(range(len(data["inputs"])), data["inputs"])
    axes[1].set_xticks(range(len(data["at_step"][0])))
    axes[1].set(xlabel="channel of the latent code")
    axes[1].set_title(f"attention at step {data['step']}", fontsize=10)
    axes[1].grid(visible=False)
    bar_beside(figure, image, axes[1], "attention")
    legend_above(figure, axes[0], 5)
    means = ", ".join(f"{name} {value:.2f}" for name, value in zip(data["inputs"], series.mean(axis=0)))
    return f"Attention of {model} to each input over one episode; mean absolute attention: {means}", figure


def draw_recovery(model: str, data: dict[str, Any]) -> Drawn:
    """Draw the reward and the distance of the latent code around a reshuffle."""
    figure, axes = new_figure(4.6, 2, sharex=True)
    steps = np.arange(*data["steps"])
    axes[0].plot(steps, data["reward_alone"], color=PALETTE[1], ls="--", label="never reshuffled")
    axes[0].plot(steps, data["reward_reshuffled"], color=PALETTE[0], label="reshuffled at step 0")
    axes[0].set(ylabel="mean reward a step", ylim=(0, 1.05))
    axes[0].set_title(f"{model}, mean of {data['episodes']} episodes", fontsize=10)
    distance = np.where(steps >= 0, 100 * np.array(data["latent_distance"]), np.nan)
    axes[1].plot(steps, distance, color=PALETTE[0])
    axes[1].axhline(5, color=SOFT, lw=1, ls=":")
    axes[1].annotate("5 %", (steps[0], 5), xytext=(2, 3), textcoords="offset points", fontsize=9)
    axes[1].set(xlabel="steps since the reshuffle (0.01 s each)", ylabel="latent code:\ndistance (%)")
    axes[1].set_ylim(bottom=0)
    recovered = data["steps_to_recover"]
    text = f"not within 5 % in {data['steps'][1]} steps" if recovered is None else f"within 5 % after {recovered} steps"
    if recovered:
        axes[1].axvline(recovered, color=INK, lw=1.2)
    axes[1].set_title(text, fontsize=10)
    for row in axes:
        row.axvline(0, color=SOFT, lw=1)
        row.set_xlim(steps[0], steps[-1])
    legend_above(figure, axes[0], 2)
    return f"Reward and latent code of {model} around a reshuffle: the latent code is {text}", figure
