"""The one engine under training and cloning: a learner, and a folder in which none of its work is lost.

A run begins when its config.json appears. By then its first checkpoint, with the vector it starts from, is on the
disk; and whatever lines of metrics a checkpoint counts are on the disk before it.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..blas import one_blas_thread
from ..errors import ExecutorError, FileError, TaskError, check_bool, check_int, check_positive
from ..executors import ExecutorLike, OpenExecutor, open_executor
from ..files import PathLike, as_path, save_policy
from ..parameters import check_params
from ..policies import Policy
from ..tasks import Task
from .board import Board
from .checkpoint import read_checkpoint, write_checkpoint
from .config import digest, make_config, read_config, refuse_differences, write_config
from .deadline import Deadline
from .folder import BEST, CHECKPOINT, CLONE, CONFIG, POLICY, RECIPE, TEACHER, check_free, tidy
from .learner import Learner
from .lock import RunLock
from .metrics import Metrics
from .progress import Progress
from .signals import HOW_TO_RESUME, Stopped, StopSignals

_CHECKPOINT_SECONDS = 20.0

_log = logging.getLogger("pisensory")


@contextmanager
def open_run(
    run_dir: PathLike,
    policy: Policy,
    task: Task,
    settle: Callable[[dict[str, Any]], Any],
    *,
    resume: bool,
    n_jobs: int,
    executor: ExecutorLike,
    name: str = CONFIG,
) -> Iterator[Run]:
    """Give a run for a learner to be led through, alone in its folder; at the end, give back all that it took.

    Args:
        run_dir: the run folder.
        policy, task: what learns, and what.
        settle: makes the settings, from those of the run to resume (none, for a new one), or refuses.
        resume: go on with the run in `run_dir`, if there is one.
        n_jobs, executor: where populations are rolled out.
        name: of the config; that of a run in stages is written at once, for all of them depend on it.

    Raises:
        InputError: for settings other than those of the run to resume; the message shows which.
        FileError: if the folder cannot be created or read, is not a run, already is one and `resume` is not
            asked for, or is in use.
        TrainingInterrupted: on Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    folder, resume = as_path(run_dir, "run_dir"), check_bool("resume", resume)
    if not folder.is_dir():  # what cannot be is refused before anything is made
        make_config(policy, task, settle({}))
    lock, opening = RunLock(folder), open_executor(executor, n_jobs, (policy, task))
    with StopSignals(folder) as signals, one_blas_thread(), opening as opened, lock:
        begun = _has_begun(folder, name, resume, is_stage=lock.is_within)
        old = read_config(folder, name) if begun else None
        settings = settle({} if old is None else old["training"])
        config = make_config(policy, task, settings)
        if old is not None:
            usual = dataclasses.asdict(type(settings)())  # what settings that are new since then have been
            refuse_differences(folder, {**old, "training": {**usual, **old["training"]}}, config)
        tidy(folder)
        if old is None and name == RECIPE:
            write_config(folder, config, name)
        yield Run(folder, settings, old or config, begun, opened, signals, lock)


def _has_begun(folder: Path, name: str, resume: bool, is_stage: bool) -> bool:
    """Return whether the run in a folder, with a config of this name, is to be resumed; it is to begin if not.

    Raises FileError if it can do neither.
    """
    there = {config for config in (CONFIG, RECIPE) if (folder / config).exists()} - ({RECIPE} if is_stage else set())
    stages = [stage for stage in (TEACHER, CLONE) if name == RECIPE and (folder / stage).exists()]
    if (there or stages) and not resume:
        raise FileError(f"{folder} already holds a run: resume it (--resume), or choose another folder")
    if name in there:
        return True
    if there:
        raise FileError(f"{folder} holds a run with a {there.pop()}, which was begun in another way: go on in that way")
    check_free(folder)
    if (folder / CHECKPOINT).exists() and read_checkpoint(folder)[1].get("done") != 0:
        raise FileError(f"{folder} holds the checkpoint of a run without its {CONFIG}: put that back, or empty it")
    if resume:
        _log.warning("%s holds no run to go on with: a new one begins there, with what is given now", folder)
    return False


class _Moment(NamedTuple):
    """What a checkpoint holds."""

    done: int
    params: np.ndarray  # (parameter,)
    arrays: dict[str, np.ndarray]
    progress: dict[str, Any]


@dataclasses.dataclass
class Run:
    """A run folder under way.

    Attributes:
        folder, settings, config, executor, signals, lock: as opened.
        begun: whether there is something to go on with.
        best_params: the learner's vector (parameter,) that scored best on the held-out episodes; in best.npz.
        best_score: its mean return there.
        stale: how many scores there were since.
        elapsed: seconds of learning so far.
    """

    folder: Path
    settings: Any
    config: dict[str, Any]
    begun: bool
    executor: OpenExecutor
    signals: StopSignals
    lock: RunLock
    best_params: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    best_score: float = -np.inf
    stale: int = 0
    elapsed: float = 0.0

    def lead(
        self, learner: Learner, deadline: Deadline, progress: bool | str = False, tensorboard: bool = False
    ) -> None:
        """Lead a learner to its end, or as far as it comes until the deadline; one step at least."""
        if self.begun:
            self._restore(learner)
        else:
            self._begin(learner)
        total = learner.total if deadline.left() is None else None
        with ExitStack() as stack:
            parts = learner.task.part_names
            metrics = stack.enter_context(closing(Metrics(self.folder, learner.unit, learner.done, parts)))
            writers: list[Any] = [metrics]
            if tensorboard:
                writers.append(stack.enter_context(closing(Board(self.folder, learner.unit, learner.done))))
            bar = stack.enter_context(closing(Progress(total, learner.unit, learner.done, progress)))
            self._go_on(learner, metrics, writers, bar, deadline)

    def _go_on(self, learner: Learner, metrics: Metrics, writers: list[Any], bar: Progress, deadline: Deadline) -> None:
        moment, written = self._moment(learner), time.monotonic()
        try:
            while learner.done < learner.total and self.stale < learner.patience:
                row = self._advance(learner)
                for writer in writers:
                    writer.write(row)
                bar.update(best=_short(self.best_score), **{name: _short(row[name]) for name in learner.shown})
                moment = self._moment(learner)
                if learner.needs_checkpoint or time.monotonic() - written > _CHECKPOINT_SECONDS:
                    self._write(learner, moment, metrics)
                    learner.saved()
                    written = time.monotonic()
                if deadline.is_over:
                    break
            self._write(learner, moment, metrics)
            learner.saved()
        except Stopped:
            self._write(learner, moment, metrics)
            raise
        except Exception as error:  # what it was in the middle of is done again from the moment before
            with suppress(FileError):  # of a full disk: the last checkpoint stays
                self._write(learner, moment, metrics)
            if not isinstance(error, (ExecutorError, TaskError)):
                raise
            raise type(error)(f"{error}; a checkpoint is in {self.folder}: {HOW_TO_RESUME}") from error

    def _advance(self, learner: Learner) -> dict[str, Any]:
        """Do a generation or round, keep what is best, and return the whole line of metrics."""
        start = time.monotonic()
        with self.signals.interruptible():
            row = learner.advance()
        score = row["held_out"]
        if score is not None:
            self.stale += 1
            if not np.isfinite(score):
                row["held_out"] = None
            elif score > self.best_score:
                self.best_score, self.best_params, self.stale = float(score), learner.params, 0
                self._save(BEST, learner, learner.done, self.best_params, self.best_score)
        seconds = time.monotonic() - start
        self.elapsed += seconds
        return {
            learner.unit: learner.done, "env_steps": learner.env_steps, **row, "seconds": round(seconds, 4),
            "elapsed": round(self.elapsed, 3),
        }  # fmt: skip

    def _moment(self, learner: Learner) -> _Moment:
        arrays, progress = learner.state()
        counts = {
            "done": learner.done, "env_steps": learner.env_steps, "stale": self.stale, "elapsed": self.elapsed,
            "best_score": self.best_score if np.isfinite(self.best_score) else None,
        }  # fmt: skip
        return _Moment(
            learner.done, learner.params, {**arrays, "best_params": self.best_params}, {**progress, **counts}
        )

    def _begin(self, learner: Learner) -> None:
        self.best_params = learner.params
        self._write(learner, self._moment(learner))  # the folder is known to do, too
        write_config(self.folder, self.config)

    def _write(self, learner: Learner, moment: _Moment, metrics: Metrics | None = None) -> None:
        self.lock.check()
        if metrics is not None:
            metrics.sync()
        write_checkpoint(self.folder, moment.arrays, {**moment.progress, "config": digest(self.config)})
        if metrics is not None:
            self._save(POLICY, learner, moment.done, moment.params, None)
        self.signals.stage = f"after {learner.unit} {moment.done}; a checkpoint is "

    def _save(self, name: str, learner: Learner, done: int, params: np.ndarray, score: float | None) -> None:
        about = {learner.unit: done, "task": self.config["task"], "training": self.config["training"]}
        save_policy(self.folder / name, learner.policy, params, held_out=score, **about)

    def _restore(self, learner: Learner) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            raise FileError(f"{path} is missing, and the run needs it: put it back, or train in another folder")
        arrays, progress = read_checkpoint(self.folder)
        if progress.pop("config", None) != digest(self.config):
            raise FileError(
                f"{path} is of another run than {self.folder / CONFIG}, or of an older pisensory: put "
                "the run's own back, or train in another folder"
            )
        try:
            self.best_params = check_params(arrays.pop("best_params"), learner.policy.n_params)
            self.best_score = -np.inf if progress["best_score"] is None else float(progress["best_score"])
            self.stale = check_int("stale", progress["stale"], 0)
            self.elapsed = check_positive("elapsed", progress["elapsed"], allow_zero=True)
            learner.done = check_int("done", progress["done"], 0)
            learner.env_steps = check_int("env_steps", progress["env_steps"], 0)
            learner.restore(arrays, progress)
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} is damaged: {error}") from None


def _short(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.4g}"
