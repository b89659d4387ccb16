"""Where the chunks of a population run: in this process, or in worker processes."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from .errors import InputError
from .parameters import check_population
from .policies import Policy
from .rollout import Rollout, join_chunks, make_chunks, run_chunk
from .tasks import Task
from .tasks.base import Seed

Item = TypeVar("Item")
Result = TypeVar("Result")

# One BLAS thread a worker: the matrices are small, and the workers already fill the cores.
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


class Executor(Protocol):
    """Anything that can map a function over items, keeping their order."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Return function(item) for every item, in order."""

    def close(self) -> None:
        """Give back what the executor holds."""


class SerialExecutor:
    """Runs everything here, one item after the other."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return function(item) for every item, in order."""
        return [function(item) for item in items]

    def close(self) -> None:
        """Nothing to give back."""


class ProcessExecutor:
    """Runs items in worker processes, each with one BLAS thread.

    The workers start when first needed and end with `close`, or when their parent dies. As with all of
    Python's multiprocessing, a script that uses them needs the line `if __name__ == "__main__":`.

    Args:
        n_jobs: how many workers; -1 for one a core.

    Raises:
        InputError: for any other number below one.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        self.n_jobs = count_jobs(n_jobs)
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return function(item) for every item, in order."""
        if self._pool is None:
            self._pool = _start_pool(self.n_jobs)
        futures = [self._pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def count_jobs(n_jobs: object) -> int:
    """Return the number of workers `n_jobs` asks for: itself, or the usable cores for -1."""
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or (n_jobs < 1 and n_jobs != -1):
        raise InputError(f"n_jobs must be at least 1, or -1 for all cores, got {n_jobs!r}")
    if n_jobs > 0:
        return n_jobs
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_executor(n_jobs: int = 1) -> SerialExecutor | ProcessExecutor:
    """Return the executor for `n_jobs` workers: this process for one, worker processes for more."""
    n_jobs = count_jobs(n_jobs)
    return SerialExecutor() if n_jobs == 1 else ProcessExecutor(n_jobs)


def rollout(
    policy: Policy,
    population: object,
    task: Task,
    n_episodes: int = 16,
    seed: Seed = 0,
    n_jobs: int = 1,
    executor: Executor | None = None,
) -> Rollout:
    """Run every candidate of a population through the same episodes of a task.

    The scores do not depend, to the bit, on `n_jobs` or `executor`.

    Args:
        policy: the network.
        population: (candidate, parameter).
        task: what to do.
        n_episodes: episodes a candidate.
        seed: a whole number or several; with an episode's number it decides everything random about it.
        n_jobs: processes to run in; -1 for one a core. Ignored if `executor` is given.
        executor: where to run instead; a ProcessExecutor kept open saves starting workers for every call.

    Returns:
        The returns and lengths (candidate, episode).

    Raises:
        InputError: for a policy that does not fit the task, a population of the wrong shape or with values
            that are not finite, or impossible numbers.
    """
    chunks = make_chunks(policy, population, task, n_episodes, seed)
    own = open_executor(min(count_jobs(n_jobs), len(chunks))) if executor is None else None
    try:
        results = list((own or executor).map(run_chunk, chunks))  # type: ignore[union-attr]
    finally:
        if own is not None:
            own.close()
    return join_chunks(chunks, results, len(check_population(population, policy.n_params)), n_episodes)


def _start_pool(n_jobs: int) -> concurrent.futures.ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(n_jobs, mp_context=context, initializer=_start_worker)
    with _one_thread_each():
        # The pool starts a worker for each submission it has no idle worker for: start them all now, while
        # the environment they inherit says one thread.
        concurrent.futures.wait([pool.submit(os.getpid) for _ in range(n_jobs)])
    return pool


@contextmanager
def _one_thread_each():  # type: ignore[no-untyped-def]
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update({name: "1" for name in _THREAD_VARIABLES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
