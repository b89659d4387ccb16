"""Convolutions without padding, channels last, as one product of windows laid out as rows; and the way back."""

from __future__ import annotations

import numpy as np


def fold_convolution(weight: np.ndarray) -> np.ndarray:
    """Return weights (..., out, in, row, column) as the matrix (..., row * column * in, out) that `convolve` takes."""
    moved = np.moveaxis(weight, (-2, -1, -3, -4), (-4, -3, -2, -1))
    return np.ascontiguousarray(moved).reshape(*weight.shape[:-4], -1, weight.shape[-4])


def unfold_convolution(d_folded: np.ndarray, kernel: int) -> np.ndarray:
    """Return the gradient (..., out, in, row, column) of what `fold_convolution` took, from that of the matrix."""
    shaped = d_folded.reshape(*d_folded.shape[:-2], kernel, kernel, -1, d_folded.shape[-1])
    return np.moveaxis(shaped, (-4, -3, -2, -1), (-2, -1, -3, -4))


def convolve(pictures: np.ndarray, weights: np.ndarray, bias: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """Return the convolution of pictures.

    Args:
        pictures: (picture, row, column, channel), contiguous.
        weights: (kernel * kernel * channel, out) of `fold_convolution`.
        bias: (out,).
        kernel: rows and columns of a window.
        stride: from one window to the next.

    Returns:
        (picture, row, column, out).
    """
    windows = _windows(pictures, kernel, stride)
    out = windows.reshape(-1, len(weights)) @ weights
    out += bias
    return out.reshape(*windows.shape[:3], -1)


def convolve_back(
    pictures: np.ndarray, weights: np.ndarray, kernel: int, stride: int, d_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients by pictures, weights and bias, from that by the result of `convolve`."""
    windows = _windows(pictures, kernel, stride)
    flat = d_out.reshape(-1, d_out.shape[-1])
    d_weights = windows.reshape(-1, len(weights)).T @ flat
    d_windows = (flat @ weights.T).reshape(windows.shape)
    d_pictures = np.zeros_like(pictures)
    _, rows, columns, _ = d_out.shape
    for row in range(kernel):
        for column in range(kernel):
            d_pictures[:, row : row + stride * rows : stride, column : column + stride * columns : stride] += d_windows[
                :, :, :, row, column
            ]
    return d_pictures, d_weights, flat.sum(axis=0)


def _windows(pictures: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """Return a view (picture, row, column, kernel row, kernel column, channel)."""
    n, height, width, channels = pictures.shape
    picture, row, column, channel = pictures.strides
    shape = (n, (height - kernel) // stride + 1, (width - kernel) // stride + 1, kernel, kernel, channels)
    strides = (picture, row * stride, column * stride, row, column, channel)
    return np.lib.stride_tricks.as_strided(pictures, shape, strides, writeable=False)
