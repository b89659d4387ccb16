"""Patches of pictures: how they are cut, put in order, and how keys and values are made of their pixels.

Equations: Tang and Ha, "The Sensory Neuron as a Transformer", 2021, section 4. With x_f the pixels of a patch in
frame f, as intensities from 0 to 1:

    key   = W_k (x_1 - x_0, ..., x_n - x_{n-1}, a) + b_k       a: the action before, the same for every patch
    value = W_v (g z_0 + c, ..., g z_n + c) + b_v              z_f = (x_f - mean x_f) / sqrt(var x_f + 1e-5)

A softmax over patches does not see what all keys share, so the action's columns and b_k change nothing, and are
left out: their gradient is zero.

Sums of floats, and products of matrices, depend on the order of their rows. So patches are put in an order of their own
first, which depends on nothing but their bits: what is computed of them then is the same in whatever order they came.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from ..errors import InputError, check_int
from .norm import NORM_EPSILON, layer_norm

WHITE = 255.0  # gray levels of intensity 1
LARGEST = 2.0**30  # of keys and values: what attention makes of such numbers is finite

_BRIGHTEST = 1024.0  # gray levels beyond which pixels are cut


@dataclasses.dataclass(frozen=True)
class Patches:
    """How pictures are cut into square patches, row by row from the upper left corner.

    Args:
        size: rows and columns of a patch.
        stride: from one patch to the next, both ways.

    Raises:
        InputError: for a size or stride below one.

    Examples:
        >>> frames = np.zeros((4, 96, 96), np.uint8)
        >>> ps.Patches(size=6, stride=6).cut(frames).shape
        (256, 144)
    """

    size: int = 6
    stride: int = 6

    def __post_init__(self) -> None:
        for name in ("size", "stride"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1))

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return how many rows and columns of patches there are in a picture.

        Raises InputError for a picture that is smaller than a patch.
        """
        if min(height, width) < self.size:
            raise InputError(f"pictures must have at least {self.size} x {self.size} pixels, got {height} x {width}")
        return (height - self.size) // self.stride + 1, (width - self.size) // self.stride + 1

    def windows(self, frames: np.ndarray) -> np.ndarray:
        """Return a view of pictures (..., frame, row, column, color) as patches.

        Returns:
            (..., patch row, patch column, frame, row, column, color).
        """
        *leading, n_frames, height, width, n_colors = frames.shape
        rows, columns = self.grid(height, width)
        *outer, frame, row, column, color = frames.strides
        return np.lib.stride_tricks.as_strided(
            frames,
            (*leading, rows, columns, n_frames, self.size, self.size, n_colors),
            (*outer, row * self.stride, column * self.stride, frame, row, column, color),
            writeable=False,
        )

    def cut(self, frames: np.ndarray) -> np.ndarray:
        """Return the patches of a stack of pictures, float32 (feature, channel).

        Args:
            frames: gray levels (frame, row, column), or colors (frame, row, column, color).

        Returns:
            Channels in the order frame, row, column, color.

        Raises:
            InputError: for another shape, or pictures smaller than a patch.
        """
        array = np.asarray(frames)
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4 or 0 in array.shape or array.dtype.kind not in "fiub":
            raise InputError(
                f"frames must be numbers (frame, row, column) or (frame, row, column, color), got {np.shape(frames)}"
            )
        cut = self.windows(array)
        return cut.reshape(cut.shape[0] * cut.shape[1], -1).astype(np.float32)


class Distinct(NamedTuple):
    """The different patches among some.

    Attributes:
        rows: each of them once (row, channel), in an order that does not depend on the one they came in.
        counts: how many patches each row is (row,).
        numbers: which row each patch is (feature,).
    """

    rows: np.ndarray
    counts: np.ndarray
    numbers: np.ndarray


def distinct(patches: np.ndarray) -> Distinct:
    """Return the different patches among these (feature, channel), sorted by their bits."""
    patches = np.ascontiguousarray(patches)  # the bits of a row are one item
    order = np.argsort(patches.view(f"V{patches.strides[0]}")[:, 0])
    ordered = patches[order]
    is_new = np.ones(len(order), bool)
    np.any(ordered[1:] != ordered[:-1], axis=1, out=is_new[1:])
    numbers = np.empty_like(order)
    numbers[order] = np.cumsum(is_new) - 1
    return Distinct(ordered[is_new], np.bincount(numbers), numbers)


def fold_changes(weights: np.ndarray) -> np.ndarray:
    """Fold a layer of the differences of frames, for gray levels.

    Args:
        weights: (candidate, output, frame - 1, pixel).

    Returns:
        (candidate, frame - 1 and pixel, output), for `changes`.
    """
    return _flat(weights / WHITE)


def fold_values(
    w_value: np.ndarray, b_value: np.ndarray, gain: np.ndarray | None = None, bias: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fold the layers that make values of pixels, for `patch_values`.

    Args:
        w_value: W_v (candidate, projection, frame, pixel).
        b_value: b_v (candidate, projection).
        gain, bias: g and c (candidate, pixel), one and zero if None.

    Returns:
        Weights (candidate, frame and pixel, projection), and the constant (candidate, projection).
    """
    if bias is not None:
        b_value = b_value + np.einsum("cdfp,cp->cd", w_value, bias)
    if gain is not None:
        w_value = w_value * gain[:, None, None]
    return _flat(w_value), b_value


def _flat(weights: np.ndarray) -> np.ndarray:
    return weights.reshape(*weights.shape[:2], -1).swapaxes(1, 2)


def cut_levels(rows: np.ndarray) -> np.ndarray:
    """Return gray levels within the bounds in which patches are seen."""
    return np.clip(rows, -_BRIGHTEST, _BRIGHTEST)


def changes(rows: np.ndarray, n_pixels: int) -> np.ndarray:
    """Return the differences of frames (..., frame - 1 and pixel) of patches (..., frame and pixel)."""
    return rows[..., n_pixels:] - rows[..., :-n_pixels]


def patch_keys(heard: np.ndarray, to_keys: np.ndarray) -> np.ndarray:
    """Return the keys (row, projection), float32, of what they are made of (row, input). Sums are float64."""
    return _as_float32(heard @ to_keys)


def patch_values(rows: np.ndarray, n_pixels: int, to_values: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return the values (row, projection), float32, of patches.

    Args:
        rows: gray levels (row, channel), float32, channels in the order frame, pixel.
        n_pixels: of a patch in one frame.
        to_values, constant: of one candidate, of `fold_values`. Sums are made in their dtype.
    """
    by_frame = rows.reshape(len(rows), -1, n_pixels)
    # Without its level a patch that is almost flat keeps the digits in which its pixels differ.
    normed, _ = layer_norm(by_frame - by_frame[:, :, :1], NORM_EPSILON * WHITE**2)
    values = normed.reshape(rows.shape) @ to_values
    values += constant
    return _as_float32(values)


def _as_float32(array: np.ndarray) -> np.ndarray:
    return np.clip(array, -LARGEST, LARGEST, out=array).astype(np.float32)
