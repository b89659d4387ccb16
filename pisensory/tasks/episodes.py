"""What episodes are: numbered, drawn from seeds of their own, and lived through together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from ..errors import InputError, check_int, show

Seed = Union[int, Sequence[int]]

# What an episode's random numbers are for. Each purpose has a stream of its own, so that an episode starts
# alike whether or not its inputs are shuffled.
START, SHUFFLE, NOISE, RANGES, REMOVAL, SCENE, LAYER = range(7)
_LARGEST_SEED = 2**128 - 1


def check_seed(seed: Seed) -> tuple[int, ...]:
    """Return a seed, one whole number or several, as a tuple; raise InputError if it is anything else."""
    several = isinstance(seed, (tuple, list)) or (isinstance(seed, np.ndarray) and seed.ndim == 1)
    parts = tuple(seed) if several else (seed,)  # type: ignore[arg-type]
    try:
        return tuple(check_int("seed", part, 0, _LARGEST_SEED) for part in parts)
    except InputError:
        raise InputError(
            f"seed must be a whole number of at least 0, or a sequence of them, got {show(seed)}"
        ) from None


def episode_generator(seed: Seed, purpose: int, episode: int) -> np.random.Generator:
    """Return the random generator of one episode for one purpose, such as START or NOISE."""
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
    """The episodes of a population under way: call `observe`, then `step`, once a step.

    Time advances in `step` alone: to observe twice is to see the same.
    """

    def leave_out(self, places: np.ndarray) -> None:  # noqa: B027 - few have anything to do
        """Be told, before anything else, which episodes (candidate, episode) are never alive.

        They only fill up rows: whoever has work in beginning an episode need not begin them, and may show anything.
        """

    @abstractmethod
    def observe(self, out: np.ndarray) -> None:
        """Write the current observations into `out` (candidate, feature, channel, episode), float32."""

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

    def picture(
        self, place: tuple[int, int], action: np.ndarray, score: float | None, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return a picture of one episode as it stands (height, width, 3), uint8.

        Args:
            place: its (candidate, episode).
            action: what is about to be done (action,).
            score: its return so far, to be shown by a task that draws itself; None shows none.
            size: the width and height that are wanted, in pixels; a task that is drawn by others gives its own.

        Raises:
            InputError: if there are no pictures of the task: ask for them with `Task.with_pictures`.
        """
        raise InputError("there are no pictures of this task")

    def world(self, place: tuple[int, int]) -> Any:
        """Return the simulator of one episode (candidate, episode), for teachers that see more than policies do.

        Raises InputError if there is none to be looked into.
        """
        raise InputError("this task has no simulator to look into: take a teacher that sees what policies see")
