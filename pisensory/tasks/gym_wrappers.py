"""Perturbations as wrappers for any environment of gym or Gymnasium whose observations are flat vectors."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..errors import InputError
from .episodes import TaskRun
from .libraries import library_of, load_library
from .perturbation import Perturbation, PerturbedRun


def perturb_env(env: Any, perturbation: Perturbation) -> Any:
    """Wrap an environment so that its observations pass through a perturbation.

    The draws are those of a rollout: the first reset with a seed has episode 0 of that seed, and each reset
    without one the next.

    Args:
        env: of gym or Gymnasium, with observations of one axis.
        perturbation: faults, copies, noise inputs, shuffles.

    Raises:
        InputError: for an environment of neither library, or other observations.
    """
    return _make_wrapper_class(library_of(env).__name__)(env, perturbation)


class _Single(TaskRun):
    """One episode of an environment that somebody else steps."""

    values: Any  # the last observation (feature,)

    def observe(self, out: np.ndarray) -> None:
        out[0, :, 0, 0] = self.values

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return alive, alive

    def keep(self, rows: np.ndarray) -> _Single:
        return self


@functools.cache
def _make_wrapper_class(library_name: str) -> type:
    library = load_library(library_name)

    class PerturbObservation(library.Wrapper):  # type: ignore[name-defined]
        """An environment whose observations pass through a perturbation."""

        def __init__(self, env: Any, perturbation: Perturbation) -> None:
            super().__init__(env)
            space = env.observation_space
            if not isinstance(space, library.spaces.Box) or len(space.shape) != 1:
                raise InputError(f"only observations of one axis (Box) can be perturbed, got {space}")
            self.perturbation = perturbation
            self._shape = (space.shape[0], 1)
            perturbation.n_features(space.shape[0])  # refuses inputs that there are not
            self.observation_space = _perturbed_space(library, space, perturbation)
            self._episode_seed: int | None = None
            self._episode = -1
            self._single = _Single()
            self._run: PerturbedRun | None = None

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            """Begin an episode, and the draws of its perturbation."""
            observation, info = self.env.reset(seed=seed, options=options)
            if seed is not None or self._episode_seed is None:
                self._episode_seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
                self._episode = -1
            self._episode += 1
            episodes = np.full((1, 1), self._episode)
            self._run = self.perturbation.apply(self._single, self._shape, (self._episode_seed,), episodes)
            return self._perturb(observation), info

        def step(self, action: Any) -> Any:
            """Step the environment, and perturb what it shows."""
            if self._run is None:
                raise InputError("call reset() before step()")
            observation, *rest = self.env.step(action)
            self._run.step(np.zeros((1, 1, 1)), np.ones((1, 1), bool))
            return (self._perturb(observation), *rest)

        def _perturb(self, observation: np.ndarray) -> np.ndarray:
            self._single.values = observation
            shown = np.empty((1, *self.observation_space.shape, 1, 1), np.float32)
            self._run.observe(shown)  # type: ignore[union-attr]
            return shown[0, :, 0, 0]

    PerturbObservation.__module__ = __name__
    return PerturbObservation


def _perturbed_space(library: Any, space: Any, perturbation: Perturbation) -> Any:
    """Return the bounds of what a perturbation shows: shuffled, any input may be anywhere."""
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    for number in perturbation.dropped:
        low[number], high[number] = min(low[number], 0), max(high[number], 0)
    low, high = (np.repeat(bound, perturbation.n_copies) for bound in (low, high))
    noise = np.full(perturbation.n_noise, np.inf, np.float32)
    low, high = np.concatenate([low, -noise]), np.concatenate([high, noise])
    if perturbation.shuffle or perturbation.reshuffle_every is not None:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    return library.spaces.Box(low, high, dtype=np.float32)
