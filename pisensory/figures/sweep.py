"""The figure of a sweep: means over seeds with their intervals, a panel a score."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from .style import colour, new_figure, styled

_MAX_PANELS = 4  # side by side
_TITLE = 60  # letters of all titles side by side


def sweep_figure(table: Mapping[str, Mapping[str, Any]]) -> Any:
    """Draw each row's mean, its 95 % interval as a bar, and the score of each seed as a dot.

    Args:
        table: name of the row -> name of the score -> its mean (`pisensory.sweep.Mean`).
    """
    scores = list(dict.fromkeys(score for means in table.values() for score in means))
    n_columns = min(_MAX_PANELS, len(scores))
    n_rows = -(-len(scores) // n_columns)
    with styled():
        height = 0.3 + n_rows * (0.7 + 0.21 * len(table))
        figure, grid = new_figure(height, n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
        for axes, score in zip(grid.flat, scores):
            _draw(axes, {name: means[score] for name, means in table.items() if score in means}, list(table))
            axes.set_title(textwrap.fill(score, _TITLE // n_columns), fontsize=10)
        for axes in grid.flat[len(scores) :]:
            axes.remove()
        # Intervals of few seeds may be wider than all that there is: what was measured decides what is shown.
        values = [value for means in table.values() for mean in means.values() for value in mean.values]
        low, high = min([0.0, *values]), max([0.0, *values])
        grid[0, 0].set_xlim(low - 0.04 * (high - low), high + 0.12 * (high - low) or 1)
        grid[0, 0].set_ylim(len(table) - 0.5, -0.5)
        figure.supxlabel("mean over seeds, its 95 % interval, and each seed", fontsize=10)
    return figure


def _draw(axes: Any, means: Mapping[str, Any], names: list[str]) -> None:
    for name, mean in means.items():
        row = names.index(name)
        if np.isfinite(mean.low):
            axes.plot([mean.low, mean.high], [row, row], color=colour(0), lw=2.2, alpha=0.35, solid_capstyle="butt")
        axes.plot(mean.values, [row] * len(mean.values), ls="none", marker="o", ms=3, color=colour(1), alpha=0.8)
        axes.plot([mean.mean], [row], marker="|", ms=9, mew=2.2, color=colour(0))
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
