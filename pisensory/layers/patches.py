"""Patches of pictures: how they are cut, and how keys and values are made of their pixels.

Equations: Tang and Ha, "The Sensory Neuron as a Transformer", 2021, section 4. With x_f the pixels of a patch in
frame f, as intensities from 0 to 1:

    key   = W_k (x_1 - x_0, ..., x_n - x_{n-1}, a) + b_k       a: the action before, the same for every patch
    value = W_v (g z_0 + c, ..., g z_n + c) + b_v              z_f = (x_f - mean x_f) / sqrt(var x_f + 1e-5)

A softmax over patches does not see what all keys share, so the action's columns and b_k change nothing, and are
left out of `fold_patches`: their gradient is zero.

Both are linear in the pixels, but for the deviation, which is one number a frame. So one product in float64 makes
them, of pixels in steps of 1/256 of a gray level and of weights snapped to so many bits that no partial sum needs
more than 53: it has no rounding, and so the same bits for a patch wherever it stands.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from ..errors import InputError, check_int

WHITE = 255.0  # gray levels of intensity 1
NORM_EPSILON = 1e-5  # added to variances, as in the published networks

_STEPS = 256.0  # steps of a gray level that pixels are kept in
_BRIGHTEST = 1024.0  # gray levels beyond which pixels are cut
_PIXEL_BITS = 18  # of a pixel in steps, without its sign
EXACT_BITS = 53  # of a float64
_SMALLEST_EXPONENT = -900  # units below it would not have a reciprocal


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


def snap(values: np.ndarray, bits: int, axis: tuple[int, ...] | None = None) -> np.ndarray:
    """Round to whole multiples, at most 2^bits of them, of a power of two chosen from the largest along `axis`.

    Sums of products of such numbers have no rounding, and so no order, while they fit into 53 bits.
    """
    largest = np.maximum.reduce(np.abs(values), axis=axis, keepdims=True)
    exponent = np.maximum(np.frexp(largest)[1] - bits, _SMALLEST_EXPONENT)
    snapped = values * np.ldexp(1.0, -exponent)
    np.rint(snapped, out=snapped)
    snapped *= np.ldexp(1.0, exponent)
    return snapped


def bits_of(n_terms: int) -> int:
    """Return how many bits a sum of `n_terms` has more than its terms."""
    return (n_terms - 1).bit_length()


def fold_patches(
    w_key: np.ndarray,
    w_value: np.ndarray,
    b_value: np.ndarray,
    gain: np.ndarray | None = None,
    bias: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fold the layers that make keys and values of pixels, for `project_patches`.

    Args:
        w_key: W_k (candidate, projection, frame - 1, pixel), for the differences of frames.
        w_value: W_v (candidate, projection, frame, pixel).
        b_value: b_v (candidate, projection).
        gain, bias: g and c (candidate, pixel), one and zero if None.

    Returns:
        Weights (candidate, frame, pixel, 2 projection + 1), which make a key, a value before it is divided by the
        deviation, and the sum of the pixels; and the values' constant (candidate, projection). Both float64.
    """
    n_frames, n_pixels = w_value.shape[2:]
    b_value = b_value.copy()
    if bias is not None:
        b_value += np.einsum("cdfp,cp->cd", w_value, bias)
    if gain is not None:
        w_value = w_value * gain[:, None, None]
    # A difference of frames is a difference of weights; of snapped ones, so that a still patch has the key 0.
    sum_bits = bits_of(n_frames * n_pixels)
    steps = snap(w_key / (WHITE * _STEPS), EXACT_BITS - _PIXEL_BITS - sum_bits - 1, axis=(2, 3))
    nothing = np.zeros_like(steps[:, :, :1])
    keys = np.concatenate([nothing, steps], axis=2) - np.concatenate([steps, nothing], axis=2)
    centred = w_value - w_value.mean(axis=3, keepdims=True)
    values = snap(centred, EXACT_BITS - _PIXEL_BITS - bits_of(n_pixels) - 1, axis=(2, 3))
    # Snapped, they still are to sum to zero: what is left over would be magnified 300 times in a flat patch.
    values[..., 0] -= values.sum(axis=3)
    columns = np.concatenate([keys, values, np.ones_like(keys[:, :1])], axis=1)
    return np.ascontiguousarray(columns.transpose(0, 2, 3, 1)), b_value


class PatchScratch(NamedTuple):
    """Scratch for `project_patches`."""

    small: np.ndarray  # (feature, channel), float32
    pixels: np.ndarray  # (feature, channel), float64
    projected: np.ndarray  # (frame, feature, 2 projection + 1), float64


def make_patch_scratch(n_features: int, n_frames: int, n_pixels: int, proj_dim: int) -> PatchScratch:
    """Return the scratch for so many patches."""
    n_channels = n_frames * n_pixels
    return PatchScratch(
        np.empty((n_features, n_channels), np.float32),
        np.empty((n_features, n_channels)),
        np.empty((n_frames, n_features, 2 * proj_dim + 1)),
    )


class Projected(NamedTuple):
    """Keys and values of an episode's patches; those of one gray throughout, which are all alike, count as one.

    Attributes:
        keys, values: (row, projection), float64.
        counts: how many patches each row is (row,).
        varied: which patches are not of one gray (feature,): the first rows, in their order.
    """

    keys: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    varied: np.ndarray


def project_patches(patches: np.ndarray, weights: np.ndarray, b_value: np.ndarray, scratch: PatchScratch) -> Projected:
    """Return the keys and values of one episode's patches.

    Args:
        patches: gray levels (feature, channel), float32, channels in the order frame, pixel.
        weights: (frame, pixel, 2 projection + 1) of `fold_patches`.
        b_value: (projection,).
        scratch: of `make_patch_scratch`.
    """
    n_frames, n_pixels, n_columns = weights.shape
    size = n_columns // 2
    # A patch of one gray in all frames has the key 0 and the value b_v, exactly.
    varied = np.maximum.reduce(patches, axis=1) > np.minimum.reduce(patches, axis=1)
    n_varied = np.count_nonzero(varied)
    n_plain = len(varied) - n_varied
    small, pixels = scratch.small[:n_varied], scratch.pixels[:n_varied]
    np.multiply(patches[varied] if n_plain else patches, np.float32(_STEPS), out=small)
    np.rint(small, out=small)
    np.clip(small, -_BRIGHTEST * _STEPS, _BRIGHTEST * _STEPS, out=small)
    np.copyto(pixels, small)
    by_frame = pixels.reshape(n_varied, n_frames, n_pixels).transpose(1, 0, 2)
    projected = np.matmul(by_frame, weights, out=scratch.projected[:, :n_varied])
    keys, values = np.zeros((2, n_varied + (n_plain > 0), size))
    np.add.reduce(projected[:, :, :size], axis=0, out=keys[:n_varied])
    # Whole numbers, all exact: n sum x^2 - (sum x)^2 is n^2 times the variance, in steps.
    squares = np.einsum("fnp,fnp->fn", by_frame, by_frame)
    variance = n_pixels * squares - np.square(projected[:, :, -1])
    variance *= (n_pixels * WHITE * _STEPS) ** -2.0
    deviation = np.sqrt(variance + NORM_EPSILON) * (WHITE * _STEPS)
    np.add.reduce(projected[:, :, size:-1] / deviation[:, :, None], axis=0, out=values[:n_varied])
    values += b_value
    counts = np.ones(len(keys))
    counts[n_varied:] = n_plain
    return Projected(keys, values, counts, varied)
