"""Convolutions and dense layers on a picture, relu between them, and the way back."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from .. import layers
from ..errors import MAX_LAYERS, InputError, check_list, check_sizes
from ..layers import convolution
from ..parameters import dense_shapes
from .base import Weights

# Pictures on the way to a gradient that stay in a core's cache.
_PICTURES_AT_ONCE = 16


def check_windows(windows: object) -> tuple[tuple[int, ...], ...]:
    """Return convolutions, of each channels, size of the window and stride; raise InputError for what are none."""
    listed = check_list("convolutions", windows, "((64, 4, 2),)", MAX_LAYERS)
    return tuple(check_sizes("each of convolutions", window) for window in listed)


@dataclasses.dataclass(frozen=True)
class DenseHead:
    """The sizes of a head.

    Args:
        picture: rows, columns and channels of what it sees.
        convolutions: of each: channels, size of the window, stride.
        head_sizes: hidden layers after them.
        n_actions: outputs.
        last: f of the last layer: "tanh" or "none".
    """

    picture: tuple[int, int, int]
    convolutions: tuple[tuple[int, int, int], ...]
    head_sizes: tuple[int, ...]
    n_actions: int
    last: str = "tanh"

    @property
    def pictures(self) -> list[tuple[int, int, int]]:
        """Rows, columns and channels of the picture and of what each convolution makes of it.

        Raises InputError for convolutions that do not fit.
        """
        pictures = [self.picture]
        for window in self.convolutions:
            if len(window) != 3 or window[1] > min(pictures[-1][:2]):
                raise InputError(
                    f"each of convolutions must be channels, a window of at most {min(pictures[-1][:2])}, "
                    f"and a stride, got {window!r}"
                )
            channels, kernel, stride = window
            rows, columns = ((size - kernel) // stride + 1 for size in pictures[-1][:2])
            pictures.append((rows, columns, channels))
        return pictures

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, in the order of the published weights."""
        shapes: dict[str, tuple[int, ...]] = {}
        pictures = self.pictures
        for number, (channels, kernel, _) in enumerate(self.convolutions):
            shapes[f"w_window{number}"] = (channels, pictures[number][2], kernel, kernel)
            shapes[f"b_window{number}"] = (channels,)
        return {**shapes, **dense_shapes("head", (math.prod(pictures[-1]), *self.head_sizes, self.n_actions))}

    def fold(self, named: dict[str, np.ndarray], dtype: type = np.float32) -> Weights:
        """Return windows and constants of each convolution, then the dense layers."""
        folded = []
        for number in range(len(self.convolutions)):
            window = convolution.fold_convolution(named[f"w_window{number}"])
            folded += [layers.as_weights(window, dtype), layers.as_weights(named[f"b_window{number}"], dtype)]
        weight, bias = (layers.as_weights(named[f"head0_{part}"], dtype) for part in ("weight", "bias"))
        rows, columns, channels = self.pictures[-1]
        # The published order of a picture is channel, row, column; here the channel comes last.
        first = np.empty((*weight.shape[:2], weight.shape[2] + 1), dtype)
        by_picture = first[..., :-1].reshape(*weight.shape[:2], rows, columns, channels)
        by_picture[...] = np.moveaxis(weight.reshape(*weight.shape[:2], channels, rows, columns), 2, -1)
        first[..., -1] = bias
        rest = layers.fold_dense(
            {name: array for name, array in named.items() if not name.startswith("head0_")}, "head"
        )
        return [*folded, *(layers.as_weights(array, dtype) for array in (first[:, None], *rest))]

    def convolve(self, windows: list[np.ndarray], picture: np.ndarray) -> list[np.ndarray]:
        """Return pictures (picture, row, column, channel) and what each convolution, with its relu, makes of them."""
        pictures = [picture]
        for number, (_, kernel, stride) in enumerate(self.convolutions):
            weights, bias = windows[2 * number : 2 * number + 2]
            picture = convolution.convolve(picture, weights, bias, kernel, stride)
            np.clip(picture, 0, layers.LARGEST_OUTPUT, out=picture)
            pictures.append(picture)
        return pictures


class DenseHeadRun:
    """The heads of a population: convolutions of one episode after the other, dense layers of all."""

    def __init__(self, head: DenseHead, weights: Weights, n_episodes: int) -> None:
        n_windows = 2 * len(head.convolutions)
        self._head, self._windows = head, weights[:n_windows]
        self._dense = layers.make_dense(weights[n_windows:], n_episodes, "relu", head.last)
        self.actions = self._dense.outputs[-1].matrices[:, 0]

    def see(self, candidate: int, episode: int, picture: np.ndarray) -> None:
        """Lay out what the convolutions make of one episode's picture (row, column, channel) for the dense layers."""
        windows = [array[candidate] for array in self._windows]
        seen = self._head.convolve(windows, picture[None])[-1]
        self._dense.inputs[0].matrices[candidate, 0, :-1, episode] = seen.reshape(-1)

    def act(self) -> None:
        """Compute `actions`."""
        layers.dense_layers(self._dense)


class DenseHeadSequence:
    """One head's look at pictures, each on its own; convolutions run a few at a time, the dense layers all at once.

    Args:
        head: its sizes.
        named: its arrays by name, with one candidate.
        picture: (picture, row, column, channel), contiguous.

    Attributes:
        outputs: (action, picture).
        features: what the last layer sees (feature, picture).
    """

    def __init__(self, head: DenseHead, named: dict[str, np.ndarray], picture: np.ndarray) -> None:
        folded, n_arrays = head.fold(named, picture.dtype.type), 2 * len(head.convolutions)
        self._head, self._windows = head, [array[0] for array in folded[:n_arrays]]
        self._dense = layers.make_dense(folded[n_arrays:], len(picture), "relu", head.last)
        blocks = [head.convolve(self._windows, block) for block in as_blocks(picture)]
        self._pictures = [picture, *(np.concatenate(parts) for parts in list(zip(*blocks))[1:])]
        self._dense.inputs[0].planes[:-1] = self._pictures[-1].reshape(len(picture), -1).T
        layers.dense_layers(self._dense)
        self.outputs = self._dense.outputs[-1].planes
        self.features = self._dense.inputs[-1].planes[:-1]

    def gradient(
        self, d_outputs: np.ndarray, d_features: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradient by the pictures, and those of convolutions and dense layers by name.

        Args:
            d_outputs: the gradient by `outputs`.
            d_features: that by `features` of what looks at them besides the last layer; none if None.
        """
        head, last = self._head, self._pictures[-1]
        d_inputs, d_dense = layers.dense_layers_back(
            self._dense, d_outputs[None, None], None if d_features is None else d_features[None, None]
        )
        d_picture = np.ascontiguousarray(d_inputs[0, 0].T).reshape(last.shape)
        named = {name: array[0] for name, array in layers.unfold_dense(d_dense, "head").items()}
        first = named["head0_weight"]
        named["head0_weight"] = np.moveaxis(first.reshape(len(first), *head.pictures[-1]), -1, 1)
        for number, (_, kernel, stride) in reversed(list(enumerate(head.convolutions))):
            np.multiply(d_picture, self._pictures[number + 1] > 0, out=d_picture)
            weights = self._windows[2 * number]
            parts = [
                convolution.convolve_back(before, weights, kernel, stride, d_after)
                for before, d_after in zip(as_blocks(self._pictures[number]), as_blocks(d_picture))
            ]
            d_before, d_weights, d_constants = zip(*parts)
            d_picture = np.concatenate(d_before)
            named[f"w_window{number}"] = convolution.unfold_convolution(np.sum(d_weights, axis=0), kernel)
            named[f"b_window{number}"] = np.sum(d_constants, axis=0)
        return d_picture, named


def as_blocks(pictures: np.ndarray, size: int = _PICTURES_AT_ONCE) -> list[np.ndarray]:
    """Return pictures (picture, ...) a few at a time."""
    return [pictures[start : start + size] for start in range(0, len(pictures), size)]
