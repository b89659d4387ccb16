"""How an array of the network lies in memory, and folded weights."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

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


def make_block(n_candidates: int, n_features: int, n_channels: int, n_episodes: int, dtype: type = np.float32) -> Block:
    """Return a block of zeros."""
    plane = n_features * n_candidates * n_episodes
    # Planes that start at multiples of 4096 bytes compete for the same lines of the cache.
    row, start = plane + (16 if plane % 1024 == 0 else 0), next(_starts)
    planes = _zeros(start + n_channels * row, dtype)[start:].reshape(n_channels, row)[:, :plane]
    shaped = planes.reshape(n_channels, n_features, n_candidates, n_episodes)
    return Block(shaped.transpose(2, 1, 0, 3), planes)


def _zeros(size: int, dtype: type) -> np.ndarray:
    """Return a vector of zeros that begins with a line of the cache: vectors of the processor then never cross two."""
    memory = np.zeros(size * np.dtype(dtype).itemsize + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + size * np.dtype(dtype).itemsize].view(dtype)


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
