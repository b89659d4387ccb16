"""Gradient descent on a flat vector: Adam, clipping, and a learning rate that falls."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

_AT_ONCE = 2**14  # numbers that stay in a core's cache


@dataclasses.dataclass
class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1), with the constants of the paper.

    Attributes:
        first, second: running moments of the gradient (parameter,).
        count: steps taken.
    """

    first: np.ndarray
    second: np.ndarray
    count: int = 0

    def step(self, params: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
        """Return `params` (parameter,) one step down `gradient`."""
        self.count += 1
        # The old moments stay what they are, since a checkpoint may still be written of them.
        self.first, self.second, after = self.first.copy(), self.second.copy(), np.empty_like(params)
        for start in range(0, len(params), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            first, second = self.first[some], self.second[some]
            first *= 0.9
            first += 0.1 * gradient[some]
            second *= 0.999
            second += 0.001 * np.square(gradient[some])
            deviation = np.sqrt(second / (1 - 0.999**self.count))
            deviation += 1e-8
            change = first / (1 - 0.9**self.count)
            change *= rate
            change /= deviation
            np.subtract(params[some], change, out=after[some])
        return after


def clip(gradient: np.ndarray, limit: float) -> np.ndarray:
    """Return `gradient`, scaled down to the norm `limit` if it is longer (Pascanu et al., 2013)."""
    norm = float(np.linalg.norm(gradient))
    return gradient * (limit / norm) if norm > limit else gradient


def cosine_rate(rate: float, done: float) -> float:
    """Return the learning rate when the part `done` of all steps is done: from `rate` to a hundredth of it.

    Source: Loshchilov and Hutter, "SGDR", 2017, equation 5.
    """
    return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
