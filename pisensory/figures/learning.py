"""Learning curves, from the run folders of training and cloning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import FileError, InputError
from ..files import PathLike, as_path
from ..runs import CONFIG, METRICS, read_metrics
from .style import MARKERS, colour, legend_above, new_figure, styled

_MAX_POINTS = 300
# What is drawn of scores, and below of losses: column -> what the legend calls it, and its style.
_LINES: tuple[dict[str, tuple[str, dict[str, Any]]], ...] = (
    {
        "mean": ("mean", {"lw": 1.2, "alpha": 0.7}),
        "max": ("max", {"lw": 0.9, "ls": ":"}),
        "held_out": ("held out", {"lw": 2}),
    },
    {"loss": ("", {"lw": 1.2, "alpha": 0.7}), "held_out_loss": ("", {"lw": 2})},
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """What one run has measured on its way.

    Attributes:
        name: what to call it.
        unit: what its lines count: "generation" or "round".
        columns: name of the column -> its numbers (line,), NaN where there is none.
    """

    name: str
    unit: str
    columns: dict[str, np.ndarray]


def read_curve(run_dir: PathLike, name: str | None = None) -> Curve:
    """Read the metrics of a run folder of `train` or `clone`, which may be going on.

    Raises FileError if the folder is no run, or has no line of metrics yet.
    """
    folder = as_path(run_dir)
    if not (folder / CONFIG).exists():
        state = "is not there" if not folder.exists() else "is not a run of pisensory"
        raise FileError(f"{folder} {state}: give the folder of a run of train or clone")
    rows = read_metrics(folder) if (folder / METRICS).exists() else []
    if not rows:
        raise FileError(f"{folder} has no line of metrics yet: wait for the first generation or round")
    columns = {column: np.array([float(row[column] or "nan") for row in rows]) for column in rows[0]}
    return Curve(name or folder.resolve().name, next(iter(columns)), columns)


def learning_curves(curves: Sequence[Curve], over_steps: bool = False) -> Any:
    """Draw scores over generations (rounds) and over wall time, and the loss of clones below.

    Args:
        curves: of the runs.
        over_steps: draw over environment steps, which all runs have in common, not over generations and rounds.

    Raises:
        InputError: if there is nothing to draw.
    """
    if not curves:
        raise InputError("learning curves need at least one run")
    losses = [curve for curve in curves if "loss" in curve.columns]
    with styled():
        height = (3.9 if not losses else 6.0) + 0.22 * len(curves)
        figure, axes = new_figure(height, 1 + bool(losses), 2, squeeze=False, sharex="col", sharey="row")
        longest = max(curve.columns["elapsed"][-1] for curve in curves)
        scale, unit = (3600, "hours") if longest > 7200 else (60, "minutes") if longest > 120 else (1, "seconds")
        for number, curve in enumerate(curves):
            counts = curve.columns["env_steps"] / 1e6 if over_steps else curve.columns[curve.unit]
            xs = (counts, curve.columns["elapsed"] / scale)
            for column, x in enumerate(xs):
                for row, lines in zip(axes[:, column], _LINES):
                    _draw(row, x, curve, number, lines)
        counted = " or ".join(f"{unit}s" for unit in dict.fromkeys(curve.unit for curve in curves))
        axes[-1, 0].set_xlabel("million environment steps" if over_steps else counted)
        axes[-1, 1].set_xlabel(f"wall time ({unit})")
        axes[0, 0].set_ylabel("return of an episode")
        if losses:
            axes[1, 0].set_ylabel("mean squared error\nof the action")
            axes[1, 0].set_yscale("log")
        legend_above(figure, axes[0, 0])
    return figure


def _draw(axes: Any, x: np.ndarray, curve: Curve, number: int, lines: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
    """Draw the columns that `lines` gives a label and a style, where the run has measured them."""
    for column, (label, style) in lines.items():
        values = curve.columns.get(column, np.empty(0))
        there = np.isfinite(values)
        if there.any():
            xs, ys = _thin(x[there], values[there])
            marker = MARKERS[number % len(MARKERS)] if "held_out" in column else ""
            axes.plot(
                xs, ys, color=colour(number), label=f"{curve.name}: {label}" if label else "", **style, marker=marker,
                markersize=5, markevery=max(1, len(xs) // 12),
            )  # fmt: skip


def _thin(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points averaged in groups, so that at most _MAX_POINTS are left."""
    if len(x) <= _MAX_POINTS:
        return x, values
    groups = np.array_split(np.arange(len(x)), _MAX_POINTS)
    return tuple(np.array([array[group].mean() for group in groups]) for array in (x, values))  # type: ignore[return-value]
