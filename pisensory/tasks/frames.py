"""What tasks share that are seen in patches of a stack of frames."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar, TypeVar

import numpy as np

from ..layers.patches import Patches
from ..layers.random_layer import randomize
from .base import Senses
from .environment import EnvironmentRun, EnvironmentTask

AnyFrames = TypeVar("AnyFrames", bound="FramesRun")


def to_gray(colors: np.ndarray) -> np.ndarray:
    """Return the gray levels of colors (..., 3): 0.299 R + 0.587 G + 0.114 B, rounded, uint8."""
    return np.rint(np.asarray(colors, np.float64) @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class View:
    """How an agent sees a task: a stack of its last pictures, cut into patches.

    Args:
        patches: how pictures are cut.
        n_frames: pictures of the stack, the newest last.
        size: rows and columns of a picture.
        n_colors: numbers of a pixel: its colors, or one.
        tone: what the one number of a pixel is: a function of colors (..., 3); its gray level.
    """

    patches: Patches
    n_frames: int
    size: int
    n_colors: int = 1
    tone: Callable[[np.ndarray], np.ndarray] = to_gray

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The stack's shape (frame, row, column, color)."""
        return self.n_frames, self.size, self.size, self.n_colors

    def pixels(self, colors: np.ndarray) -> np.ndarray:
        """Return colors (..., 3) as this view has them (..., number), uint8."""
        return colors if self.n_colors > 1 else self.tone(colors)[..., None]

    @functools.cached_property
    def senses(self) -> Senses:
        """The patches, row by row."""
        rows, columns = self.patches.grid(self.size, self.size)
        names = tuple(f"patch {row}, {column}" for row in range(rows) for column in range(columns))
        n_channels = self.n_frames * self.patches.size**2 * self.n_colors
        return Senses(names, n_channels, (rows, columns), self.n_frames, whole=True)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """Which number of a flat stack each channel of each patch is (feature, channel)."""
        numbers = np.arange(np.prod(self.shape)).reshape(self.shape)
        return np.ascontiguousarray(self.patches.windows(numbers).reshape(-1, self.senses.n_channels))

    def randomize(self, patches: np.ndarray, layers: list[np.ndarray]) -> np.ndarray:
        """Return stacks in patches (stack, feature, channel), each through a random layer of its own, float32."""
        stacks = np.zeros((len(patches), int(np.prod(self.shape))), np.float32)
        stacks[:, self.places] = patches
        for stack, layer in zip(stacks, layers):
            stack[...] = randomize(stack.reshape(self.shape), layer).ravel()
        return stacks[:, self.places]


class FramesTask(EnvironmentTask):
    """A task that is seen in patches. It names its `seen`, and its runs are `FramesRun`s."""

    seen: View

    seen_rows: ClassVar[float] = 1.0  # the share of the rows that `TaskRun.picture` shows

    @property
    def senses(self) -> Senses:
        """The patches, row by row."""
        return self.seen.senses

    def mosaic(self, features: np.ndarray) -> np.ndarray:
        """Return the newest picture (row, column, color), uint8, as patches (feature, channel) in their order make it.

        Of patches that overlap each shows what the next does not.
        """
        view = self.seen
        (rows, columns), size, step = view.senses.grid or (0, 0), view.patches.size, view.patches.stride
        newest = features[: rows * columns].reshape(-1, view.n_frames, size, size, view.n_colors)[:, -1, :step, :step]
        cells = np.full((rows * columns, *newest.shape[1:]), 255.0)
        cells[: len(newest)] = newest
        picture = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2).reshape(rows * step, columns * step, -1)
        return np.broadcast_to(np.clip(picture, 0, 255), (*picture.shape[:2], 3)).astype(np.uint8)

    def boxes(self) -> np.ndarray:
        """Return where the patches lie in the task's picture (feature, 4), as shares of its width and height."""
        view = self.seen
        rows, columns = view.patches.grid(view.size, view.size)
        row, column = np.divmod(np.arange(rows * columns), columns) * np.array(view.patches.stride)
        corners = np.stack([column, row, column + view.patches.size, row + view.patches.size], axis=1) / view.size
        return corners / np.array([1, self.seen_rows, 1, self.seen_rows])


class FramesRun(EnvironmentRun):
    """Episodes under way, an environment each, and a stack of frames of what it shows.

    A run writes the newest picture of some episodes in `_show`.
    """

    task: FramesTask

    def __init__(self, task: FramesTask, seed: tuple[int, ...], episodes: np.ndarray) -> None:
        super().__init__(task, seed, episodes)
        self._watched = np.ones(episodes.shape, bool)

    def leave_out(self, places: np.ndarray) -> None:
        """Neither begin nor show these episodes (candidate, episode)."""
        super().leave_out(places)
        self._watched &= ~places

    def _make_values(self) -> np.ndarray:
        """Return room for the stacks (candidate, episode, frame, row, column, color), uint8."""
        return np.zeros((*self._episodes.shape, *self.task.seen.shape), np.uint8)

    def observe(self, out: np.ndarray) -> None:
        """Write the current observations into `out` (candidate, feature, channel, episode); of those that go on."""
        self._begin()
        patches, places = out.transpose(0, 3, 1, 2), self.task.seen.places
        for place in zip(*np.nonzero(self._watched)):
            patches[place] = np.take(self._look_at(place).ravel(), places)

    def _look_at(self, place: tuple[int, int]) -> np.ndarray:
        """Return the stack of an episode (frame, row, column, color) as it is to be seen."""
        return self._values[place]

    def _begin(self) -> list[tuple[int, int]]:
        begun = super()._begin()
        if begun:
            self._show(begun)
            self._values[:, :, :-1] = self._values[:, :, -1:]
        return begun

    def _note(self, place: tuple[int, int], observation: object) -> None:
        """Leave it to `_show`, which sees all episodes together."""

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step the environments of the episodes that are alive."""
        rewards, over = super().step(actions, alive)
        moved = list(zip(*np.nonzero(alive)))
        for place in moved:
            self._values[place][:-1] = self._values[place][1:]
        self._show(moved)
        self._watched = alive & ~over
        return rewards, over

    def _show(self, places: list[tuple[int, int]]) -> None:
        """Write the pictures of these episodes as the newest of their frames."""
        raise NotImplementedError

    def keep(self: AnyFrames, rows: np.ndarray) -> AnyFrames:
        """Return the run of only these candidates; the other environments wait for the next rollout."""
        kept = super().keep(rows)
        kept._watched = self._watched[rows]
        return kept


def coarsen(picture: np.ndarray, factor: int) -> np.ndarray:
    """Return a picture (row, column, color), uint8, each pixel the mean of `factor` x `factor`, rounded."""
    if factor == 1:
        return picture
    rows, columns, n_colors = picture.shape
    cells = picture.reshape(rows // factor, factor, columns // factor, factor, n_colors)
    return np.rint(cells.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)
