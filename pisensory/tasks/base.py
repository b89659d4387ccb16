"""What every task is: episodes that a population of candidates lives through together."""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..errors import (
    MAX_COUNT,
    MAX_SIZE,
    InputError,
    check_array,
    check_int,
    check_list,
    check_numbers,
    check_text,
    check_type,
    show,
)
from .episodes import NOISE, SHUFFLE, START, Seed, TaskRun, check_seed, episode_generator, per_episode
from .perturbation import Perturbation, PerturbedRun

# All that a task is written with.
__all__ = [
    "NOISE", "SHUFFLE", "START", "Perturbation", "PerturbedRun", "Seed", "Senses", "Task", "TaskRun", "check_seed",
    "episode_generator", "per_episode",
]  # fmt: skip

AnyTask = TypeVar("AnyTask", bound="Task")


@dataclasses.dataclass(frozen=True)
class Senses:
    """What a task shows: features of one or more channels each.

    Args:
        names: of the features.
        n_channels: numbers that each feature has.
        grid: the rows and columns in which features lie, where they are patches of a picture.

    Raises:
        InputError: if there are no features or channels, or another number of features than the grid has places.
    """

    names: tuple[str, ...]
    n_channels: int = 1
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        names = check_list("names", self.names, "('x', 'y')", MAX_SIZE)
        check_int("the number of names", len(names), 1)
        object.__setattr__(self, "names", tuple(check_text("each of names", name, "x") for name in names))
        object.__setattr__(self, "n_channels", check_int("n_channels", self.n_channels, 1, MAX_SIZE))
        if self.grid is not None:
            grid = check_numbers("grid", self.grid)
            if len(grid) != 2 or grid[0] * grid[1] != len(names):
                raise InputError(f"grid must be the rows and columns of {len(names)} places, got {show(self.grid)}")
            object.__setattr__(self, "grid", grid)


class Task(ABC):
    """A task's description: what it shows, how long it lasts, how its episodes start.

    A task is a frozen dataclass that names its senses and writes `_start`. Among its fields are `max_steps` and
    `perturbation`, which are checked here.

    Attributes:
        kind: the name used in files.
        n_actions: actions, each in [-1, 1].
        max_steps: the length at which an episode ends by itself.
        perturbation: what is done to the inputs on their way to the policy.
        chunk_episodes: how many episodes are best stepped at once in one process.
        score_episodes: how many make up the scores that commands print at their end.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # as every one is a dataclass
    kind: ClassVar[str]
    n_actions: int
    max_steps: int
    perturbation: Perturbation
    chunk_episodes: ClassVar[int] = 768  # what keeps the cart-pole's buffers within a core's cache
    score_episodes: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_steps", check_int("max_steps", self.max_steps, 1, MAX_COUNT))
        check_type("perturbation", self.perturbation, Perturbation, "ps.Perturbation(shuffle=True)")

    @classmethod
    def parse(cls, text: str) -> Task | None:
        """Return the task that people call `text`; None if it is none of this class."""
        return cls() if text == cls.kind else None

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Task:
        """Return the task of these settings, which a file names: nobody need have looked at them.

        Raises InputError for what a file must not decide.
        """
        return cls(**settings)

    def like(self: AnyTask, other: Task) -> AnyTask:
        """Return this task with the settings of `other`, which its name says nothing of, if that is of the name."""
        return other if isinstance(other, type(self)) and other.label == self.label else self

    @property
    def label(self) -> str:
        """What people call it."""
        return self.kind

    @property
    @abstractmethod
    def senses(self) -> Senses:
        """What the task itself shows, before anything is done to it."""

    @property
    def n_features(self) -> int:
        """The number of inputs a policy sees, copies and noise included.

        Raises InputError if the perturbation is of inputs that there are not.
        """
        return self.perturbation.n_features(len(self.senses.names))

    @property
    def n_channels(self) -> int:
        """The numbers that each input has."""
        return self.senses.n_channels

    @property
    def plain(self: AnyTask) -> AnyTask:
        """The same task with nothing done to its inputs."""
        task = copy.copy(self)
        object.__setattr__(task, "perturbation", Perturbation())
        return task

    @property
    def for_training(self) -> Task:
        """The same task with the reward that populations are trained on, where that is another."""
        return self

    def with_pictures(self) -> Task:
        """Return the same task with runs that can be drawn; raise InputError if they cannot."""
        raise InputError(
            f"a task of kind {self.kind!r} cannot be drawn: use a cart-pole, or an environment with pictures"
        )

    def start(self, seed: Seed, episodes: np.ndarray) -> PerturbedRun:
        """Begin the episodes numbered `episodes` (candidate, episode) of the rollout `seed`.

        Raises InputError for numbers that are not whole or below zero, or a perturbation of inputs there are not.
        """
        numbers = check_array("episodes", episodes)
        if numbers.ndim != 2 or numbers.size == 0 or numbers.dtype.kind not in "iu" or numbers.min() < 0:
            raise InputError(f"episodes must be whole numbers (candidate, episode) of at least 0, got {show(episodes)}")
        parts, senses = check_seed(seed), self.senses
        run = self._start(parts, numbers)
        return self.perturbation.apply(run, (len(senses.names), senses.n_channels), parts, numbers)

    @abstractmethod
    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> TaskRun:
        """Begin the task's own episodes."""

    @property
    def config(self) -> dict[str, Any]:
        """The task's own settings by name, with its kind: what files keep of it."""
        fields = [field.name for field in dataclasses.fields(self) if field.init]
        settings = {name: getattr(self, name) for name in fields}
        return {"kind": self.kind, **settings, "perturbation": self.perturbation.config}
