"""An ordinary convolutional network, which is not invariant: patches are put together to the picture that they are of.

    z = the pixels, each color with mean 0 and variance 1 over the stack of frames
    x = (z_1 - z_0, ..., z_n - z_{n-1}, z_n)                       (row, column, color and frame)
    a = tanh(dense layers(convolutions(x)))                        relu after each but the last

Colors are normalised, and changes laid out, as for the agent that sees patches (`layers.patches`): brightness, contrast
and what moves need not be learnt. A patch stands where its number says, so shuffled patches make another picture.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from ..errors import MAX_SIZE, InputError, check_int, check_sizes
from ..layers.norm import NORM_EPSILON, layer_norm
from ..layers.patches import WHITE
from ..parameters import unflatten
from .base import Policy, PolicyRun, State, Unrolled, Weights, all_steps, per_step
from .dense_head import DenseHead, DenseHeadRun, DenseHeadSequence, check_windows

_BRIGHTEST = 2.0**20  # gray levels beyond which pixels are cut, so that no variance overflows


@dataclasses.dataclass(frozen=True)
class CNNPolicy(Policy):
    """A policy that sees a stack of whole pictures, cut into patches that do not overlap, and remembers nothing.

    Args:
        n_actions: outputs.
        grid: rows and columns of patches.
        patch_size: rows and columns of a patch.
        n_frames: frames of the stack, the newest last.
        n_colors: numbers of a pixel.
        convolutions: of each: channels, size of the window, stride.
        head_sizes: hidden layers after them.

    Raises:
        InputError: for a size below one, convolutions that do not fit, or sizes that are too large together.

    Examples:
        >>> policy = ps.CNNPolicy()
        >>> policy.n_params, policy.n_features, policy.n_channels
        (38211, 16, 768)
    """

    n_actions: int = 3
    grid: tuple[int, int] = (4, 4)
    patch_size: int = 8
    n_frames: int = 4
    n_colors: int = 3
    convolutions: tuple[tuple[int, int, int], ...] = ((16, 4, 2), (32, 3, 2), (16, 3, 1))
    head_sizes: tuple[int, ...] = (64,)

    kind: ClassVar[str] = "cnn"

    def __post_init__(self) -> None:
        for name in ("n_actions", "patch_size", "n_frames", "n_colors"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1, MAX_SIZE))
        object.__setattr__(self, "grid", check_sizes("grid", self.grid))
        object.__setattr__(self, "head_sizes", check_sizes("head_sizes", self.head_sizes))
        object.__setattr__(self, "convolutions", check_windows(self.convolutions))
        if len(self.grid) != 2:
            raise InputError(f"grid must be rows and columns, got {self.grid!r}")
        super().__post_init__()

    @property
    def n_features(self) -> int:  # type: ignore[override]
        """The number of patches."""
        return self.grid[0] * self.grid[1]

    @property
    def n_channels(self) -> int:  # type: ignore[override]
        """The numbers of a patch: frame, row, column, color."""
        return self.n_frames * self.patch_size**2 * self.n_colors

    @property
    def _head(self) -> DenseHead:
        rows, columns = (number * self.patch_size for number in self.grid)
        picture = (rows, columns, self.n_frames * self.n_colors)
        return DenseHead(picture, self.convolutions, self.head_sizes, self.n_actions)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes."""
        return self._head.shapes

    def assemble(self, patches: np.ndarray) -> np.ndarray:
        """Return patches (picture, feature, channel) as normed pictures (picture, row, column, color and frame)."""
        size = self.patch_size
        cells = patches.reshape(-1, *self.grid, self.n_frames, size, size, self.n_colors)
        by_color = np.clip(cells, -_BRIGHTEST, _BRIGHTEST).transpose(0, 6, 3, 1, 4, 2, 5)
        normed, _ = layer_norm(by_color.reshape(len(cells), self.n_colors, -1), NORM_EPSILON * WHITE**2)
        rows, columns, n_channels = self._head.picture
        frames = normed.reshape(-1, self.n_colors, self.n_frames, rows, columns)
        frames[:, :, :-1] = np.diff(frames, axis=2)
        return np.ascontiguousarray(np.moveaxis(frames.reshape(-1, n_channels, rows, columns), 1, -1))

    def _prepare(self, population: np.ndarray) -> Weights:
        return self._head.fold(unflatten(population, self.layout))

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return CNNRun(self, weights, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        return CNNSequence(self, params, observations)


class CNNRun(PolicyRun):
    """A population of convolutional networks in the middle of their episodes."""

    def __init__(self, policy: CNNPolicy, weights: Weights, n_episodes: int) -> None:
        self.policy, self.weights, self._head = policy, weights, DenseHeadRun(policy._head, weights, n_episodes)
        shape = (len(weights[0]), n_episodes, policy.n_features, policy.n_channels)
        self._seen = np.zeros(shape, np.float32)
        self.observations = self._seen.transpose(0, 2, 3, 1)
        self.actions = self._head.actions

    def step(self) -> None:
        """Compute `actions` from `observations`."""
        alive = np.ones(self._seen.shape[:2], bool) if self.alive is None else self.alive
        for candidate, episode in np.argwhere(alive):
            self._head.see(candidate, episode, self.policy.assemble(self._seen[candidate, episode])[0])
        self._head.act()

    def keep(self, rows: np.ndarray) -> CNNRun:
        """Return the run of only these candidates."""
        return CNNRun(self.policy, [array[rows] for array in self.weights], self._seen.shape[1])


class CNNSequence(Unrolled):
    """A convolutional network's look at a batch of stacks of frames, each on its own."""

    policy: CNNPolicy

    def __init__(self, policy: CNNPolicy, params: np.ndarray, observations: np.ndarray) -> None:
        self.policy, self._n_steps = policy, len(observations)
        named = unflatten(params.astype(observations.dtype)[None], policy.layout)
        pictures = policy.assemble(np.ascontiguousarray(observations.transpose(0, 3, 1, 2)))
        self._head = DenseHeadSequence(policy._head, named, pictures)
        self.actions = per_step(self._head.outputs, self._n_steps)

    @property
    def hidden(self) -> np.ndarray:
        """What the last layer sees (step, 1, channel, episode)."""
        return per_step(self._head.features, self._n_steps)[:, None]

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        d_features = None if d_hidden is None else all_steps(d_hidden[:, 0])
        return self._head.gradient(all_steps(d_actions), d_features)[1]
