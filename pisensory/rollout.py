"""A population through a task: the loop that steps policies and episodes together.

Episodes are stepped in rows. A row is one candidate meeting one block of episodes; its numbers do not depend
on which other rows are stepped beside it, so a population may be cut anywhere between rows and run anywhere.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .blas import one_blas_thread
from .errors import MAX_EPISODES, InputError, check_int, check_type
from .parameters import Matrix, Vector, check_params, check_population
from .policies import Policy
from .policies.base import PolicyRun
from .tasks import Task
from .tasks.base import PerturbedRun, Seed, Share, check_seed

# The most episodes in one row: a block this wide makes a matrix product worth its call.
_BLOCK = 64
# The most inputs (features x channels x episodes) in one row, which bounds the memory that 10,000 features take.
_ROW_INPUTS = 2**18
# Numbers of the policies' memory in one chunk: what keeps it within a core's cache.
_CHUNK_NUMBERS = 330_000
# How often to look for rows whose episodes have all ended, in steps.
_COMPACT_EVERY = 8


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The outcome of a rollout.

    Attributes:
        returns: the sum of rewards of each episode (candidate, episode).
        lengths: how many steps each lasted (candidate, episode).

    Examples:
        >>> policy = ps.MLPPolicy()
        >>> found = ps.rollout(policy, np.zeros((3, policy.n_params)), ps.CartPoleSwingUp(max_steps=50), n_episodes=4)
        >>> found.returns.shape, found.lengths.shape
        ((3, 4), (3, 4))
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
        drops_rows: whether rows whose episodes have all ended are no longer stepped.
    """

    policy: Policy
    task: Task
    seed: tuple[int, ...]
    population: np.ndarray
    candidates: np.ndarray
    episodes: np.ndarray
    drops_rows: bool = True

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Return values (row, ..., episode) of a single candidate's rows as (..., episode), by episode number."""
        between = range(1, values.ndim - 1)
        # What np.moveaxis takes to see that it has nothing to copy is felt: there are several such a step.
        return values.transpose(0, -1, *between)[self.episodes >= 0].transpose(*between, 0)

    def split(self, n_parts: int) -> list[Chunk]:
        """Return its rows, in their order, as so many chunks, or fewer if there are fewer rows."""
        return [
            dataclasses.replace(self, candidates=self.candidates[rows], episodes=self.episodes[rows])
            for rows in np.array_split(np.arange(len(self.episodes)), min(n_parts, len(self.episodes)))
        ]


def make_chunks(
    policy: Policy, population: Matrix, task: Task, n_episodes: int, seed: Seed, n_workers: int = 1
) -> list[Chunk]:
    """Cut a population's episodes into chunks of rows, as large as is fast, but enough of them for the workers.

    Raises InputError for a policy that does not fit the task, a wrong population, or no episodes.
    """
    check_fit(policy, task)
    parts = check_seed(seed)
    array = check_population(population, policy.n_params)
    chunks, first = [], 0
    for share in task.shares(n_episodes):
        chunks += _chunks_of(policy, array, share, first, parts, n_workers)
        first += share.n_episodes
    return chunks


def _chunks_of(
    policy: Policy, array: np.ndarray, share: Share, first_episode: int, seed: tuple[int, ...], n_workers: int
) -> list[Chunk]:
    """Cut one share of a rollout, whose episodes are numbered from `first_episode`, into chunks."""
    if len(array) * check_int("n_episodes", share.n_episodes, 1, MAX_EPISODES) > 16 * MAX_EPISODES:
        raise InputError(
            f"{len(array):,} candidates of {share.n_episodes:,} episodes are too many to score at once: ask for fewer"
        )
    task = share.task
    numbers = _cut_episodes(task, share.n_episodes)
    numbers = np.where(numbers >= 0, numbers + first_episode, -1)
    n_blocks, block = numbers.shape
    candidates = np.repeat(np.arange(len(array)), n_blocks)
    episodes = np.tile(numbers, (len(array), 1))
    n_rows = max(1, min(task.chunk_episodes, _CHUNK_NUMBERS // policy.step_numbers(task.n_features)) // block)
    n_chunks = max(n_workers, _ceil_divide(len(candidates), n_rows))
    n_chunks = min(n_chunks + -n_chunks % n_workers, len(candidates))  # as many for each worker
    chunks = []
    for rows in np.array_split(np.arange(len(candidates)), n_chunks):
        first, last = candidates[rows[0]], candidates[rows[-1]]
        chunks.append(Chunk(policy, task, seed, array[first : last + 1], candidates[rows] - first, episodes[rows]))
    return chunks


def single_chunk(policy: Policy, params: Vector, task: Task, n_episodes: int, seed: Seed, least_rows: int = 1) -> Chunk:
    """Return all episodes of one vector (parameter,) as a chunk that keeps its rows, to look at.

    They are, bit for bit, those that a rollout of as many episodes scores, unless they are to be in so many rows at
    least, as far as rows of four go round. `Chunk.in_order` puts what its rows show in the episodes' order.

    Raises InputError as `make_chunks` does.
    """
    check_fit(policy, task)
    vector = check_params(params, policy.n_params)
    episodes = _cut_episodes(task, n_episodes, least_rows)
    candidates = np.zeros(len(episodes), dtype=np.intp)
    return Chunk(policy, task, check_seed(seed), vector[None], candidates, episodes, drops_rows=False)


def _cut_episodes(task: Task, n_episodes: int, least_rows: int = 1) -> np.ndarray:
    """Return the numbers of a candidate's episodes (block, episode), filled up with -1."""
    n_episodes = check_int("n_episodes", n_episodes, 1, MAX_EPISODES)
    widest = min(_BLOCK, task.chunk_episodes, _ROW_INPUTS // (task.n_features * task.n_channels))
    n_blocks = max(_ceil_divide(n_episodes, max(1, widest)), min(least_rows, _ceil_divide(n_episodes, 4)))
    # At least four columns: for fewer, BLAS takes kernels that round by the stride of the block, and that
    # depends on how many rows are stepped together.
    block = max(4, _ceil_divide(n_episodes, n_blocks))
    n_blocks = _ceil_divide(n_episodes, block)  # of which none is without an episode
    numbers = np.arange(n_blocks * block).reshape(n_blocks, block)
    return np.where(numbers < n_episodes, numbers, -1)


def _ceil_divide(number: int, divisor: int) -> int:
    return -(-number // divisor)


def join_chunks(chunks: list[Chunk], results: list[Rollout], n_candidates: int, n_episodes: int, task: Task) -> Rollout:
    """Put the results of chunks, in their order, back together as (candidate, episode) of the whole task."""
    returns = np.concatenate([result.returns[chunk.episodes >= 0] for chunk, result in zip(chunks, results)])
    lengths = np.concatenate([result.lengths[chunk.episodes >= 0] for chunk, result in zip(chunks, results)])
    shares = task.shares(n_episodes)
    bounds = np.cumsum([share.n_episodes for share in shares])[:-1] * n_candidates
    of_shares = [values.reshape(n_candidates, -1) for values in np.split(returns, bounds)]
    for values, share in zip(of_shares, shares):
        values *= share.factor
    of_lengths = [values.reshape(n_candidates, -1) for values in np.split(lengths, bounds)]
    return Rollout(np.concatenate(of_shares, axis=1), np.concatenate(of_lengths, axis=1))


def check_fit(policy: Policy, task: Task, name: str = "policy") -> None:
    """Raise InputError unless these are a policy and a task whose inputs, channels and actions are the policy's."""
    check_type(name, policy, Policy, "ps.InvariantPolicy()")
    check_type("task", task, Task, "ps.CartPoleSwingUp()")
    for one in task.tasks:
        _check_fit(policy, one)


def _check_fit(policy: Policy, task: Task) -> None:
    if policy.n_features not in (None, task.n_features):
        raise InputError(
            f"the policy takes {policy.n_features} inputs but the task gives {task.n_features} "
            "(copies and noise inputs included): use an invariant policy, or one made for that number"
        )
    if policy.n_channels != task.n_channels:
        raise InputError(
            f"the policy takes inputs of {policy.n_channels} channels but those of the task have {task.n_channels}"
        )
    if policy.n_actions != task.n_actions:
        raise InputError(f"the policy gives {policy.n_actions} actions but the task takes {task.n_actions}")


@dataclasses.dataclass
class Step:
    """A moment of a chunk's episodes: the policy has answered, and the task has not moved yet.

    Arrays belong to the runs of policy and task, which write into them again in the next step: copy what is to
    last. A row is one candidate meeting one block of episodes.

    Attributes:
        number: how many steps were taken before.
        rows: which rows of the chunk these are, a slice or their numbers; rows whose episodes have all ended are
            dropped now and then.
        alive: which episodes are going on (row, episode); none, in what is seen once more at the end.
        observations: what the policies saw (row, feature, channel, episode).
        actions: what they answered (row, action, episode). The task gets what stands here afterwards: a reader may
            write into it.
        rewards: what the step before earned, zeros at first (row, episode).
        task, policy: the runs.
        totals: returns and lengths so far of all rows of the chunk (row, episode).
    """

    number: int
    rows: slice | np.ndarray
    alive: np.ndarray
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    task: PerturbedRun
    policy: PolicyRun
    _totals: _Totals

    @property
    def totals(self) -> Rollout:
        """Returns and lengths so far of all rows of the chunk (row, episode)."""
        return self._totals.so_far(self.rows, self.alive, self.number)


class _Totals:
    """Returns of the rows that are going on, lengths of their episodes that have ended, and both of all other rows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._all = Rollout(np.zeros(shape), np.zeros(shape, dtype=np.int64))
        self.returns, self.lengths = np.zeros(shape), np.zeros(shape, dtype=np.int64)

    def so_far(self, rows: slice | np.ndarray, alive: np.ndarray, number: int) -> Rollout:
        """Return those of all rows, after `number` steps of the episodes that are alive."""
        self._all.returns[rows] = self.returns
        self._all.lengths[rows] = np.where(alive, number, self.lengths)
        return self._all

    def keep(self, going: np.ndarray) -> None:
        """Go on with only some of the rows that were going on until now."""
        self.returns, self.lengths = self.returns[going], self.lengths[going]


def live(chunk: Chunk) -> Iterator[Step]:
    """Live through the episodes of a chunk, step by step, and once more at the end; the one loop that does.

    Scoring runs to the end and takes the totals; who wants to know more looks at the steps.
    """
    steps = _live(chunk)
    while True:
        with _exactly():
            step = next(steps, None)
        if step is None:
            return
        yield step


def run_chunk(chunk: Chunk) -> Rollout:
    """Live through the episodes of a chunk; returns and lengths are (row, episode)."""
    with _exactly():  # once and not in every step, which takes its time
        (last,) = deque(_live(chunk), maxlen=1)
    return last.totals


@contextmanager
def _exactly() -> Iterator[None]:
    """Compute the same bits on any number of cores; an infinite score saturates tanh, as it should."""
    with one_blas_thread(), np.errstate(over="ignore", under="ignore"):
        yield


def _live(chunk: Chunk) -> Iterator[Step]:
    alive = chunk.episodes >= 0
    weights = [array[chunk.candidates] for array in chunk.policy.prepare(chunk.population)]
    task = chunk.task.start(chunk.seed, np.maximum(chunk.episodes, 0))
    task.leave_out(~alive)
    policy = chunk.policy.start(weights, chunk.task.n_features, alive.shape[1])
    totals, rewards = _Totals(alive.shape), np.zeros(alive.shape)
    rows: slice | np.ndarray = slice(None)
    for number in range(chunk.task.max_steps):
        if number and number % _COMPACT_EVERY == 0 and chunk.drops_rows:
            going: np.ndarray = np.any(alive, axis=1)
            if not going.all():
                totals.so_far(rows, alive, number)
                rows, alive, rewards = np.arange(len(chunk.episodes))[rows][going], alive[going], rewards[going]
                totals.keep(going)
                task, policy = task.keep(going), policy.keep(going)
        task.observe(policy.observations)
        policy.alive = alive
        policy.step()
        yield Step(number, rows, alive, policy.observations, policy.actions, rewards, task, policy, totals)
        earned, over = task.step(policy.actions, alive)
        rewards = np.zeros(alive.shape)
        np.copyto(rewards, earned, where=alive)
        totals.returns += rewards
        ended = alive & over
        if np.count_nonzero(ended):
            np.copyto(totals.lengths, number + 1, where=ended)
            alive = alive ^ ended
            if not np.count_nonzero(alive):
                break
    totals.lengths[alive] = number + 1
    alive = np.zeros_like(alive)
    yield Step(number + 1, rows, alive, policy.observations, policy.actions, rewards, task, policy, totals)
