"""Perturbations as wrappers for any environment of gym or Gymnasium whose observations are flat vectors."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..errors import InputError, check_type, show
from .episodes import TaskRun
from .libraries import EpisodeCounter, library_of, load_library
from .perturbation import Perturbation, PerturbedRun

_CLASSES = {"gym": "GymPerturbation", "gymnasium": "GymnasiumPerturbation"}


def perturb_env(env: Any, perturbation: Perturbation) -> Any:
    """Wrap an environment so that its observations pass through a perturbation.

    The draws are those of a rollout: the first reset with a seed has episode 0 of that seed, and each reset
    without one the next.

    Args:
        env: of gym or Gymnasium, with observations of one axis.
        perturbation: faults, copies, noise inputs, shuffles.

    Raises:
        InputError: for an environment of neither library, or other observations.

    Examples:
        >>> import gymnasium
        >>> env = ps.perturb_env(gymnasium.make("Pendulum-v1"), ps.Perturbation(shuffle=True, n_noise=2))
        >>> observation, _ = env.reset(seed=0)
        >>> observation.shape
        (5,)
    """
    return _make_class(_CLASSES[library_of(env).__name__])(env, perturbation)


def __getattr__(name: str) -> Any:
    """Make the class of each library when it is first asked for; so wrappers can be pickled, and made from a spec."""
    if name in _CLASSES.values():
        return _make_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
def _make_class(name: str) -> type:
    library = load_library("gym" if name == _CLASSES["gym"] else "gymnasium")
    members: dict[str, Any] = {"__module__": __name__, "__doc__": _Perturbed.__doc__, "_spaces": library.spaces}
    if name == _CLASSES["gym"]:
        return type(name, (_Perturbed, library.Wrapper), members)
    # Gymnasium notes what a wrapper was made with, so that the environment's spec can make it again.
    recorder = library.utils.RecordConstructorArgs
    return type(name, (_Perturbed, library.Wrapper, recorder), {**members, "_record": recorder.__init__})


class _Perturbed:
    """An environment whose observations pass through a perturbation.

    Args:
        env: with observations of one axis.
        perturbation: faults, copies, noise inputs, shuffles.
    """

    env: Any
    _spaces: Any  # the module of the library

    def __init__(self, env: Any, perturbation: Perturbation) -> None:
        check_type("perturbation", perturbation, Perturbation, "ps.Perturbation(shuffle=True)")
        self._record(perturbation=perturbation)
        super().__init__(env)  # type: ignore[call-arg]
        space = env.observation_space
        if not isinstance(space, self._spaces.Box) or len(space.shape) != 1:
            raise InputError(f"only observations of one axis (Box) can be perturbed, got {show(space)}")
        self.perturbation = perturbation
        self._shape = (space.shape[0], 1)
        perturbation.n_features(space.shape[0])  # refuses inputs that there are not
        self.observation_space = self._spaces.Box(*_perturbed_bounds(space, perturbation), dtype=np.float32)
        self._counter = EpisodeCounter()
        self._single = _Single()
        self._run: PerturbedRun | None = None

    def _record(self, **arguments: Any) -> None:
        """Note what this was made with, where the library can use it."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin an episode, and the draws of its perturbation."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._counter.begin(seed, np.random.default_rng())
        episodes = np.full((1, 1), self._counter.number)
        self._run = self.perturbation.apply(self._single, self._shape, (self._counter.seed,), episodes)
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


def _perturbed_bounds(space: Any, perturbation: Perturbation) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of what a perturbation shows: shuffled, any input may be anywhere."""
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    for number in perturbation.dropped:
        low[number], high[number] = min(low[number], 0), max(high[number], 0)
    low, high = (np.repeat(bound, perturbation.n_copies) for bound in (low, high))
    noise = np.full(perturbation.noise_places, np.inf, np.float32)
    low, high = np.concatenate([low, -noise]), np.concatenate([high, noise])
    if perturbation.shuffle or perturbation.reshuffle_every is not None:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    return low, high
