"""`pisensory report`: what shuffles, noise, lost and late inputs do to trained policies."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from ..report import Subject, write_report
from .options import free_name, load_file, make_plain_task


def add(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "report",
        help="score policies under shuffles, noise, lost and late inputs",
        description="Score policies under all that can be done to their inputs, and look inside them. Writes "
        "report.html, which needs no other file, report.json with every number, and the figures as PNG and SVG.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("models", metavar="MODEL", nargs="+", help="shipped model, file, run folder, or bare vector")
    parser.add_argument("--output", "-o", default="report", metavar="DIR", help="folder to write to (default: report)")
    parser.add_argument(
        "--task", metavar="TASK", help="harder, v0 or v1; ant; gym:ID or gymnasium:ID (default: that of each model)"
    )
    parser.add_argument("--max-steps", type=int, metavar="N", help="longest episode (default: that of the task)")
    parser.add_argument(
        "--episodes", "-e", type=int, metavar="N",
        help="of each score (default: 1000; 100 where an environment is stepped by gym)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the episodes (default: 0)")
    parser.add_argument("--executor", metavar="E", help="serial, processes or dask:ADDRESS (default: by --jobs)")
    parser.add_argument(
        "--jobs", "-j", type=int, default=-1, metavar="N", help="worker processes, -1 for one a core (default: -1)"
    )


def run(options: argparse.Namespace) -> int:
    """Make the report, and say where it is."""
    subjects: dict[str, Subject] = {}
    for path in options.models:
        model = load_file(path, options.task)
        name = free_name(path, subjects)
        task = make_plain_task(options.task, options.max_steps, model.task)
        subjects[name] = Subject(name, model.policy, model.params, task)
    report = write_report(
        list(subjects.values()), options.output, options.episodes, options.seed, options.jobs, options.executor,
        progress=True, command=_command(options),
    )  # fmt: skip
    page = Path(options.output) / "report.html"
    print(f"wrote {page} and the figures beside it in {report['seconds']:.0f} s")
    return 0


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes the same report."""
    words = ["pisensory", "report", *options.models, "-o", options.output]
    for name, value in (("task", options.task), ("max-steps", options.max_steps), ("episodes", options.episodes)):
        if value is not None:
            words += [f"--{name}", str(value)]
    return shlex.join([*words, "--seed", str(options.seed)])
