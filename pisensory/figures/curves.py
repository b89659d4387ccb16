"""What runs have measured on their way: of one, of its stages end to end, and of several that differ in their seeds."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..files import PathLike, as_path
from ..runs import CONFIG, METRICS, RECIPE, read_config, read_metrics
from ..runs.folder import CLONE, EVOLVE, TEACHER


@dataclasses.dataclass(frozen=True)
class Curve:
    """What one run has measured on its way, or several as their mean.

    Attributes:
        name: what to call it.
        unit: what its lines count: "generation" or "round".
        columns: name of the column -> its numbers (line,), NaN where there is none.
        low, high: of several runs, the lowest and the highest number of each, likewise.
        training: what its stages have in common, and are drawn in one colour by where there are other trainings.
    """

    name: str
    unit: str
    columns: dict[str, np.ndarray]
    low: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    high: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    training: str = ""


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


def read_stages(run_dir: PathLike) -> dict[str, Curve]:
    """Read the stages of a run that have begun, by their names: "teacher", "clone", "evolve"; "" where there are none.

    Raises FileError if the folder is no run, or has no line of metrics yet.
    """
    folders = _stage_folders(as_path(run_dir))
    begun = {stage: folder for stage, folder in folders.items() if (folder / METRICS).exists() and read_metrics(folder)}
    return {stage: read_curve(folder) for stage, folder in (begun or dict([*folders.items()][:1])).items()}


def _stage_folders(folder: Path) -> dict[str, Path]:
    if (folder / RECIPE).exists():
        return {TEACHER: folder / TEACHER, CLONE: folder / CLONE, EVOLVE: folder}
    if (folder / EVOLVE / CONFIG).exists():
        return {CLONE: folder, EVOLVE: folder / EVOLVE}
    return {"": folder}


def settings_but_seed(run_dir: PathLike) -> str:
    """Return all that a run was begun with but its seed, as text: runs of which it is the same differ in that alone."""
    folder = as_path(run_dir)
    if (folder / RECIPE).exists():
        return _text(read_config(folder, RECIPE), "seed")
    first, *later = (read_config(stage) for stage in _stage_folders(folder).values())
    # What a later stage begins with came of the ones before.
    return "\n".join([_text(first, "seed"), *(_text(config, "seed", "init") for config in later)])


def _text(config: dict[str, Any], *left_out: str) -> str:
    training = {name: value for name, value in config["training"].items() if name not in left_out}
    return json.dumps({**config, "training": training}, sort_keys=True)


def join_stages(runs: Sequence[dict[str, Curve]], name: str) -> list[Curve]:
    """Return the stages of runs end to end: what they count, their steps and their seconds add up.

    Args:
        runs: the stages of each, as `read_stages` has them. Of several each stage is their mean, as far as all have
            got; it begins where, in the mean, those before have ended.
        name: what to call them; the stage's own name follows.
    """
    joined, before = [], dict.fromkeys(("count", "env_steps", "elapsed"), 0.0)
    for stage in runs[0]:
        if not all(stage in run for run in runs):
            break
        curves = [run[stage] for run in runs]
        mean = _mean(curves)
        columns = dict(mean.columns)
        for added, column in (("count", mean.unit), ("env_steps", "env_steps"), ("elapsed", "elapsed")):
            columns[column] = columns[column] + before[added]
            before[added] += float(np.mean([curve.columns[column][-1] for curve in curves]))
        named = ", ".join(filter(None, (name, stage)))
        joined.append(dataclasses.replace(mean, name=named, columns=columns, training=name))
    return joined


def _mean(curves: list[Curve]) -> Curve:
    """Return the mean of curves, line by line, where all have one."""
    first = curves[0]
    if len(curves) == 1:
        return first
    numbers = functools.reduce(np.intersect1d, [curve.columns[first.unit] for curve in curves])
    rows = [np.isin(curve.columns[first.unit], numbers) for curve in curves]
    columns = {
        column: np.stack([curve.columns[column][row] for curve, row in zip(curves, rows)])
        for column in first.columns
        if all(column in curve.columns for curve in curves)
    }
    mean, low, high = (
        {column: reduce(values, axis=0) for column, values in columns.items()} for reduce in (np.mean, np.min, np.max)
    )
    return Curve(first.name, first.unit, mean, low, high)
