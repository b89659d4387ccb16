"""What every task has whose episodes are stepped one by one, each in an environment of its own.

Environments are made once a process, kept for the next rollout, and closed at the end.
"""

from __future__ import annotations

import copy
import functools
import math
import threading
from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..errors import InputError, TaskError, check_array, show
from ..parameters import Vector
from .base import START, Task, TaskRun, episode_generator
from .libraries import is_space

PICTURES = "rgb_array"

AnyEnvironmentTask = TypeVar("AnyEnvironmentTask", bound="EnvironmentTask")
AnyRun = TypeVar("AnyRun", bound="EnvironmentRun")


class EnvironmentTask(Task):
    """A task in environments of gym or Gymnasium.

    A class of them says how one is made (`make_env`) and which of them are alike (`env_key`); what they show, do
    and earn it may leave as it is here: a Box of one axis or a Discrete, one number a feature; and `scale_action`.
    """

    # Stepping environments is Python's work, one after the other: nothing is won by more at once.
    chunk_episodes: ClassVar[int] = 16
    score_episodes: ClassVar[int] = 100
    render_mode: ClassVar[str | None] = None  # what environments are made with; `with_pictures` changes it

    @property
    @abstractmethod
    def env_key(self) -> tuple:
        """What tells environments of this task from others: those of the same key are used for each other."""

    @abstractmethod
    def make_env(self) -> Any:
        """Return a new environment, of the render mode `render_mode`."""

    def sense(self, env: Any, observation: Any) -> np.ndarray:
        """Return what an environment shows as (feature, channel)."""
        space = env.observation_space
        if is_space(space, "Discrete"):
            return (np.arange(space.n) == int(observation) - int(space.start))[:, None]
        values = np.asarray(observation, dtype=np.float32)
        if values.shape != space.shape:
            raise ValueError(f"an observation that is not of the shape {space.shape}: {observation!r}")
        return values[:, None]

    def act(self, env: Any, outputs: np.ndarray) -> Any:
        """Return what the policy's outputs (action,) mean to an environment."""
        return _scale(env.action_space, outputs)

    def reward(self, env: Any, reward: float) -> float:
        """Return what the step just taken by `env`, rewarded by it with `reward`, is worth."""
        return reward

    def with_pictures(self: AnyEnvironmentTask) -> AnyEnvironmentTask:
        """Return the same task in environments that can be asked for pictures.

        Raises InputError if there are none of this kind.
        """
        task = copy.copy(self)
        object.__setattr__(task, "render_mode", PICTURES)
        try:
            with Lease(task, 1) as lease:
                supported = lease.envs[0].render_mode == PICTURES
        except (InputError, TypeError, AttributeError):
            supported = False
        if not supported:
            raise InputError(f"{self.label} has no render mode {PICTURES!r}, so there are no pictures of it")
        return task

    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> EnvironmentRun:
        return EnvironmentRun(self, seed, episodes)


# Environments that nobody uses, by what they are made from, for all threads of a process.
_idle: dict[tuple, list[Any]] = {}
# A lease may be collected, and so given back, while this same thread holds the lock.
_lock = threading.RLock()


def close_environments() -> None:
    """Close the environments that no rollout is using."""
    with _lock:
        envs = [env for idle in _idle.values() for env in idle]
        _idle.clear()
    for env in envs:
        env.close()


@functools.cache
def _close_at_exit() -> None:
    """Have this process close idle environments when it ends."""
    import multiprocessing.util  # here, as it loads sockets and more

    # Worker processes end without running `atexit`, but they run these.
    multiprocessing.util.Finalize(None, close_environments, exitpriority=0)


class Lease:
    """Environments in use, idle ones before new ones; given back when the last one who uses them is gone.

    Args:
        task: what they are of.
        n_envs: how many.
    """

    def __init__(self, task: EnvironmentTask, n_envs: int) -> None:
        _close_at_exit()
        self._key = (type(task), task.env_key, task.render_mode)
        self.envs: list[Any] = []
        while len(self.envs) < n_envs:
            with _lock:
                idle = _idle.get(self._key)
                env = idle.pop() if idle else None
            self.envs.append(task.make_env() if env is None else env)

    def give_back(self) -> None:
        """Let others use the environments."""
        with _lock:
            _idle.setdefault(self._key, []).extend(self.envs)
        self.envs = []

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: Any) -> None:
        self.give_back()

    def __del__(self) -> None:
        self.give_back()


class EnvironmentRun(TaskRun):
    """Episodes under way, an environment each.

    Args:
        task: what they are of.
        seed: of the rollout.
        episodes: numbers (candidate, episode).
    """

    def __init__(self, task: EnvironmentTask, seed: tuple[int, ...], episodes: np.ndarray) -> None:
        self.task, self.seed = task, seed
        self._episodes = episodes
        self._lease: Lease | None = None
        self._envs = np.empty(episodes.shape, dtype=object)
        self._values = self._make_values()
        self._started = np.zeros(episodes.shape, bool)
        self._step = 0

    def _make_values(self) -> np.ndarray:
        """Return room for what is shown (candidate, episode, feature, channel)."""
        senses = self.task.senses
        return np.zeros((*self._episodes.shape, len(senses.names), senses.n_channels), np.float32)

    def leave_out(self, places: np.ndarray) -> None:
        """Begin none of these episodes (candidate, episode)."""
        self._started |= places

    def observe(self, out: np.ndarray) -> None:
        """Write the current observations into `out` (candidate, feature, channel, episode)."""
        self._begin()
        out[...] = self._values.transpose(0, 2, 3, 1)

    def _begin(self) -> list[tuple[int, int]]:
        """Start the episodes, which is when they are first looked at; return those that this started."""
        if self._started.all():
            return []
        places = [(int(row), int(column)) for row, column in np.argwhere(~self._started)]
        self._lease = Lease(self.task, len(places))
        for place, env in zip(places, self._lease.envs):
            self._envs[place] = env
            self._reset(place)
        self._started[:] = True
        return places

    def _reset(self, place: tuple[int, int]) -> None:
        generator = episode_generator(self.seed, START, int(self._episodes[place]))
        with self._blame(place):
            observation, _ = self._envs[place].reset(seed=int(generator.integers(2**31)))
            self._note(place, observation)

    def _note(self, place: tuple[int, int], observation: Any) -> None:
        """Keep an observation of one episode."""
        sensed = self.task.sense(self._envs[place], observation)
        if not np.isfinite(sensed).all():
            raise ValueError(f"an observation that is not finite: {observation!r}")
        self._values[place] = sensed

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step the environments of the episodes that are alive."""
        self._step += 1
        rewards, over = np.zeros(alive.shape), np.zeros(alive.shape, bool)
        for place in zip(*np.nonzero(alive)):
            env = self._envs[place]
            with self._blame(place):
                action = self.task.act(env, actions[place[0], :, place[1]])
                observation, reward, terminated, truncated, _ = env.step(action)
                self._note(place, observation)
                rewards[place] = self.task.reward(env, float(reward))
            over[place] = terminated or truncated
        return rewards, over

    def world(self, place: tuple[int, int]) -> Any:
        """Return the environment of one episode, which has begun."""
        self._begin()
        return self._envs[place]

    def picture(
        self, place: tuple[int, int], action: np.ndarray, score: float | None, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return the environment's own picture (height, width, 3), uint8, of one episode of a task `with_pictures`."""
        with self._blame(place):
            picture = np.asarray(self._envs[place].render(), dtype=np.uint8)
            if picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"a picture of the shape {picture.shape}, which is not (height, width, 3)")
            return picture

    def _blame(self, place: tuple[int, int]) -> _Blame:
        return _Blame(f"{self.task.label}, step {self._step} of episode {int(self._episodes[place])}")

    def keep(self: AnyRun, rows: np.ndarray) -> AnyRun:
        """Return the run of only these candidates; the other environments wait for the next rollout."""
        kept = copy.copy(self)
        kept._episodes, kept._envs, kept._started = self._episodes[rows], self._envs[rows], self._started[rows]
        kept._values = self._values[rows].copy()
        return kept


class _Blame:
    """Turns whatever an environment raises into a TaskError that says which, and where."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise TaskError(f"the environment failed ({self.where}): {type(error).__name__}: {error}") from error


def count_inputs(name: str, space: Any) -> int:
    """Return how many features an environment's observations are; raise InputError if they cannot be."""
    if is_space(space, "Discrete"):
        return int(space.n)
    if is_space(space, "Box") and len(space.shape) == 1:
        return int(space.shape[0])
    raise InputError(
        f"{name} observes {show(space)}; what a policy can see is a Box of one axis, or Discrete: flatten it with a "
        "wrapper"
    )


def count_outputs(name: str, space: Any) -> int:
    """Return how many actions of a policy an environment takes; raise InputError if they cannot be scaled to it."""
    if is_space(space, "Discrete"):
        return int(space.n)
    if not is_space(space, "Box") or len(space.shape) != 1:
        raise InputError(f"{name} acts by {show(space)}; what a policy can do is a Box of one axis, or Discrete")
    if not all(math.isfinite(bound) for bound in (*space.low, *space.high)):
        raise InputError(
            f"{name} takes actions without bounds, {show(space)}; (-1, 1) cannot be scaled to them: add a wrapper "
            "with bounds"
        )
    return int(space.shape[0])


def scale_action(space: Any, outputs: Vector) -> Any:
    """Return what a policy's outputs mean to an environment: what `GymTask` has it do.

    Args:
        space: the environment's `action_space`: a bounded Box of one axis, to whose bounds (-1, 1) is scaled, or
            a Discrete, of which the largest output is chosen.
        outputs: a policy's (action,), each in [-1, 1].

    Returns:
        An action for the environment's `step`.

    Raises:
        InputError: for another space, or another number of outputs than it takes.

    Examples:
        >>> import gymnasium
        >>> ps.scale_action(gymnasium.make("Pendulum-v1").action_space, [0.5])  # its bounds are -2 and 2
        array([1.], dtype=float32)
    """
    n_outputs, values = count_outputs("the environment", space), check_array("outputs", outputs)
    if values.shape != (n_outputs,):
        raise InputError(f"outputs must be of the shape ({n_outputs},) for {show(space)}, got {values.shape}")
    return _scale(space, values)


def _scale(space: Any, values: np.ndarray) -> Any:
    if is_space(space, "Discrete"):
        return int(np.argmax(values)) + int(space.start)
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    return np.clip(low + (values + 1.0) * 0.5 * (high - low), low, high).astype(space.dtype)
