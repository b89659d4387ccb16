"""Layer normalisation (Ba, Kiros and Hinton, 2016), and the way back: z = (x - mean) / sqrt(var + 1e-5)."""

from __future__ import annotations

import numpy as np

NORM_EPSILON = 1e-5  # added to variances, as in the published networks


def layer_norm(values: np.ndarray, epsilon: float = NORM_EPSILON) -> tuple[np.ndarray, np.ndarray]:
    """Return values (..., channel) normalised over their channels, and 1 / sqrt(var + epsilon) (..., 1)."""
    share = 1.0 / values.shape[-1]
    centred = values - _means(values)
    variance = np.einsum("...c,...c->...", centred, centred)[..., None]
    variance *= share
    variance += epsilon
    scale = np.reciprocal(np.sqrt(variance))
    centred *= scale
    return centred, scale


def layer_norm_back(normed: np.ndarray, scale: np.ndarray, d_normed: np.ndarray) -> np.ndarray:
    """Return the gradient by the values, from what `layer_norm` returned and the gradient by the normed ones."""
    share = 1.0 / normed.shape[-1]
    along = np.einsum("...c,...c->...", d_normed, normed)[..., None] * share
    d_values = d_normed - _means(d_normed)
    d_values -= normed * along
    d_values *= scale
    return d_values


def _means(values: np.ndarray) -> np.ndarray:
    """Return the means over the channels (..., 1), by a product, which is faster than a sum of so few."""
    n_channels = values.shape[-1]
    means = values.reshape(-1, n_channels) @ np.full(n_channels, 1.0 / n_channels, values.dtype)
    return means.reshape(*values.shape[:-1], 1)
