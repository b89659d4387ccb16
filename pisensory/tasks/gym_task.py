"""Any environment of gym or Gymnasium as a task.

Environments are made once a process, kept for the next rollout, and closed at the end.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, TaskError, check_int
from .base import START, Seed, Task, TaskRun, episode_generator
from .libraries import LIBRARIES, load_library, quiet
from .perturbation import Perturbation

_DEFAULT_MAX_STEPS = 1000
_PICTURES = "rgb_array"


@dataclasses.dataclass(frozen=True)
class GymTask(Task):
    """An environment as a task.

    Observations are a `Box` of one axis, or `Discrete`, given as one input for each value (one-hot). Actions
    are a bounded `Box` of one axis, to whose bounds the policy's (-1, 1) is scaled, or `Discrete`, of which
    the largest of n outputs is chosen; the policy is told the action that it gave.

    Args:
        env: an id such as "Pendulum-v1", or a function that makes an environment.
        library: "gymnasium" or "gym", for an id.
        max_steps: the longest an episode lasts; the environment's own limit, or 1000, if None.
        kwargs: for the environment's making.
        perturbation: what is done to the inputs on their way to the policy.

    Raises:
        InputError: for an environment that there is not, or spaces that cannot be.
        MissingExtraError: if the library is not installed.
    """

    env: str | Callable[..., Any]
    library: str = "gymnasium"
    max_steps: int | None = None  # type: ignore[assignment]
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    _n_sources: int = dataclasses.field(init=False, repr=False, compare=False)
    n_actions: int = dataclasses.field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "gym"
    # Stepping environments is Python's work, one after the other: nothing is won by more at once.
    chunk_episodes: ClassVar[int] = 16
    score_episodes: ClassVar[int] = 100

    def __post_init__(self) -> None:
        if self.library not in LIBRARIES:
            raise InputError(f"library must be one of {', '.join(LIBRARIES)}, got {self.library!r}")
        if not isinstance(self.perturbation, Perturbation):
            raise InputError(f"perturbation must be a Perturbation, got {self.perturbation!r}")
        with _Lease(self, 1) as lease:
            env = lease.envs[0]
            observations, actions = env.observation_space, env.action_space
            object.__setattr__(self, "_n_sources", _count_inputs(self.name, observations))
            object.__setattr__(self, "n_actions", _count_outputs(self.name, actions))
            if self.max_steps is None:
                limit = getattr(getattr(env, "spec", None), "max_episode_steps", None)
                object.__setattr__(self, "max_steps", limit or _DEFAULT_MAX_STEPS)
        object.__setattr__(self, "max_steps", check_int("max_steps", self.max_steps, 1))

    @property
    def name(self) -> str:
        """What messages call the environment."""
        return self.env if isinstance(self.env, str) else getattr(self.env, "__qualname__", repr(self.env))

    @property
    def n_features(self) -> int:
        """The number of inputs a policy sees, copies and noise included."""
        return self.perturbation.n_features(self._n_sources)

    @property
    def plain(self) -> GymTask:
        """The same task with nothing done to its inputs."""
        return dataclasses.replace(self, perturbation=Perturbation())

    @property
    def config(self) -> dict[str, Any]:
        """The task's settings by name. One made from a function is named, but cannot be made from this."""
        return {
            "kind": self.kind, "env": self.name, "library": self.library, "max_steps": self.max_steps,
            "kwargs": self.kwargs, "perturbation": self.perturbation.config,
        }  # fmt: skip

    def make_env(self) -> Any:
        """Return a new environment."""
        with quiet():
            if callable(self.env):
                return self.env(**self.kwargs)
            library = load_library(self.library)
            checker = {"disable_env_checker": True}  # gym's uses np.bool8, which NumPy 2 no longer has
            try:
                return library.make(self.env, **checker, **self.kwargs)
            except (library.error.Error, ImportError, TypeError) as error:
                raise InputError(f"{self.library} cannot make the environment {self.env!r}: {error}") from error

    def with_pictures(self) -> GymTask:
        """Return the same task in environments that can be asked for pictures.

        Raises InputError if there are none of this kind.
        """
        task = copy.copy(self)
        object.__setattr__(task, "kwargs", {**self.kwargs, "render_mode": _PICTURES})
        try:
            with _Lease(task, 1) as lease:
                supported = lease.envs[0].render_mode == _PICTURES
        except (InputError, TypeError, AttributeError):
            supported = False
        if not supported:
            raise InputError(f"{self.name} has no render mode {_PICTURES!r}, so there are no pictures of it")
        return task

    def reward(self, env: Any, reward: float) -> float:
        """Return what the step just taken by `env`, rewarded by it with `reward`, is worth."""
        return reward

    def start(self, seed: Seed, episodes: np.ndarray) -> TaskRun:
        """Begin the episodes numbered `episodes` (candidate, episode) of the rollout `seed`."""
        run = GymRun(self, seed, episodes, _Lease(self, episodes.size))
        return self.perturbation.apply(run, self._n_sources, seed, episodes)


# Environments not in use, by what they are made from.
_idle: dict[Any, list[Any]] = {}


def close_environments() -> None:
    """Close the environments that no rollout is using."""
    for envs in _idle.values():
        for env in envs:
            env.close()
    _idle.clear()


@functools.cache
def _close_at_exit() -> None:
    """Have this process close idle environments when it ends."""
    import multiprocessing.util  # here, as it loads sockets and more

    # Worker processes end without running `atexit`, but they run these.
    multiprocessing.util.Finalize(None, close_environments, exitpriority=0)


class _Lease:
    """Environments in use, to be given back when the last one who uses them is gone."""

    def __init__(self, task: GymTask, n_envs: int) -> None:
        _close_at_exit()
        self._key = (task.kind, task.env, task.library, json.dumps(task.kwargs, sort_keys=True, default=repr))
        idle = _idle.setdefault(self._key, [])
        self.envs = [idle.pop() if idle else task.make_env() for _ in range(n_envs)]

    def give_back(self) -> None:
        """Let others use the environments."""
        _idle.setdefault(self._key, []).extend(self.envs)
        self.envs = []

    def __enter__(self) -> _Lease:
        return self

    def __exit__(self, *error: Any) -> None:
        self.give_back()

    def __del__(self) -> None:
        if getattr(self, "envs", None):
            self.give_back()


class GymRun(TaskRun):
    """Episodes under way, an environment each.

    Args:
        task: what they are of.
        seed: of the rollout.
        episodes: numbers (candidate, episode).
        lease: the environments, one after the other by candidate and episode.
    """

    def __init__(self, task: GymTask, seed: Seed, episodes: np.ndarray, lease: _Lease) -> None:
        self.task, self.seed, self._lease = task, seed, lease
        self._episodes = episodes
        self._envs = np.empty(episodes.shape, dtype=object)
        self._envs.flat[:] = lease.envs
        self._values = np.zeros((task._n_sources, *episodes.shape), np.float32)
        self._started = np.zeros(episodes.shape, bool)
        self._step = 0

    def observe(self, out: np.ndarray) -> None:
        """Write the current observations into `out` (candidate, feature, episode)."""
        if not self._started.all():  # environments start when they are first looked at
            for place in zip(*np.nonzero(~self._started)):
                self._reset(place)
            self._started[:] = True
        out[...] = self._values.transpose(1, 0, 2)

    def _reset(self, place: tuple[int, int]) -> None:
        generator = episode_generator(self.seed, START, int(self._episodes[place]))
        with self._blame(place):
            observation, _ = self._envs[place].reset(seed=int(generator.integers(2**31)))
            self._note(place, observation)

    def _note(self, place: tuple[int, int], observation: Any) -> None:
        """Keep an observation of one episode."""
        space = self._envs[place].observation_space
        if hasattr(space, "n"):
            self._values[:, place[0], place[1]] = np.arange(space.n) == int(observation) - int(space.start)
            return
        values = np.asarray(observation, dtype=np.float32)
        if values.shape != space.shape or not np.isfinite(values).all():
            raise ValueError(f"an observation that is not finite, or not of the shape {space.shape}: {observation!r}")
        self._values[:, place[0], place[1]] = values

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step the environments of the episodes that are alive."""
        self._step += 1
        rewards, over = np.zeros(alive.shape), np.zeros(alive.shape, bool)
        for place in zip(*np.nonzero(alive)):
            env = self._envs[place]
            with self._blame(place):
                action = _to_action(env.action_space, actions[place[0], :, place[1]])
                observation, reward, terminated, truncated, _ = env.step(action)
                self._note(place, observation)
                rewards[place] = self.task.reward(env, float(reward))
            over[place] = terminated or truncated
        return rewards, over

    def picture(self, place: tuple[int, int]) -> np.ndarray:
        """Return the environment's picture (height, width, 3), uint8, of one episode of a task `with_pictures`."""
        with self._blame(place):
            picture = np.asarray(self._envs[place].render(), dtype=np.uint8)
            if picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"a picture of the shape {picture.shape}, which is not (height, width, 3)")
            return picture

    def _blame(self, place: tuple[int, int]) -> _Blame:
        return _Blame(f"{self.task.name}, step {self._step} of episode {int(self._episodes[place])}")

    def keep(self, rows: np.ndarray) -> GymRun:
        """Return the run of only these candidates; the other environments wait for the next rollout."""
        kept = object.__new__(GymRun)
        kept.__dict__.update(self.__dict__)
        kept._episodes, kept._envs, kept._started = self._episodes[rows], self._envs[rows], self._started[rows]
        kept._values = self._values[:, rows].copy()
        return kept


class _Blame:
    """Turns whatever an environment raises into a TaskError that says which, and where."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise TaskError(f"the environment failed ({self.where}): {type(error).__name__}: {error}") from error


def _count_inputs(name: str, space: Any) -> int:
    if hasattr(space, "n") and hasattr(space, "start") and not isinstance(space.n, np.ndarray):
        return int(space.n)
    if type(space).__name__ == "Box" and len(space.shape) == 1:
        return int(space.shape[0])
    raise InputError(
        f"{name} observes {space}; what a policy can see is a Box of one axis, or Discrete: flatten it with a wrapper"
    )


def _count_outputs(name: str, space: Any) -> int:
    if hasattr(space, "n") and hasattr(space, "start") and not isinstance(space.n, np.ndarray):
        return int(space.n)
    if type(space).__name__ != "Box" or len(space.shape) != 1:
        raise InputError(f"{name} acts by {space}; what a policy can do is a Box of one axis, or Discrete")
    if not all(math.isfinite(bound) for bound in (*space.low, *space.high)):
        raise InputError(
            f"{name} takes actions without bounds, {space}; (-1, 1) cannot be scaled to them: add a wrapper with bounds"
        )
    return int(space.shape[0])


def _to_action(space: Any, outputs: np.ndarray) -> Any:
    """Return what the policy's outputs (action,) mean to an environment."""
    if hasattr(space, "n"):
        return int(np.argmax(outputs)) + int(space.start)
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    return np.clip(low + (outputs + 1.0) * 0.5 * (high - low), low, high).astype(space.dtype)
