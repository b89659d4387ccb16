"""Teachers that see the simulator itself, and not what a policy sees of it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np


class Teacher(ABC):
    """What a teacher that sees the simulator is: a frozen dataclass of its settings, called at the start of an episode.

    Attributes:
        kind: its name on the command line.
        task: the kind of the task that it knows.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # as every one is a dataclass
    kind: ClassVar[str]
    task: ClassVar[str]

    @abstractmethod
    def __call__(self, world: Any) -> Callable[[], np.ndarray]:
        """Return a function that says what to do in one episode.

        Args:
            world: the episode's simulator, `TaskRun.world` of the task.

        Returns:
            A function to be asked once before each step, which returns the outputs (action,) that it would give as a
            policy there, each in [-1, 1]. What is done instead it finds out by looking.
        """

    @property
    def config(self) -> dict[str, Any]:
        """Its settings by name, with its kind."""
        return {"kind": self.kind, **dataclasses.asdict(self)}
