"""The runs of a sweep, side by side: each a process of its own, with one BLAS thread, that ends with the sweep."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..blas import THREAD_VARIABLES
from ..errors import ExecutorError, FileError, shorten
from ..executors import ExecutorLike, count_jobs, open_executor
from ..files import load_policy_about, make_folder, read_json, write_json
from ..runs import BEST, CONFIG, RECIPE

OWN_SCORE = "held out"
_FORMAT = "pisensory-sweep-run"
_WHERE = Path(__file__).parents[2]

# The processes that run now, and whether they are to end.
_children: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopping = threading.Event()


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a row: a command, and what scores it then.

    Attributes:
        name: what to call it.
        command: the words after `pisensory`.
        run_dir: the run folder; None for a command that has none.
        evaluations: name of the score -> the words after `pisensory` that give it.
        result: the file that says that it is done, and what came out.
    """

    name: str
    command: list[str]
    run_dir: Path | None
    evaluations: dict[str, list[str]]
    result: Path

    def about(self) -> dict[str, Any]:
        """Return what is run: a result is this job's if it says the same."""
        return {"format": _FORMAT, "command": self.command, "evaluations": self.evaluations}

    def read(self) -> Outcome | None:
        """Return the outcome of a job that is done, as it is asked for now; None if it is not."""
        if not self.result.exists():
            return None
        saved = read_json(self.result)
        if not isinstance(saved, dict) or any(saved.get(key) != value for key, value in self.about().items()):
            return None
        scores = saved.get("scores")
        if not isinstance(scores, dict) or not all(isinstance(score, (int, float)) for score in scores.values()):
            raise FileError(f"{self.result} is damaged: delete it, and its run is scored again")
        return Outcome(self, scores)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a job: its scores by name, or why there are none."""

    job: Job
    scores: dict[str, float]
    failure: str = ""


class _Failed(Exception):
    """A command that failed; the message is what it said last."""


def run_jobs(jobs: Sequence[Job], n_jobs: int, executor: ExecutorLike) -> Iterator[Outcome]:
    """Run jobs side by side, and give the outcome of each, in their order.

    A job that fails is told, and does not keep others from running. When the caller stops, by an exception or
    otherwise, the runs under way are stopped as by SIGTERM, and waited for; those on a cluster go on to their end.

    Args:
        jobs: what to run.
        n_jobs: how many at once; -1 for one a core.
        executor: where; on these cores if None.
    """
    with _where(n_jobs, executor) as pool:
        yield from pool.map(run_job, jobs)


@contextmanager
def _where(n_jobs: int, executor: ExecutorLike) -> Iterator[Any]:
    if executor is not None:
        with open_executor(executor, n_jobs) as opened:
            yield opened
        return
    _stopping.clear()
    pool = concurrent.futures.ThreadPoolExecutor(count_jobs(n_jobs))
    try:
        yield pool
    finally:
        with _lock:
            _stopping.set()
            for child in _children:
                _close(child)
        pool.shutdown(wait=True, cancel_futures=True)


def run_job(job: Job) -> Outcome:
    """Run a job as far as it is not done, score it, and write down that it is done."""
    start = time.monotonic()
    try:
        scores = _run(job)
        seconds = round(time.monotonic() - start, 1)
        write_json(job.result, {**job.about(), "scores": scores, "seconds": seconds})
    except (_Failed, OSError, ValueError, KeyError) as error:  # of a full disk, or a file that is not as it should be
        return Outcome(job, {}, shorten(str(error)))
    return Outcome(job, scores)


def _run(job: Job) -> dict[str, float]:
    make_folder(job.result.parent)
    log = job.result.with_suffix(".log")
    if job.run_dir is None:
        return {"mean": _means(_start([[*job.command, "--json", "--jobs=1"]], log), 1)[0]}
    begun = any((job.run_dir / name).exists() for name in (CONFIG, RECIPE))
    scored = [[*words, "--json", "--jobs=1"] for words in job.evaluations.values()]
    printed = _start([[*job.command, "--jobs=1", *(["--resume"] if begun else [])], *scored], log)
    if not scored:
        return {OWN_SCORE: float(load_policy_about(job.run_dir / BEST)[2]["held_out"])}
    return dict(zip(job.evaluations, _means(printed, len(scored))))


def _means(printed: str, number: int) -> list[float]:
    """Return the means in the last lines that were printed, one of each of so many evaluations."""
    return [float(json.loads(line)["mean"]) for line in printed.splitlines()[-number:]]


def _start(commands: Iterable[Sequence[str]], log: Path) -> str:
    """Run commands of ours, one after the other, in a process of its own, and return what they printed.

    What they say goes to the log. Raises _Failed if one fails, or if all are to end.
    """
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    # Found as it is found here, whether it is installed or not.
    environment["PYTHONPATH"] = os.pathsep.join([str(_WHERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pisensory.cli.child", *map(shlex.join, commands)]
    with open(log, "ab") as said:
        with _lock:
            if _stopping.is_set():
                raise _Failed("stopped")
            # In the sweep's own session: it is of its priority, and stopped by Ctrl-C with a checkpoint, as alone.
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment
            )
            _children.add(child)
        try:
            assert child.stdout is not None
            printed = child.stdout.read().decode(errors="replace")
            code = child.wait()
        finally:
            with _lock:
                _children.discard(child)
                _close(child)
            child.wait()
            child.stdout.close()  # type: ignore[union-attr]
        said.write(printed.encode())
    if code:
        lines = log.read_text(errors="replace").strip().splitlines() or [""]
        raise _Failed(f"{lines[-1].rpartition(chr(13))[2]} (exit code {code}; {log})")
    return printed


def _close(child: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop."""
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()


def failures(outcomes: Iterable[Outcome]) -> ExecutorError | None:
    """Return the error that tells of the jobs that failed, if any did."""
    failed = [outcome for outcome in outcomes if outcome.failure]
    if not failed:
        return None
    told = "\n".join(f"  {outcome.job.name}: {outcome.failure}" for outcome in failed)
    return ExecutorError(f"{len(failed)} runs failed, and the same command tries them again:\n{told}")
