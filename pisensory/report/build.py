"""Run the studies of a report and write it: report.json, the figures, report.html."""

from __future__ import annotations

import json
import platform
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import figures
from ..errors import FileError, InputError, check_int, import_extra
from ..executors import ExecutorLike, open_executor
from ..files import PathLike, atomic_write, make_folder, write_text
from ..rollout import check_fit
from ..runs import Progress
from ..tasks.base import check_seed
from .gaze import can_gaze, study_gaze
from .html import make_html
from .inside import can_look_inside, study_inside
from .scores import Scorer, Subject
from .studies import STUDIES, plan

FORMAT, VERSION = "pisensory-report", 1


def write_report(
    subjects: Sequence[Subject],
    folder: PathLike,
    n_episodes: int | None = None,
    seed: int = 0,
    n_jobs: int = -1,
    executor: ExecutorLike = None,
    progress: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Score policies under all that a report does to their inputs, and write it.

    Args:
        subjects: the policies, each with its task, under different names.
        folder: to write report.html, report.json and the figures (PNG and SVG) to; made if it is missing.
        n_episodes: of each score; the task's own number, 1000 for the cart-pole, if None.
        seed: of all episodes.
        n_jobs: processes; -1 for one a core.
        executor: where to run: "serial", "processes", "dask:ADDRESS", or an object with `map(function, items)`.
        progress: show a progress bar.
        command: what to say the report was made by.

    Returns:
        What report.json holds.

    Raises:
        InputError: for no policies, two of one name, one that does not fit its task, or impossible numbers.
        FileError: if the folder cannot be written.
        MissingExtraError: if matplotlib (extra `viz`) is not installed.
    """
    _check(subjects)
    import_extra("matplotlib", "viz")
    if n_episodes is not None:
        n_episodes = check_int("n_episodes", n_episodes, 1)
    (seed,) = check_seed(seed)
    out = _check_folder(folder)
    started = time.monotonic()
    report = _run(subjects, n_episodes, seed, n_jobs, executor, progress)
    report = {
        "format": FORMAT, "version": VERSION, "command": command, "seed": seed, "versions": _versions(),
        "models": [_describe(subject, n_episodes) for subject in subjects],
        **report, "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    drawn = _draw(report, out)
    write_text(out / "report.json", _as_json(report))
    write_text(out / "report.html", make_html(report, drawn))
    return report


def _check(subjects: Sequence[Subject]) -> None:
    if not subjects:
        raise InputError("a report needs at least one model")
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise InputError(f"models must have different names, got {', '.join(names)}")
    for subject in subjects:
        try:
            check_fit(subject.policy, subject.task)
        except InputError as error:
            raise InputError(f"{subject.name} does not fit its task: {error}") from None


def _check_folder(folder: PathLike) -> Path:
    """Return the folder, made if it was missing; raise FileError, before any work, if it cannot be written."""
    out = make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        raise FileError(f"cannot write to the folder {out}: {error.strerror or error}") from error


def _run(
    subjects: Sequence[Subject], n_episodes: int | None, seed: int, n_jobs: int, executor: ExecutorLike, progress: bool
) -> dict[str, Any]:
    """Return the scores by study, what is shown of the inside, and notes on what was left out."""
    cells = [
        (subject, cell)
        for subject in subjects
        for cell in plan(subject.policy, subject.task, _episodes(subject, n_episodes))
    ]
    insiders = [subject for subject in subjects if can_look_inside(subject)]
    gazers = [subject for subject in subjects if can_gaze(subject)]
    scores: dict[str, list[dict[str, Any]]] = {}
    bar = Progress(len(cells) + len(insiders) + len(gazers), "score", shown=progress)
    try:
        with open_executor(executor, n_jobs) as opened:
            scorer = Scorer(seed, opened)
            for subject, cell in cells:
                scores.setdefault(cell.study.key, []).append(scorer.score(subject, cell))
                bar.update(study=cell.study.key, model=subject.name)
        inside = []
        for subject in insiders:
            inside.append(study_inside(subject, _episodes(subject, n_episodes), seed))
            bar.update(study="inside", model=subject.name)
        gaze = []
        for subject in gazers:
            gaze.append(study_gaze(subject, seed))
            bar.update(study="gaze", model=subject.name)
    finally:
        bar.close()
    notes = [
        f"{subject.name} is a policy for the task {subject.task.label}: the studies of other tasks were left out."
        for subject in subjects
        if all(study.kind != subject.task.kind for study in STUDIES)
    ]
    return {"scores": scores, "inside": inside, "gaze": gaze, "notes": notes}


def _episodes(subject: Subject, n_episodes: int | None) -> int:
    return subject.task.score_episodes if n_episodes is None else n_episodes


def _describe(subject: Subject, n_episodes: int | None) -> dict[str, Any]:
    policy, task = subject.policy, subject.task
    return {
        "name": subject.name, "policy": policy.config, "network": policy.label, "n_params": policy.n_params,
        "task": task.config, "task_label": task.label, "inputs": list(task.senses.names),
        "episodes": _episodes(subject, n_episodes),
    }  # fmt: skip


def _versions() -> dict[str, str]:
    import matplotlib

    from .. import __version__

    return {
        "pisensory": __version__, "numpy": np.__version__, "matplotlib": matplotlib.__version__,
        "python": platform.python_version(), "machine": platform.machine(),
    }  # fmt: skip


def _draw(report: Mapping[str, Any], out: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Draw every figure that there are numbers for and write it as PNG and SVG.

    Returns:
        study -> [(name of the file, alternative text, SVG), ...].
    """
    drawn: dict[str, list[tuple[str, str, str]]] = {}
    for figure in figures.report_figures(report):
        with atomic_write(out / f"{figure.name}.png") as file:
            file.write(figures.as_png(figure.canvas))
        svg = figures.as_svg(figure.canvas, figure.name)
        write_text(out / f"{figure.name}.svg", svg)
        drawn.setdefault(figure.study, []).append((figure.name, figure.alt, svg))
    return drawn


def _as_json(report: Mapping[str, Any]) -> str:
    """Return JSON that is readable: a list of numbers on one line."""
    text = json.dumps(report, indent=1, allow_nan=False)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found.group()), text) + "\n"
