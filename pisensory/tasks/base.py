"""What every task is: episodes that a population of candidates lives through together."""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    "NOISE", "SHUFFLE", "START", "Perturbation", "PerturbedRun", "Seed", "Senses", "Share", "Task", "TaskRun",
    "check_seed", "episode_generator", "per_episode",
]  # fmt: skip

AnyTask = TypeVar("AnyTask", bound="Task")


@dataclasses.dataclass(frozen=True)
class Senses:
    """What a task shows: features of one or more channels each.

    Args:
        names: of the features.
        n_channels: numbers that each feature has.
        grid: the rows and columns in which features lie, where they are patches of a picture.
        n_frames: the last steps that the channels tell of, as many of each, the newest last.
        whole: whether all there is to see are whole numbers from 0 to 255.

    Raises:
        InputError: if there are no features or channels, channels that steps cannot share equally, or another number
            of features than the grid has places.

    Examples:
        >>> ps.Senses(("left", "right"), n_channels=144).n_channels
        144
    """

    names: tuple[str, ...]
    n_channels: int = 1
    grid: tuple[int, int] | None = None
    n_frames: int = 1
    whole: bool = False

    def __post_init__(self) -> None:
        names = check_list("names", self.names, "('x', 'y')", MAX_SIZE)
        check_int("the number of names", len(names), 1)
        object.__setattr__(self, "names", tuple(check_text("each of names", name, "x") for name in names))
        object.__setattr__(self, "n_channels", check_int("n_channels", self.n_channels, 1, MAX_SIZE))
        if self.n_channels % check_int("n_frames", self.n_frames, 1):
            raise InputError(f"n_frames must divide the {self.n_channels} channels, got {self.n_frames}")
        if self.grid is not None:
            grid = check_numbers("grid", self.grid)
            if len(grid) != 2 or grid[0] * grid[1] != len(names):
                raise InputError(f"grid must be the rows and columns of {len(names)} places, got {show(self.grid)}")
            object.__setattr__(self, "grid", grid)


@dataclasses.dataclass(frozen=True)
class Share:
    """So many episodes of a rollout.

    Attributes:
        task: what they are of.
        n_episodes: how many they are.
        factor: what their returns are multiplied by.
    """

    task: Task
    n_episodes: int
    factor: float = 1.0


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
        takes_largest: whether the largest output is what is done.

    Examples:
        >>> isinstance(ps.CartPoleSwingUp(), ps.Task)
        True
        >>> ps.CartPoleSwingUp("v1").config["version"]
        'v1'
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # as every one is a dataclass
    kind: ClassVar[str]
    n_actions: int
    max_steps: int
    perturbation: Perturbation
    chunk_episodes: ClassVar[int] = 4096  # what keeps the cart-pole's buffers within a core's cache
    score_episodes: ClassVar[int] = 1000
    takes_largest: bool = False
    action_names: ClassVar[tuple[str, ...]] = ()  # what people call the actions, if anything

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
        return cls(**{**settings, "perturbation": Perturbation(**settings.get("perturbation", {}))})

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

    def altered(self: AnyTask, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> AnyTask:
        """Return the same task with other settings of its perturbation, and of its own."""
        changed = dataclasses.replace(self.perturbation, **inputs)
        return dataclasses.replace(self, perturbation=changed, **settings)

    @property
    def for_training(self) -> Task:
        """The same task with the reward that populations are trained on, where that is another."""
        return self

    def randomized(self, observations: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
        """Return observations (step, feature, channel, episode) as training shows them, changed at random.

        None if it shows what is there. Raises InputError for what it cannot change so.
        """
        return None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks whose episodes are lived through: this one, or those of a mixture."""
        return (self,)

    def check_episodes(self, name: str, n_episodes: int) -> int:
        """Return a number of episodes, of this name; raise InputError if it is none, or less than one for each part."""
        n_episodes = check_int(name, n_episodes, 1)
        if n_episodes < len(self.tasks):
            raise InputError(f"{name} must be at least one for each of {len(self.tasks)} parts, got {n_episodes}")
        return n_episodes

    def shares(self, n_episodes: int) -> list[Share]:
        """Share out the episodes of a rollout; those of each share are numbered on from those of the ones before."""
        return [Share(self, self.check_episodes("n_episodes", n_episodes))]

    def choose(self, uniform: float) -> Task:
        """Return what a batch of episodes is to be of, for a number drawn evenly from 0 to 1."""
        return self

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts that the task has, each with a score of its own."""
        return ()

    def scores(self, returns: np.ndarray) -> dict[str, float]:
        """Return the score of each of these parts, of the returns (candidate, episode) of a rollout."""
        return {}

    def seen_as(self, n_channels: int) -> Task:
        """Return the same task in the view whose features have so many channels; itself if it has no such view."""
        return self

    def mosaic(self, features: np.ndarray) -> np.ndarray:
        """Return a picture (row, column, color), uint8, of what a policy sees of features that lie in a grid.

        Args:
            features: (feature, channel), in the order in which the policy gets them; a grid that they do not fill has
                places left white.
        """
        rows, columns = self.senses.grid or (1, len(features))
        cells = np.full(rows * columns, 255.0)
        means = features[: len(cells)].mean(axis=1)
        cells[: len(means)] = 255 * (means - means.min()) / (np.ptp(means) or 1.0)
        return np.repeat(cells.reshape(rows, columns, 1), 3, axis=2).astype(np.uint8)

    def boxes(self) -> np.ndarray:
        """Return where the features of a grid lie in the task's picture (feature, 4).

        Left, top, right and bottom, as shares of its width and height.
        """
        rows, columns = self.senses.grid or (1, len(self.senses.names))
        row, column = np.divmod(np.arange(rows * columns), columns)
        return np.stack([column / columns, row / rows, (column + 1) / columns, (row + 1) / rows], axis=1)

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
        return self.perturbation.apply(run, (len(senses.names), senses.n_channels), parts, numbers, senses.n_frames)

    @abstractmethod
    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> TaskRun:
        """Begin the task's own episodes."""

    @property
    def setting_names(self) -> list[str]:
        """The names of the task's own settings."""
        return [field.name for field in dataclasses.fields(self) if field.init]

    @property
    def config(self) -> dict[str, Any]:
        """The task's own settings by name, with its kind: what files keep of it."""
        settings = {name: getattr(self, name) for name in self.setting_names}
        return {"kind": self.kind, **settings, "perturbation": self.perturbation.config}
