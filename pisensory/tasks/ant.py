"""The Ant of the published work: PyBullet's AntBulletEnv-v0 as a task (extra `ant`)."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import sys
from typing import Any, ClassVar

from ..errors import import_extra
from .gym_task import GymTask
from .libraries import quiet
from .perturbation import Perturbation

_PICTURE_SIZE = (640, 480)  # pixels


@dataclasses.dataclass(frozen=True)
class AntTask(GymTask):
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
    """

    env: str = dataclasses.field(default="AntBulletEnv-v0", init=False)
    library: str = dataclasses.field(default="gymnasium", init=False)
    max_steps: int = 1000
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False, init=False)
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    training: bool = False

    kind: ClassVar[str] = "ant"
    chunk_episodes: ClassVar[int] = 4  # each has a physics engine of some 30 MB

    @property
    def for_training(self) -> AntTask:
        """The same task with the reward of training."""
        return dataclasses.replace(self, training=True)

    @property
    def config(self) -> dict[str, Any]:
        """The task's settings by name."""
        return {
            "kind": self.kind, "max_steps": self.max_steps, "perturbation": self.perturbation.config,
            "training": self.training,
        }  # fmt: skip

    def make_env(self) -> Any:
        """Return a new environment, which has been reset once."""
        with _no_output(), quiet():
            import_extra("pybullet", "ant")
            import_extra("pybullet_envs_gymnasium", "ant")
            env = super().make_env()
            # An engine's first episode is unlike all later ones, which start from the state saved at its end.
            env.reset(seed=0)
            env.unwrapped._render_width, env.unwrapped._render_height = _PICTURE_SIZE
        return env

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the 28 inputs."""
        joints = [f"{part} {leg}" for leg in range(1, 5) for part in ("hip", "ankle")]
        turns = [f"{joint}{rate}" for joint in joints for rate in ("", " speed")]
        body = ("height", "sin(target)", "cos(target)", "v forward", "v sideways", "v up", "roll", "pitch")
        return (*body, *turns, *(f"foot {leg} down" for leg in range(1, 5)))

    def reward(self, env: Any, reward: float) -> float:
        """Return what the step just taken is worth; source: the published training code's settings."""
        if not self.training:
            return reward
        return max(0.0, reward - env.unwrapped.rewards[0])


@contextlib.contextmanager
def _no_output():  # type: ignore[no-untyped-def]
    """Keep off the screen what the engine, which is not Python's, prints on its way up."""
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
