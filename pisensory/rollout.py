"""A population through a task: the loop that steps policies and episodes together.

Episodes are stepped in rows. A row is one candidate meeting one block of episodes; its numbers do not depend
on which other rows are stepped beside it, so a population may be cut anywhere between rows and run anywhere.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .errors import InputError, check_int
from .parameters import check_population
from .policies import Policy
from .policies.base import PolicyRun
from .tasks import Task, TaskRun
from .tasks.base import Seed, check_seed

# The most episodes in one row: a block this wide makes a matrix product worth its call.
_BLOCK = 64
# The most inputs (features x episodes) in one row, which bounds the memory that 10,000 features take.
_ROW_INPUTS = 2**18
# Inputs stepped at once in one chunk: what keeps the buffers within a core's cache.
_CHUNK_INPUTS = 8192
# How often to look for rows whose episodes have all ended, in steps.
_COMPACT_EVERY = 8


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The outcome of a rollout.

    Attributes:
        returns: the sum of rewards of each episode (candidate, episode).
        lengths: how many steps each lasted (candidate, episode).
    """

    returns: np.ndarray
    lengths: np.ndarray


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Rows of a population's episodes: everything a worker needs to run them.

    Attributes:
        policy, task, seed: as in a rollout.
        population: the candidates that occur here (candidate, parameter).
        candidates: which of them each row is (row,).
        episodes: numbers of the row's episodes (row, episode); -1 where there is none.
    """

    policy: Policy
    task: Task
    seed: tuple[int, ...]
    population: np.ndarray
    candidates: np.ndarray
    episodes: np.ndarray


def make_chunks(
    policy: Policy, population: object, task: Task, n_episodes: int, seed: Seed, n_workers: int = 1
) -> list[Chunk]:
    """Cut a population's episodes into chunks of rows, as large as is fast, but enough of them for the workers.

    Raises InputError for a policy that does not fit the task, a wrong population, or no episodes.
    """
    check_fit(policy, task)
    n_episodes = check_int("n_episodes", n_episodes, 1)
    parts = check_seed(seed)
    array = check_population(population, policy.n_params)
    widest = min(_BLOCK, task.chunk_episodes, _ROW_INPUTS // task.n_features)
    n_blocks = _ceil_divide(n_episodes, max(1, widest))
    # At least four columns: for fewer, BLAS takes kernels that round by the stride of the block, and that
    # depends on how many rows are stepped together.
    block = max(4, _ceil_divide(n_episodes, n_blocks))
    numbers = np.arange(n_blocks * block).reshape(n_blocks, block)
    numbers[numbers >= n_episodes] = -1
    candidates = np.repeat(np.arange(len(array)), n_blocks)
    episodes = np.tile(numbers, (len(array), 1))
    n_rows = max(1, min(task.chunk_episodes // block, _CHUNK_INPUTS // (task.n_features * block)))
    n_chunks = max(n_workers, _ceil_divide(len(candidates), n_rows))
    n_chunks = min(n_chunks + -n_chunks % n_workers, len(candidates))  # as many for each worker
    chunks = []
    for rows in np.array_split(np.arange(len(candidates)), n_chunks):
        first, last = candidates[rows[0]], candidates[rows[-1]]
        chunks.append(Chunk(policy, task, parts, array[first : last + 1], candidates[rows] - first, episodes[rows]))
    return chunks


def _ceil_divide(number: int, divisor: int) -> int:
    return -(-number // divisor)


def join_chunks(chunks: list[Chunk], results: list[Rollout], n_candidates: int, n_episodes: int) -> Rollout:
    """Put the results of chunks, in their order, back together as (candidate, episode)."""
    valid = np.concatenate([chunk.episodes for chunk in chunks]) >= 0
    returns = np.concatenate([result.returns for result in results])[valid]
    lengths = np.concatenate([result.lengths for result in results])[valid]
    return Rollout(returns.reshape(n_candidates, n_episodes), lengths.reshape(n_candidates, n_episodes))


def check_fit(policy: Policy, task: Task) -> None:
    """Raise InputError unless the policy takes the task's inputs and gives its actions."""
    if policy.n_features not in (None, task.n_features):
        raise InputError(
            f"the policy takes {policy.n_features} inputs but the task gives {task.n_features} "
            "(copies and noise inputs included): use an invariant policy, or one made for that number"
        )
    if policy.n_actions != task.n_actions:
        raise InputError(f"the policy gives {policy.n_actions} actions but the task takes {task.n_actions}")


def start_chunk(chunk: Chunk) -> tuple[TaskRun, PolicyRun, np.ndarray]:
    """Return a chunk's tasks and policies at their start, and which of their episodes (row, episode) there are."""
    alive = chunk.episodes >= 0
    weights = [array[chunk.candidates] for array in chunk.policy.prepare(chunk.population)]
    task_run = chunk.task.start(chunk.seed, np.maximum(chunk.episodes, 0))
    return task_run, chunk.policy.start(weights, chunk.task.n_features, alive.shape[1]), alive


def run_chunk(chunk: Chunk) -> Rollout:
    """Live through the episodes of a chunk; returns and lengths are (row, episode)."""
    with np.errstate(over="ignore", under="ignore"):  # an infinite score saturates tanh, as it should
        return _run_chunk(chunk)


def _run_chunk(chunk: Chunk) -> Rollout:
    task = chunk.task
    task_run, policy_run, alive = start_chunk(chunk)
    result = Rollout(np.zeros(alive.shape), np.zeros(alive.shape, dtype=np.int64))
    rows = np.arange(len(alive))
    returns, lengths = np.zeros(alive.shape), np.zeros(alive.shape, dtype=np.int64)
    for step in range(1, task.max_steps + 1):
        task_run.observe(policy_run.observations[:, :, 0])
        policy_run.step()
        rewards, over = task_run.step(policy_run.actions, alive)
        np.add(returns, rewards, out=returns, where=alive)
        lengths += alive
        alive &= ~over
        if step % _COMPACT_EVERY == 0 or step == task.max_steps:
            going: np.ndarray = np.any(alive, axis=1)
            if step == task.max_steps or not going.any():
                break
            if not going.all():
                result.returns[rows], result.lengths[rows] = returns, lengths
                rows, returns, lengths, alive = rows[going], returns[going], lengths[going], alive[going]
                task_run, policy_run = task_run.keep(going), policy_run.keep(going)
    result.returns[rows], result.lengths[rows] = returns, lengths
    return result
