"""Our cart-pole as an environment of gym and of Gymnasium, from one implementation.

    gym.make("pisensory/CartPoleSwingUpHarder-v0")                   also .../CartPoleSwingUpCosine-v0, ...Height-v0
    gymnasium.make("pisensory.envs:pisensory/CartPoleSwingUpHarder-v0")
    gymnasium.make_vec("pisensory.envs:pisensory/CartPoleSwingUpHarder-v0", num_envs=64)

gym finds it through its plugin entry point, Gymnasium by importing the module before the colon. Its physics is that
of the batched task, in Python's own numbers for a single environment and in a `CartPoleRun` for many, so that its
numbers are the same to the bit.
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

import numpy as np

from ..errors import InputError, check_choice, check_int, show
from .base import START, episode_generator
from .cartpole import TIME_STEP, TRACK_LIMIT, VERSIONS, CartPoleRun, accelerations, initial_state, reward
from .drawing import draw_cartpole
from .libraries import EpisodeCounter, load_library
from .window import Window

_IDS = {
    "pisensory/CartPoleSwingUpHarder-v0": "harder",
    "pisensory/CartPoleSwingUpCosine-v0": "v0",
    "pisensory/CartPoleSwingUpHeight-v0": "v1",
}
# The two differ in their reward, not in age. Both libraries call an id out of date that shares its name with a
# later one; so these are other names for the same entries.
_ALIASES = {
    "pisensory/CartPoleSwingUp-v0": "pisensory/CartPoleSwingUpCosine-v0",
    "pisensory/CartPoleSwingUp-v1": "pisensory/CartPoleSwingUpHeight-v0",
}
_MAX_STEPS = 1000
_MOST_ENVS = 100_000
_FRAMES_PER_SECOND = 50
# Bounds that no forces can pass within 1000 steps. In t seconds a force of 10 N adds at most 8.9 t to the root
# of the energy (its power is 10 |v|, and the energy at least 0.31 v^2), which is 57 J at most to begin with;
# what explicit Euler steps add to that is within the margin. The cart stops counting one step off the track.
_FASTEST, _FASTEST_TURN = 200.0, 1000.0
_HIGH = np.array([TRACK_LIMIT + TIME_STEP * _FASTEST, _FASTEST, 1.0, 1.0, _FASTEST_TURN], dtype=np.float32)


def register_gym() -> None:
    """Register the environments with gym; gym calls this itself, by its plugin entry point."""
    # gym's checker of every step uses np.bool8, which NumPy 2 no longer has.
    _register("gym", "GymCartPoleSwingUp", disable_env_checker=True)


def register_envs() -> None:
    """Register the environments with Gymnasium.

    Since its version 1.0 Gymnasium has no plugin entry points, so it cannot ask for this itself. Importing
    `pisensory.envs` does it, and so does importing pisensory if Gymnasium is already imported.

    Raises MissingExtraError if Gymnasium is not installed.

    Examples:
        >>> import gymnasium
        >>> ps.register_envs()
        >>> gymnasium.make("pisensory/CartPoleSwingUpHarder-v0").observation_space.shape
        (5,)
    """
    load_library("gymnasium")
    _register("gymnasium", "GymnasiumCartPoleSwingUp", vector_entry_point=f"{__name__}:GymnasiumCartPoleSwingUpVector")


def register_own(library: str) -> None:
    """Register the environments with the library of this name."""
    {"gym": register_gym, "gymnasium": register_envs}[library]()


def _register(library: str, name: str, **options: Any) -> None:
    # gym is still being imported when it calls this: only this module of it is sure to be there.
    registration = importlib.import_module(f"{library}.envs.registration")
    for env_id, version in _IDS.items():
        if env_id not in registration.registry:
            registration.register(
                env_id,
                entry_point=f"{__name__}:{name}",
                max_episode_steps=_MAX_STEPS,
                kwargs={"version": version},
                **options,
            )
    for alias, env_id in _ALIASES.items():
        registration.registry[alias] = registration.registry[env_id]


def __getattr__(name: str) -> Any:
    """Make the class of each library when it is first asked for; so classes and their instances can be pickled."""
    if name in ("GymCartPoleSwingUp", "GymnasiumCartPoleSwingUp", "GymnasiumCartPoleSwingUpVector"):
        return _make_class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _make_class(name: str) -> type:
    library = load_library("gym" if name == "GymCartPoleSwingUp" else "gymnasium")
    ours: type = _CartPole
    theirs = library.Env
    members = {"__module__": __name__, "_spaces": library.spaces}
    if name.endswith("Vector"):
        ours, theirs = _CartPoles, library.vector.VectorEnv
        members["metadata"] = {**_CartPoles.metadata, "autoreset_mode": library.vector.AutoresetMode.NEXT_STEP}
    return type(name, (ours, theirs), {**members, "__doc__": ours.__doc__})


class _CartPole:
    """Cart-pole swing-up.

    | input | unit | bounds |
    | --- | --- | --- |
    | x | m | +-4.4; the episode is over beyond +-2.4 |
    | x_dot | m/s | +-200 |
    | cos(theta), sin(theta) | 1 | +-1 |
    | theta_dot | rad/s | +-1000 |

    The action is the force in units of 10 N, one number in [-1, 1]; larger ones are cut. Starts and
    rewards are those of `CartPoleSwingUp`. The first reset with a seed starts episode 0 of that seed, and
    each reset without one the next episode: the episodes that a rollout of that seed has, in its order.

    Args:
        version: "harder", "v0" or "v1".
        render_mode: None, "rgb_array" or "human" (a window of pygame's).
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": _FRAMES_PER_SECOND}  # noqa: RUF012 (theirs)
    _spaces: Any  # the module of the library

    def __init__(self, version: str = "harder", render_mode: str | None = None) -> None:
        self.version = check_choice("version", version, VERSIONS)
        self.render_mode = _check_mode(render_mode, self.metadata)
        self.observation_space = self._spaces.Box(-_HIGH, _HIGH, dtype=np.float32)
        self.action_space = self._spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._counter = EpisodeCounter()
        self._state: tuple[float, float, float, float] | None = None
        self._sine = self._cosine = self._action = self._score = 0.0
        self._window: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin an episode; `options` may give the "state" (x, x_dot, theta, theta_dot) to begin in."""
        super().reset(seed=seed)  # type: ignore[misc]
        self._counter.begin(seed, self.np_random)  # type: ignore[attr-defined]
        state = _state_option(options)
        self._stand(_draw_state(self.version, self._counter) if state is None else state)
        self._action = self._score = 0.0
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._counter.info

    def step(self, action: Any) -> Any:
        """Apply a force for 0.01 s."""
        if self._state is None:
            raise InputError("call reset() before step()")
        self._action = _read_action(action)
        x, x_dot, theta, theta_dot = self._state
        x_ddot, theta_ddot = accelerations(x_dot, self._sine, self._cosine, theta_dot, self._action)  # type: ignore
        self._stand((
            x + TIME_STEP * x_dot, x_dot + TIME_STEP * x_ddot, theta + TIME_STEP * theta_dot,
            theta_dot + TIME_STEP * theta_ddot,
        ))  # fmt: skip
        x = self._state[0]
        gained = float(reward(self.version, x, self._cosine))  # type: ignore[arg-type]
        self._score += gained
        if self.render_mode == "human":
            self.render()
        return self._observe(), gained, abs(x) > TRACK_LIMIT, False, {}

    def _stand(self, state: Any) -> None:
        """Be in a state, in Python's own numbers, which are a few times as fast as NumPy's single ones."""
        x, x_dot, theta, theta_dot = map(float, state)
        self._state = (x, x_dot, theta, theta_dot)
        self._sine, self._cosine = float(np.sin(theta)), float(np.cos(theta))

    def _observe(self) -> np.ndarray:
        x, x_dot, _, theta_dot = self._state  # type: ignore[misc]
        return np.array((x, x_dot, self._cosine, self._sine, theta_dot), np.float32)

    def render(self) -> np.ndarray | None:
        """Return the picture, or show it, as the render mode says."""
        if self.render_mode is None or self._state is None:
            return None
        picture = draw_cartpole(self._state[0], self._state[2], self._action, self._score)
        if self.render_mode == "rgb_array":
            return picture
        if self._window is None:
            self._window = Window(_FRAMES_PER_SECOND)
        self._window.show(picture)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the window: it belongs to this process."""
        return {**self.__dict__, "_window": None}


class _CartPoles:
    """Many cart-poles, stepped together; each as the single environment, to the bit.

    `reset(seed=s)` gives environment i the seed s + i. One whose episode is over begins its next one at the next step,
    whatever the action, with a reward of 0 (Gymnasium's AutoresetMode.NEXT_STEP).

    Args:
        num_envs: how many.
        version: "harder", "v0" or "v1".
        max_episode_steps: the longest an episode lasts.
        render_mode: None or "rgb_array".
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": _FRAMES_PER_SECOND}  # noqa: RUF012 (theirs)
    _spaces: Any

    def __init__(
        self,
        num_envs: int = 1,
        version: str = "harder",
        max_episode_steps: int = _MAX_STEPS,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = check_int("num_envs", num_envs, 1, _MOST_ENVS)
        self.version = check_choice("version", version, VERSIONS)
        self.max_episode_steps = check_int("max_episode_steps", max_episode_steps, 1)
        self.render_mode = _check_mode(render_mode, self.metadata)
        high = np.tile(_HIGH, (self.num_envs, 1))
        self.single_observation_space = self._spaces.Box(-_HIGH, _HIGH, dtype=np.float32)
        self.single_action_space = self._spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = self._spaces.Box(-high, high, dtype=np.float32)
        self.action_space = self._spaces.Box(-1.0, 1.0, (self.num_envs, 1), np.float32)
        self._counters = [EpisodeCounter() for _ in range(self.num_envs)]
        self._run: CartPoleRun | None = None
        self._over, self._alive = np.zeros(self.num_envs, bool), np.ones((1, self.num_envs), bool)
        self._steps = np.zeros(self.num_envs, np.int64)
        self._actions, self._scores = np.zeros(self.num_envs), np.zeros(self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """Begin an episode in each environment: with a seed for the first one, or a sequence of one for each."""
        single = seed is None or isinstance(seed, (int, np.integer))
        super().reset(seed=seed if single else None)  # type: ignore[misc]
        seeds = [None if seed is None else seed + i for i in range(self.num_envs)] if single else list(seed)
        if len(seeds) != self.num_envs:
            raise InputError(f"{self.num_envs} environments need as many seeds, got {len(seeds)}")
        state = _state_option(options)
        infos = self._begin(np.arange(self.num_envs), seeds, state)
        self._over[:] = False
        return self._observe(), infos

    def _begin(self, places: np.ndarray, seeds: list[int | None], state: np.ndarray | None = None) -> dict[str, Any]:
        """Begin an episode in the environments at these places, and return what is to be known of them."""
        states = np.empty((4, 1, self.num_envs)) if self._run is None else self._run.state
        begun = np.zeros(self.num_envs, bool)
        begun[places] = True
        infos = {"seed": np.zeros(self.num_envs, np.int64), "episode": np.zeros(self.num_envs, np.int64)}
        for place, seed in zip(places.tolist(), seeds):
            counter = self._counters[place]
            counter.begin(seed, self.np_random)  # type: ignore[attr-defined]
            states[:, 0, place] = _draw_state(self.version, counter) if state is None else state
            infos["seed"][place], infos["episode"][place] = counter.seed, counter.number
        self._run = CartPoleRun(self.version, states)
        self._steps[places] = self._actions[places] = self._scores[places] = 0
        return {**infos, "_seed": begun, "_episode": begun.copy()}

    def step(self, actions: Any) -> Any:
        """Apply a force to each cart for 0.01 s, or begin the next episode where the last one is over."""
        if self._run is None:
            raise InputError("call reset() before step()")
        forces = np.asarray(actions, dtype=np.float64)
        if forces.shape != (self.num_envs, 1) or np.count_nonzero(np.isfinite(forces)) < self.num_envs:
            raise InputError(f"the actions must be finite numbers ({self.num_envs}, 1), got {show(actions)}")
        self._actions = np.minimum(np.maximum(forces[:, 0], -1.0), 1.0)
        rewards, over = self._run.step(self._actions[None, None], self._alive)
        gained, terminated = rewards[0], over[0]
        self._steps += 1
        self._scores += gained
        truncated = self._steps >= self.max_episode_steps
        infos: dict[str, Any] = {}
        if np.count_nonzero(self._over):
            places = np.nonzero(self._over)[0]
            gained[places], terminated[places], truncated[places] = 0.0, False, False
            infos = self._begin(places, [None] * len(places))
        self._over = terminated | truncated
        return self._observe(), gained, terminated, truncated, infos

    def _observe(self) -> np.ndarray:
        observations = np.empty((self.num_envs, 5), np.float32)
        self._run.observe(observations.T[None, :, None])  # type: ignore[union-attr]
        return observations

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return a picture of each, if the render mode says so."""
        if self.render_mode is None or self._run is None:
            return None
        states = self._run.state[:, 0]
        return tuple(
            map(draw_cartpole, *(values.tolist() for values in (states[0], states[2], self._actions, self._scores)))
        )


def _check_mode(render_mode: Any, metadata: dict[str, Any]) -> str | None:
    """Return a render mode that there is, or None."""
    return None if render_mode is None else check_choice("render_mode", render_mode, metadata["render_modes"])


def _draw_state(version: str, counter: EpisodeCounter) -> np.ndarray:
    """Return the state that an episode begins in."""
    return initial_state(version, episode_generator(counter.seed, START, counter.number))


def _read_action(action: Any) -> float:
    """Return an action as a number in [-1, 1]; raise InputError for what is none."""
    try:
        value = float(np.asarray(action, dtype=np.float64).item())
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"the action must be one finite number in [-1, 1], got {show(action)}")
    return min(max(value, -1.0), 1.0)


def _state_option(options: dict[str, Any] | None) -> np.ndarray | None:
    """Return the state that reset's options give, or None; raise InputError for one that cannot be."""
    unknown = set(options or {}) - {"state"}
    if unknown:
        raise InputError(f"reset takes the option 'state' and no others, got {sorted(map(str, unknown))}")
    if not options or options["state"] is None:
        return None
    try:
        state = np.asarray(options["state"], dtype=np.float64)
    except (TypeError, ValueError):
        state = np.empty(0)
    if state.shape != (4,) or not np.isfinite(state).all():
        raise InputError(f"the state must be (x, x_dot, theta, theta_dot), finite, got {show(options['state'])}")
    return state
