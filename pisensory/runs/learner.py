"""What makes progress in a run: training and cloning are learners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from ..policies import Policy
from ..tasks import Task

State = tuple[dict[str, np.ndarray], dict[str, Any]]


class Learner(ABC):
    """A policy that learns a task, in generations or rounds.

    Attributes:
        unit: what is counted, "generation" or "round".
        shown: columns of its metrics for the progress bar.
        policy, task: what learns, and what.
        total: how many generations or rounds there are to be.
        patience: how many held-out scores without a better one end it.
        done: how many generations or rounds are done.
        env_steps: environment steps taken so far.
    """

    unit: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]
    policy: Policy
    task: Task
    total: int
    patience: float = np.inf
    done: int = 0
    env_steps: int = 0

    @property
    @abstractmethod
    def params(self) -> np.ndarray:
        """What there is to show for it so far (parameter,)."""

    @property
    def needs_checkpoint(self) -> bool:
        """Whether a checkpoint is needed before it goes on."""
        return False

    @abstractmethod
    def advance(self) -> dict[str, Any]:
        """Do one more, and return its line of metrics, without its times.

        `held_out` is the mean return of `params` on the held-out episodes; None if they are not scored this time.

        It may be broken off anywhere: what is restored from the state before then does it again, without a trace.
        """

    @abstractmethod
    def state(self) -> State:
        """Return named arrays, and numbers by name, from which `restore` goes on to the bit.

        `done` and `env_steps` are not among them. What is returned must not change with the learner.
        """

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray], progress: dict[str, Any]) -> None:
        """Take on a `state`; raise KeyError, TypeError or ValueError if it is none."""

    def saved(self) -> None:  # noqa: B027 (most have nothing to do then)
        """Know that the present state is on the disk."""
