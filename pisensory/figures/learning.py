"""Learning curves, of what runs of training and cloning have measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..runs.metrics import COLUMNS
from .curves import Curve
from .style import MARKERS, colour, new_figure, styled

DEFAULT_METRICS = ("mean", "max", "held_out", "loss", "held_out_loss")
_MAX_POINTS = 300
_LETTERS = 100  # of the labels side by side in the legend
_X = ("generation", "round", "env_steps", "elapsed")
_THIN, _THICK = {"lw": 1.2, "alpha": 0.7}, {"lw": 2.0}


class _Panel(NamedTuple):
    """Axes of their own: what stands beside them, whether they are logarithmic, and column -> style of its line."""

    label: str
    log: bool
    lines: dict[str, dict[str, Any]]


_SCORES = _Panel(
    "return of an episode", False,
    {"mean": _THIN, "max": {"lw": 0.9, "ls": ":"}, "max_overall": {"lw": 0.9, "ls": "--"}, "held_out": _THICK},
)  # fmt: skip
_LOSSES = _Panel(
    "mean squared error\nof the action", True,
    {"loss": _THIN, "identify_loss": {"lw": 1.2, "ls": "--"}, "held_out_loss": _THICK},
)  # fmt: skip
_LOGARITHMIC = ("sigma", "learning_rate")


def learning_curves(curves: Sequence[Curve], over_steps: bool = False, metrics: Sequence[str] = DEFAULT_METRICS) -> Any:
    """Draw scores over generations (rounds) and over wall time, and other metrics in panels below.

    Of a mean over several runs there is a band from the lowest to the highest.

    Args:
        curves: of the runs.
        over_steps: draw over environment steps, which all runs have in common, not over generations and rounds.
        metrics: columns of metrics.csv to draw, where runs have them.

    Raises:
        InputError: if there is nothing to draw, or no run has one of the metrics that was asked for.
    """
    if not curves:
        raise InputError("learning curves need at least one run")
    there = list(dict.fromkeys(column for curve in curves for column in curve.columns if column not in _X))
    for metric in metrics:
        if metric not in there and metrics is not DEFAULT_METRICS:
            raise InputError(f"metrics must be of what these runs measure, {', '.join(there)}; got {metric!r}")
    panels = _panels([metric for metric in metrics if metric in there])
    trainings = list(dict.fromkeys(curve.training or curve.name for curve in curves))
    with styled():
        height = 1.8 + 2.1 * len(panels) + 0.12 * len(curves) * max(len(panel.lines) for panel in panels)
        figure, axes = new_figure(height, len(panels), 2, squeeze=False, sharex="col", sharey="row")
        longest = max(curve.columns["elapsed"][-1] for curve in curves)
        scale, unit = (3600, "hours") if longest > 7200 else (60, "minutes") if longest > 120 else (1, "seconds")
        for number, curve in enumerate(curves):
            color = colour(trainings.index(curve.training or curve.name) if len(trainings) > 1 else number)
            marker = MARKERS[number % len(MARKERS)]
            counts = curve.columns["env_steps"] / 1e6 if over_steps else curve.columns[curve.unit]
            for column, x in enumerate((counts, curve.columns["elapsed"] / scale)):
                for row, panel in zip(axes[:, column], panels):
                    _draw(row, x, curve, color, marker, panel.lines)
        counted = " or ".join(f"{unit}s" for unit in dict.fromkeys(curve.unit for curve in curves))
        axes[-1, 0].set_xlabel("million environment steps" if over_steps else counted)
        axes[-1, 1].set_xlabel(f"wall time ({unit})")
        for row, panel in zip(axes[:, 0], panels):
            row.set_ylabel(panel.label)
            row.set_yscale("log" if panel.log else "linear")
        handles = {text: line for row in axes[:, 0] for line, text in zip(*row.get_legend_handles_labels())}
        side_by_side = max(1, min(3, _LETTERS // (6 + max(map(len, handles), default=1))))
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=side_by_side)
    return figure


def _panels(metrics: Sequence[str]) -> list[_Panel]:
    """Return the panels that metrics need: one for scores, one for losses, and one for each other."""
    # Columns that all runs do not have are the scores of a task's parts.
    known = {name for columns in COLUMNS.values() for name in columns}
    parts = {name: {"lw": 1.4, "ls": "-."} for name in metrics if name not in known}
    panels = [_SCORES._replace(lines={**_SCORES.lines, **parts}), _LOSSES]
    shared = {name for panel in panels for name in panel.lines}
    others = [_Panel(_words(name), name in _LOGARITHMIC, {name: _THIN}) for name in metrics if name not in shared]
    chosen = [
        panel._replace(lines={name: style for name, style in panel.lines.items() if name in metrics})
        for panel in (*panels, *others)
    ]
    return [panel for panel in chosen if panel.lines]


def _words(column: str) -> str:
    return column.replace("_", " ")


def _draw(axes: Any, x: np.ndarray, curve: Curve, color: str, marker: str, lines: dict[str, dict[str, Any]]) -> None:
    """Draw the columns that `lines` gives a style, where the run has measured them."""
    for column, style in lines.items():
        values = curve.columns.get(column, np.empty(0))
        there = np.isfinite(values)
        if not there.any():
            continue
        xs, ys = _thin(x[there]), _thin(values[there])
        axes.plot(
            xs, ys, color=color, label=f"{curve.name}: {_words(column)}", **style, markersize=5,
            marker=marker if "held_out" in column else "", markevery=max(1, len(xs) // 12),
        )  # fmt: skip
        if column in curve.low:
            low, high = _thin(curve.low[column][there]), _thin(curve.high[column][there])
            axes.fill_between(xs, low, high, color=color, alpha=0.15, lw=0)


def _thin(values: np.ndarray) -> np.ndarray:
    """Return numbers averaged in groups, so that at most _MAX_POINTS are left."""
    if len(values) <= _MAX_POINTS:
        return values
    return np.array([group.mean() for group in np.array_split(values, _MAX_POINTS)])
