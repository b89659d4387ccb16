"""The random layer of Lee et al., "Network Randomization: A Simple Technique for Generalization in Deep Reinforcement
Learning", 2020, section 3.1: a convolution that nobody trains, which changes colors and edges and leaves shapes.

    y[row, column] = sum over i, j from 0 to 2 of x[row + i - 1, column + j - 1] W[i, j]

Outside the picture x is 0. W maps 3 colors to 3; its entries are drawn from N(0, 2 / (inputs + outputs)), of which
there are 3 x 3 x 3 each (Glorot and Bengio, 2010, equation 12, with a normal distribution).
"""

from __future__ import annotations

import math

import numpy as np

SIZE, COLORS = 3, 3
LEFT_OUT = 0.1  # how often pictures stay as they are
_DEVIATION = math.sqrt(2 / (2 * SIZE * SIZE * COLORS))


def draw_random_layer(generator: np.random.Generator) -> np.ndarray:
    """Return W (row, column, color, color out), float32; that which changes nothing in one case of ten."""
    if generator.random() < LEFT_OUT:
        weights = np.zeros((SIZE, SIZE, COLORS, COLORS), np.float32)
        weights[SIZE // 2, SIZE // 2] = np.eye(COLORS)
        return weights
    return (_DEVIATION * generator.standard_normal((SIZE, SIZE, COLORS, COLORS))).astype(np.float32)


def randomize(pictures: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return pictures (picture, row, column, color) through a random layer, float32."""
    n, rows, columns, _ = pictures.shape
    padded = np.zeros((n, rows + SIZE - 1, columns + SIZE - 1, COLORS), np.float32)
    padded[:, 1:-1, 1:-1] = pictures
    # The colors of neighbours in a row lie side by side: one product for each row of W.
    picture, row, column, color = padded.strides
    shape = (n, len(padded[0]), columns, SIZE * COLORS)
    windows = np.lib.stride_tricks.as_strided(padded, shape, (picture, row, column, color), writeable=False)
    parts = [
        windows[:, start : start + rows].reshape(-1, SIZE * COLORS) @ one.reshape(SIZE * COLORS, COLORS)
        for start, one in enumerate(weights)
    ]
    return sum(parts[1:], parts[0]).reshape(pictures.shape)
