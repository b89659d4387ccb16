"""The Ant of the published work: PyBullet's AntBulletEnv-v0 as a task (extra `ant`)."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import sys
from typing import Any, ClassVar

from ..errors import import_extra
from .base import Perturbation, Senses
from .environment import EnvironmentTask
from .libraries import SILENCE, load_library, quiet

_PICTURE_SIZE = (640, 480)  # pixels
_JOINTS = [f"{part} {leg}" for leg in range(1, 5) for part in ("hip", "ankle")]
_NAMES = (
    *("height", "sin(target)", "cos(target)", "v forward", "v sideways", "v up", "roll", "pitch"),
    *(f"{joint}{rate}" for joint in _JOINTS for rate in ("", " speed")),
    *(f"foot {leg} down" for leg in range(1, 5)),
)


@dataclasses.dataclass(frozen=True)
class AntTask(EnvironmentTask):
    """A four-legged robot that is to run: 28 inputs, 8 actions, 1000 steps; AntBulletEnv-v0.

    Its reward is progress, plus a bonus for being alive, less the cost of moving. The published evolution
    strategy was trained on another: without the bonus, and no less than zero at any step; so training
    rewards standing nowhere. `for_training` is the task with that reward, and `train` uses it.

    Args:
        max_steps: the length of an episode.
        perturbation: what is done to the inputs on their way to the policy.
        training: whether rewards are those of training.

    Raises:
        MissingExtraError: if pybullet or pybullet-envs-gymnasium is not installed.

    Examples:
        >>> task = ps.AntTask(perturbation=ps.Perturbation(shuffle=True))  # its engine is not needed yet
        >>> task.n_features, task.n_actions, task.max_steps
        (28, 8, 1000)
    """

    max_steps: int = 1000
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    training: bool = False

    kind: ClassVar[str] = "ant"
    n_actions: ClassVar[int] = 8  # type: ignore[misc]
    chunk_episodes: ClassVar[int] = 4  # each has a physics engine of some 30 MB

    def __post_init__(self) -> None:
        super().__post_init__()
        _load_engine()

    @property
    def senses(self) -> Senses:
        """The 28 inputs, a number each."""
        return Senses(_NAMES)

    @property
    def for_training(self) -> AntTask:
        """The same task with the reward of training."""
        return dataclasses.replace(self, training=True)

    @property
    def env_key(self) -> tuple:
        """All environments are alike."""
        return (self.kind,)

    def make_env(self) -> Any:
        """Return a new environment, which has been reset once."""
        library = _load_engine()
        with _no_output(), quiet():
            env = library.make("AntBulletEnv-v0", disable_env_checker=True, render_mode=self.render_mode)
            # An engine's first episode is unlike all later ones, which start from the state saved at its end.
            env.reset(seed=0)
            env.unwrapped._render_width, env.unwrapped._render_height = _PICTURE_SIZE
        return env

    def reward(self, env: Any, reward: float) -> float:
        """Return what the step just taken is worth; source: the published training code's settings."""
        if not self.training:
            return reward
        return max(0.0, reward - env.unwrapped.rewards[0])


def _load_engine() -> Any:
    """Return Gymnasium, with the physics engine and its environments; raise MissingExtraError for what is missing."""
    modules = ("pybullet", "pybullet_envs_gymnasium")
    with contextlib.nullcontext() if all(name in sys.modules for name in modules) else _no_output(), quiet():
        for name in modules:
            import_extra(name, "ant")
    return load_library("gymnasium")


@contextlib.contextmanager
def _no_output():  # type: ignore[no-untyped-def]
    """Keep off the screen what the engine, which is not Python's, prints on its way up; one thread at a time."""
    with SILENCE:
        sys.stdout.flush()
        sys.stderr.flush()
        before = {stream: os.dup(stream) for stream in (1, 2)}
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            for stream in before:
                os.dup2(nowhere, stream)
            yield
        finally:
            with contextlib.suppress(OSError, TypeError):
                ctypes.CDLL(None).fflush(None)  # what C has printed into a buffer would come out later
            for stream, was in before.items():
                os.dup2(was, stream)
                os.close(was)
            os.close(nowhere)
