"""What every task is: episodes that a population of candidates lives through together."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Union

import numpy as np

from ..errors import InputError

Seed = Union[int, Sequence[int]]

# What an episode's random numbers are for. Each purpose has a stream of its own, so that an episode starts
# alike whether or not its inputs are shuffled.
START, SHUFFLE, NOISE = range(3)


def check_seed(seed: Seed) -> tuple[int, ...]:
    """Return a seed, one whole number or several, as a tuple; raise InputError if it is anything else."""
    parts = tuple(seed) if isinstance(seed, (tuple, list)) else (seed,)
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (int, np.integer)) or part < 0:
            raise InputError(f"seed must be a whole number of at least 0, or a sequence of them, got {seed!r}")
    return tuple(int(part) for part in parts)


def episode_generator(seed: Seed, purpose: int, episode: int) -> np.random.Generator:
    """Return the random generator of one episode for one purpose (START, SHUFFLE or NOISE)."""
    return np.random.default_rng(np.random.SeedSequence(check_seed(seed), spawn_key=(purpose, episode)))


def per_episode(
    seed: Seed, purpose: int, episodes: np.ndarray, draw: Callable[[np.random.Generator], np.ndarray]
) -> np.ndarray:
    """Draw once for each distinct episode and lay the results out as `episodes` is.

    Args:
        seed: of the rollout.
        purpose: what the draw is for.
        episodes: numbers (candidate, episode); candidates that meet the same episode get the same draw.
        draw: makes one array (...) from a generator.

    Returns:
        (candidate, episode, ...).
    """
    numbers, positions = np.unique(episodes, return_inverse=True)
    draws = np.stack([draw(episode_generator(seed, purpose, int(number))) for number in numbers])
    return draws[positions.reshape(episodes.shape)]


class TaskRun(ABC):
    """The episodes of a population under way: call `observe`, then `step`, once a step."""

    @abstractmethod
    def observe(self, out: np.ndarray) -> None:
        """Write the current observations into `out` (candidate, feature, episode)."""

    @abstractmethod
    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply `actions` (candidate, action, episode) and move one step on.

        Episodes that are not `alive` (candidate, episode) may be stepped or not; nobody looks.

        Returns:
            The rewards, and whether each episode is over (candidate, episode).
        """

    @abstractmethod
    def keep(self, rows: np.ndarray) -> TaskRun:
        """Return the run of only these candidates (indices or a mask), as they stand."""


class Task(ABC):
    """A task's description: what it observes, how long it lasts, how its episodes start.

    Attributes:
        kind: the name used in files.
        n_features: inputs of the policy, perturbations included.
        n_actions: actions, each in [-1, 1].
        max_steps: the length at which an episode ends by itself.
        chunk_episodes: how many episodes are best stepped at once in one process.
        score_episodes: how many make up the scores that commands print at their end.
    """

    kind: ClassVar[str]
    n_actions: int
    max_steps: int
    chunk_episodes: ClassVar[int] = 768  # what keeps the cart-pole's buffers within a core's cache
    score_episodes: ClassVar[int] = 1000

    @property
    @abstractmethod
    def n_features(self) -> int:
        """The number of inputs a policy sees."""

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the task's own inputs, before anything is done to them."""
        return tuple(f"input {number}" for number in range(self.plain.n_features))

    @property
    def plain(self) -> Task:
        """The same task with nothing done to its inputs."""
        return self

    @property
    def for_training(self) -> Task:
        """The same task with the reward that populations are trained on, where that is another."""
        return self

    @abstractmethod
    def start(self, seed: Seed, episodes: np.ndarray) -> TaskRun:
        """Begin the episodes numbered `episodes` (candidate, episode) of the rollout `seed`."""

    @property
    def config(self) -> dict[str, Any]:
        """The task's own settings by name, with its kind: what files keep of it."""
        return {"kind": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]
