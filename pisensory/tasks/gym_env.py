"""Our cart-pole as an environment of gym and of Gymnasium, from one implementation.

    gym.make("pisensory/CartPoleSwingUpHarder-v0")                   also .../CartPoleSwingUp-v0 and -v1
    gymnasium.make("pisensory.envs:pisensory/CartPoleSwingUpHarder-v0")

gym finds it through its plugin entry point, Gymnasium by importing the module before the colon. It steps the
same `CartPoleRun` as the batched task, with one candidate and one episode, so its numbers are the same to the
bit.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from ..errors import InputError, import_extra
from .base import START, episode_generator
from .cartpole import TIME_STEP, TRACK_LIMIT, VERSIONS, CartPoleRun, initial_state
from .drawing import draw_cartpole
from .libraries import load_library

_IDS = {"CartPoleSwingUpHarder-v0": "harder", "CartPoleSwingUp-v0": "v0", "CartPoleSwingUp-v1": "v1"}
_MAX_STEPS = 1000
_FRAMES_PER_SECOND = 50
# Bounds that no forces can pass within 1000 steps. In t seconds a force of 10 N adds at most 8.9 t to the root
# of the energy (its power is 10 |v|, and the energy at least 0.31 v^2), which is 57 J at most to begin with;
# what explicit Euler steps add to that is within the margin. The cart stops counting one step off the track.
_FASTEST, _FASTEST_TURN = 200.0, 1000.0
_HIGH = np.array([TRACK_LIMIT + TIME_STEP * _FASTEST, _FASTEST, 1.0, 1.0, _FASTEST_TURN], dtype=np.float32)


def register_gym() -> None:
    """Register the environments with gym; gym calls this itself, by its plugin entry point."""
    # gym adds the entry point's name, pisensory, to the ids. Its checker of every step uses np.bool8, which
    # NumPy 2 no longer has.
    _register("gym", "", "GymCartPoleSwingUp", disable_env_checker=True)


def register_envs() -> None:
    """Register the environments with Gymnasium.

    Since its version 1.0 Gymnasium has no plugin entry points, so it cannot ask for this itself. Importing
    `pisensory.envs` does it, and so does importing pisensory if Gymnasium is already imported.

    Raises MissingExtraError if Gymnasium is not installed.
    """
    load_library("gymnasium")
    _register("gymnasium", "pisensory/", "GymnasiumCartPoleSwingUp")


def _register(library: str, namespace: str, name: str, **options: Any) -> None:
    # gym is still being imported when it calls this: only this module of it is sure to be there.
    registration = importlib.import_module(f"{library}.envs.registration")
    for env_id, version in _IDS.items():
        if namespace + env_id not in registration.registry:
            registration.register(
                namespace + env_id,
                entry_point=f"{__name__}:{name}",
                max_episode_steps=_MAX_STEPS,
                kwargs={"version": version},
                **options,
            )


def __getattr__(name: str) -> Any:
    """Make the class of each library when it is first asked for."""
    if name == "GymCartPoleSwingUp":
        return make_env_class("gym")
    if name == "GymnasiumCartPoleSwingUp":
        return make_env_class("gymnasium")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def make_env_class(library_name: str) -> type:
    """Return the environment's class for "gym" or "gymnasium"."""
    library = load_library(library_name)

    class CartPoleSwingUpEnv(library.Env):  # type: ignore[name-defined]
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

        def __init__(self, version: str = "harder", render_mode: str | None = None) -> None:
            if version not in VERSIONS:
                raise InputError(f"version must be one of {', '.join(VERSIONS)}, got {version!r}")
            if render_mode not in (None, "human", "rgb_array"):
                raise InputError(f"render_mode must be None, 'rgb_array' or 'human', got {render_mode!r}")
            self.version, self.render_mode = version, render_mode
            self.observation_space = library.spaces.Box(-_HIGH, _HIGH, dtype=np.float32)
            self.action_space = library.spaces.Box(-1.0, 1.0, (1,), np.float32)
            self._episode_seed: int | None = None
            self._episode = -1
            self._run: CartPoleRun | None = None
            self._action = self._score = 0.0
            self._window: Any = None

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            """Begin an episode; `options` may give the "state" (x, x_dot, theta, theta_dot) to begin in."""
            super().reset(seed=seed)
            if seed is not None or self._episode_seed is None:
                self._episode_seed = int(self.np_random.integers(2**31)) if seed is None else int(seed)
                self._episode = -1
            self._episode += 1
            generator = episode_generator(self._episode_seed, START, self._episode)
            state = _state_option(options)
            if state is None:
                state = initial_state(self.version, generator)
            self._run = CartPoleRun(self.version, state.reshape(4, 1, 1).copy())
            self._action = self._score = 0.0
            if self.render_mode == "human":
                self.render()
            return self._observe(), {"seed": self._episode_seed, "episode": self._episode}

        def step(self, action: Any) -> Any:
            """Apply a force for 0.01 s."""
            if self._run is None:
                raise InputError("call reset() before step()")
            value = np.asarray(action, dtype=np.float64)
            if value.size != 1 or not np.isfinite(value).all():
                raise InputError(f"the action must be one finite number in [-1, 1], got {action!r}")
            self._action = float(np.clip(value.reshape(()), -1.0, 1.0))
            rewards, over = self._run.step(np.full((1, 1, 1), self._action), np.ones((1, 1), bool))
            self._score += float(rewards[0, 0])
            if self.render_mode == "human":
                self.render()
            return self._observe(), float(rewards[0, 0]), bool(over[0, 0]), False, {}

        def _observe(self) -> np.ndarray:
            observation = np.empty((1, 5, 1, 1), np.float32)
            self._run.observe(observation)  # type: ignore[union-attr]
            return observation[0, :, 0, 0]

        def render(self) -> np.ndarray | None:
            """Return the picture, or show it, as the render mode says."""
            if self.render_mode is None or self._run is None:
                return None
            state = self._run.state[:, 0, 0]
            picture = draw_cartpole(float(state[0]), float(state[2]), self._action, self._score)
            if self.render_mode == "rgb_array":
                return picture
            if self._window is None:
                self._window = _Window(_FRAMES_PER_SECOND)
            self._window.show(picture)
            return None

        def close(self) -> None:
            """Close the window, if there is one."""
            if self._window is not None:
                self._window.close()
                self._window = None

    CartPoleSwingUpEnv.__module__ = __name__
    return CartPoleSwingUpEnv


def _state_option(options: dict[str, Any] | None) -> np.ndarray | None:
    """Return the state that reset's options give, or None; raise InputError for one that cannot be."""
    unknown = set(options or {}) - {"state"}
    if unknown:
        raise InputError(f"reset takes the option 'state' and no others, got {sorted(unknown)}")
    if not options or options["state"] is None:
        return None
    state = np.asarray(options["state"], dtype=np.float64)
    if state.shape != (4,) or not np.isfinite(state).all():
        raise InputError(f"the state must be (x, x_dot, theta, theta_dot), finite, got {options['state']!r}")
    return state


class _Window:
    """A window of pygame's that shows pictures at a steady rate."""

    def __init__(self, frames_per_second: int) -> None:
        self._pygame = import_extra("pygame", "viz")
        self._frames_per_second = frames_per_second
        self._pygame.display.init()
        self._pygame.display.set_caption("pisensory")
        self._screen: Any = None
        self._clock = self._pygame.time.Clock()

    def show(self, picture: np.ndarray) -> None:
        """Show a picture (height, width, 3)."""
        height, width, _ = picture.shape
        if self._screen is None:
            self._screen = self._pygame.display.set_mode((width, height))
        surface = self._pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        self._screen.blit(surface, (0, 0))
        self._pygame.event.pump()
        self._pygame.display.flip()
        self._clock.tick(self._frames_per_second)

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
