"""Layer normalisation (Ba, Kiros and Hinton, 2016), and the way back: z = (x - mean) / sqrt(var + 1e-5)."""

from __future__ import annotations

import numpy as np

from .patches import NORM_EPSILON


def layer_norm(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (..., channel) normalised over their channels, and 1 / sqrt(var + 1e-5) (..., 1)."""
    share = 1.0 / values.shape[-1]
    mean = np.add.reduce(values, axis=-1, keepdims=True)
    mean *= share
    centred = values - mean
    variance = np.einsum("...c,...c->...", centred, centred)[..., None]
    variance *= share
    variance += NORM_EPSILON
    scale = np.reciprocal(np.sqrt(variance))
    centred *= scale
    return centred, scale


def layer_norm_back(normed: np.ndarray, scale: np.ndarray, d_normed: np.ndarray) -> np.ndarray:
    """Return the gradient by the values, from what `layer_norm` returned and the gradient by the normed ones."""
    share = 1.0 / normed.shape[-1]
    along = np.einsum("...c,...c->...", d_normed, normed)[..., None] * share
    d_values = d_normed - np.add.reduce(d_normed, axis=-1, keepdims=True) * share
    d_values -= normed * along
    d_values *= scale
    return d_values
