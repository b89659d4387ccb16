"""How an array of the network lies in memory, and folded weights."""

from __future__ import annotations

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np

from ..blas import one_blas_thread

# Folded weights are kept within +-2**60, so that no sum of products of them overflows to inf - inf = NaN.
_LARGEST = 2.0**60
# Outputs of a relu are kept below it: so many more bits are left for the number of terms of the next product.
LARGEST_OUTPUT = 2.0**50
_LINE = 64  # bytes of a line of the cache
# How many numbers after the start of its memory each block begins, in turn. Large arrays all begin at a page, and those
# that begin alike compete for the same lines of the cache.
_starts = itertools.cycle(range(0, 16 * 80, 80))


class Block(NamedTuple):
    """An array of the network, seen in two ways.

    Attributes:
        matrices: (candidate, feature, channel, episode), for products.
        planes: the same memory (channel, feature * candidate * episode), for what is elementwise.
    """

    matrices: np.ndarray
    planes: np.ndarray

    def part(self, start: int, stop: int | None = None) -> Block:
        """Return the channels from `start` to `stop`."""
        return Block(self.matrices[:, :, start:stop], self.planes[..., start:stop, :])


def make_block(
    n_candidates: int,
    n_features: int,
    n_channels: int,
    n_episodes: int,
    dtype: type = np.float32,
    side_by_side: bool = False,
) -> Block:
    """Return a block of zeros, laid out as `as_block` takes it."""
    plane = n_features * n_candidates * n_episodes
    # One plane right after the other: to NumPy they are then one vector.
    start = next(_starts)
    planes = _zeros(start + n_channels * plane, dtype)[start:].reshape(n_channels, plane)
    return as_block(planes, n_candidates, n_features, side_by_side)


def as_block(planes: np.ndarray, n_candidates: int, n_features: int, side_by_side: bool = False) -> Block:
    """Return the block that lies in planes (channel, feature * candidate * episode).

    If its features are to stand side by side, it is (channel, candidate * feature * episode), and as a block of one
    feature the same planes give all columns of a candidate to one product.
    """
    if side_by_side:
        return Block(planes.reshape(len(planes), n_candidates, n_features, -1).transpose(1, 2, 0, 3), planes)
    return Block(planes.reshape(len(planes), n_features, n_candidates, -1).transpose(2, 1, 0, 3), planes)


def _zeros(size: int, dtype: type) -> np.ndarray:
    """Return a vector of zeros that begins with a line of the cache: vectors of the processor then never cross two."""
    memory = np.zeros(size * np.dtype(dtype).itemsize + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + size * np.dtype(dtype).itemsize].view(dtype)


@cache
def exact_side_by_side(n_outputs: int, n_channels: int, n_features: int, n_episodes: int, dtype: type) -> bool:
    """Return whether one product of features side by side has the bits of one product a feature, on this machine.

    It has where BLAS adds up each column alike, wherever in the matrix it stands: where features are whole tiles of
    its kernel, and with most kernels else too. The order of features then means nothing in either, and the one
    product is quicker. Random numbers tell: in which order BLAS adds numbers does not depend on what they are.

    Args:
        n_outputs, n_channels: rows and columns of the weights.
        n_features, n_episodes: of the blocks.
        dtype: of all.
    """
    # Fewer than four columns BLAS gives to kernels that round by the stride of the block; from 64 on nothing is gained.
    if n_features == 1 or not 4 <= n_episodes < 64 or n_features * n_episodes > 1024:
        return False
    n_candidates, generator = 3, np.random.default_rng(0)
    weights: np.ndarray = generator.standard_normal((n_candidates, 1, n_outputs, n_channels)).astype(dtype)
    inputs, apart, wide = (
        make_block(n_candidates, n_features, number, n_episodes, dtype, side_by_side=True)
        for number in (n_channels, n_outputs, n_outputs)
    )
    inputs.planes[...] = generator.standard_normal(inputs.planes.shape)
    with one_blas_thread():
        np.matmul(weights, inputs.matrices, apart.matrices)
        np.matmul(weights, *(as_block(block.planes, n_candidates, 1).matrices for block in (inputs, wide)))
    return np.array_equal(apart.planes, wide.planes)


def wide_block(planes: np.ndarray) -> Block:
    """Return the block of one candidate whose features stand side by side.

    Args:
        planes: (channel, feature * episode); or of several steps (step, channel, feature * episode), and then steps
            stand where candidates do in the matrices.
    """
    return Block(planes[None, None] if planes.ndim == 2 else planes[:, None], planes)


def as_weights(array: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Return folded weights as a contiguous array, within bounds in which sums cannot overflow."""
    return np.ascontiguousarray(np.clip(array, -_LARGEST, _LARGEST), dtype=dtype)
