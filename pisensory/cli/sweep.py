"""Run a grid of settings and seeds, and draw its table.

FILE.toml says which commands to run, with which options and seeds, and how to score them; docs/sweep.md tells how. All
combinations are checked before the first begins. Each is a run folder of its own, in --output; the same command goes
on with what was stopped, and leaves alone what is done. At the end there are a table, table.csv and table.png.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, PisensoryError, import_extra
from ..executors import WouldRun, nothing_runs
from ..figures import as_png
from ..figures.sweep import sweep_figure
from ..files import as_path, atomic_write, make_folder, save_policy
from ..runs.progress import Progress
from ..sweep import Job, Outcome, Plan, Row, csv_text, mean_over_seeds, read_plan, run_jobs, table_text
from ..sweep.jobs import failures
from .arguments import DEFAULTS, name_options, shows_progress


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", metavar="FILE.toml", help="what to run")
    parser.add_argument(
        "--output", "-o", metavar="FOLDER", help="for runs, table and figure (default: runs/ and the name of FILE)"
    )
    parser.add_argument(
        "--jobs", "-j", type=int, default=DEFAULTS["n_jobs"], metavar="N",
        help="runs side by side, each with one worker and one BLAS thread; -1 for one a core (default: -1)",
    )  # fmt: skip
    parser.add_argument("--executor", metavar="TEXT", help="dask:ADDRESS (default: these cores, by --jobs)")
    parser.add_argument("--dry-run", action="store_true", help="check, print the commands, and run nothing")


def run(options: argparse.Namespace) -> int:
    """Run what is not done, and write the table."""
    plan = read_plan(options.file)
    folder = as_path(options.output or str(Path("runs") / as_path(options.file).stem), "--output")
    loads = [word for path in options.load for word in ("--load", path)]
    jobs = _make_jobs(plan, folder, loads)
    _check(plan, options)
    if options.dry_run:
        for job in jobs:
            for command in (job.command, *job.evaluations.values()):
                print(shlex.join(["pisensory", *command]))
        return 0
    import_extra("matplotlib.figure", "sweep")
    make_folder(folder)
    outcomes = _run(jobs, options)
    by_row = {row.name: outcomes[number :: len(plan.rows)] for number, row in enumerate(plan.rows)}
    _write_table(by_row, {row.name: shlex.join(["pisensory", *_typed(row, plan)]) for row in plan.rows}, folder)
    error = failures(outcomes)
    if error is not None:
        raise error
    return 0


def _make_jobs(plan: Plan, folder: Path, loads: list[str]) -> list[Job]:
    """Return all runs, those of the first seed first, so that a sweep that is cut short is one of fewer seeds."""
    jobs = []
    for seed in plan.seeds:
        for row in plan.rows:
            run_dir = folder / row.folder / f"seed-{seed}" if row.has_run else None
            evaluations = {} if run_dir is None else plan.evaluations(run_dir)
            jobs.append(
                Job(
                    f"{row.name}, seed {seed}", [*loads, *row.arguments(seed, run_dir)], run_dir,
                    {name: [*loads, *words] for name, words in evaluations.items()},
                    folder / row.folder / f"seed-{seed}.json",
                )
            )  # fmt: skip
    return jobs


def _typed(row: Row, plan: Plan) -> list[str]:
    """Return the words of a row's command as one would type them, with the first seed."""
    return row.arguments(plan.seeds[0], "RUN_DIR" if row.has_run else None)


def _check(plan: Plan, options: argparse.Namespace) -> None:
    """Raise InputError, naming the row, for the first command that could not be run, before any is."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir, untrained = Path(folder) / "run", Path(folder) / "untrained.npz"
        for row in plan.rows:
            for seed in plan.seeds:
                command = row.arguments(seed, run_dir if row.has_run else None)
                sent = _try(command, f"{options.file}: {row.name}", options.parser)
            if row.has_run and plan.scores:
                policy, task = sent
                save_policy(untrained, policy, np.zeros(policy.n_params), task=task.config)
                for name, words in plan.evaluations(untrained).items():
                    _try(words, f"{options.file}: scores.{name} of {row.name}", options.parser)


def _try(command: list[str], where: str, parser: argparse.ArgumentParser) -> Any:
    """Run a command as far as it can be before any work begins; return what its workers would need."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = parser.parse_args(command)
    except SystemExit:
        message = said.getvalue().strip().rpartition("error: ")[2]
        raise InputError(f"{where}: {message}: see pisensory {command[0]} --help") from None
    try:
        with nothing_runs():
            parsed.run(parsed)
    except WouldRun as stop:
        return stop.sent
    except PisensoryError as error:
        raise type(error)(f"{where}: {name_options(str(error), parsed)}") from None
    raise AssertionError(command)


def _run(jobs: list[Job], options: argparse.Namespace) -> list[Outcome]:
    """Return the outcomes of all jobs, of which those that are not done are run now."""
    outcomes = {job.name: outcome for job in jobs if (outcome := job.read()) is not None}
    left = [job for job in jobs if job.name not in outcomes]
    running = run_jobs(left, options.jobs, options.executor)
    bar = Progress(len(jobs), "run", len(outcomes), bool(left) and shows_progress())
    try:
        for outcome in running:
            outcomes[outcome.job.name] = outcome
            bar.update(last="failed" if outcome.failure else f"{next(iter(outcome.scores.values())):.4g}")
    except BaseException:
        print("\nthe runs under way were stopped; the same command goes on from here", file=sys.stderr, flush=True)
        raise
    finally:
        bar.close()
    return [outcomes[job.name] for job in jobs]


def _write_table(by_row: dict[str, list[Outcome]], commands: dict[str, str], folder: Path) -> None:
    table = {}
    for name, outcomes in by_row.items():
        scores = dict.fromkeys(score for outcome in outcomes for score in outcome.scores)
        means = {
            score: mean_over_seeds([outcome.scores[score] for outcome in outcomes if score in outcome.scores])
            for score in scores
        }
        if means:
            table[name] = means
    if not table:
        return
    print(table_text(table))
    written = {"table.csv": csv_text(table, commands).encode(), "table.png": as_png(sweep_figure(table))}
    for name, data in written.items():
        with atomic_write(folder / name) as file:
            file.write(data)
    print(f"\nwrote {' and '.join(str(folder / name) for name in written)}")
