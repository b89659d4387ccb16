"""Attention with a softmax over patches, and the way back.

    m_i = sum_p softmax_p(q_i k_p) v_p

The way back computes the weights again, of their logarithm, sooner than keeping them: they are most of the memory.
"""

from __future__ import annotations

import math

import numpy as np

_TILE = 2**15  # weights worked on at once: what stays in a core's cache
_SAFE = 60.0


def within_bounds(queries: np.ndarray, keys: np.ndarray) -> bool:
    """Return whether no score can be beyond +-60 (Cauchy and Schwarz), so that exponentials stay within float32.

    Args:
        queries, keys: (..., channel), the scores being their products.
    """
    longest = (float(np.einsum("ic,ic->i", array, array).max()) for array in (queries, keys))
    return math.prod(longest) <= _SAFE**2


def attention_weights(queries: np.ndarray, keys: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the softmax (embedding, feature) of keys (feature, projection) that stand for so many each (feature,)."""
    weights = queries @ keys.T
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights @ counts.astype(weights.dtype)[:, None]
    return weights


def softmax_attention(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the attention's sums of values, and what its way back needs.

    Args:
        queries: (embedding, projection).
        keys, values: (feature, projection).
        counts: how many features each of these stands for (feature,), one if None.

    Returns:
        m (embedding, projection), and the logarithms of the softmax's denominators (embedding, 1).
    """
    columns = np.concatenate([values, np.ones_like(values[:, :1])], axis=1)
    if counts is not None:
        np.multiply(columns, counts[:, None], out=columns, casting="same_kind")
    n_rows = max(1, _TILE // len(keys))
    scratch = np.empty((n_rows, len(keys)), keys.dtype)
    sums = np.empty((len(queries), columns.shape[1]), keys.dtype)
    largest = np.zeros((len(queries), 1), keys.dtype)
    safe = within_bounds(queries, keys)
    for start in range(0, len(queries), n_rows):
        part = slice(start, start + n_rows)
        weights = np.matmul(queries[part], keys.T, out=scratch[: len(sums[part])])
        if not safe:
            np.maximum.reduce(weights, axis=1, keepdims=True, out=largest[part])
            np.subtract(weights, largest[part], out=weights)
        np.exp(weights, out=weights)
        np.matmul(weights, columns, out=sums[part])
    total = sums[:, -1:]
    return sums[:, :-1] / total, largest + np.log(total)


def softmax_attention_back(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    sums: np.ndarray,
    log_total: np.ndarray,
    d_sums: np.ndarray,
    counts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients by queries, keys and values.

    Args:
        queries, keys, values, counts: as in `softmax_attention`.
        sums, log_total: what that returned.
        d_sums: the gradient by the sums.
    """
    # exp(q k - log total) in one product, the logarithm as one more channel; likewise dw - sum of w dw below.
    one = np.ones_like(keys[:, :1])
    weights = np.concatenate([queries, -log_total], axis=1) @ np.concatenate([keys, one], axis=1).T
    np.exp(weights, out=weights)
    if counts is not None:
        np.multiply(weights, counts, out=weights, casting="same_kind")
    d_values = weights.T @ d_sums
    shared = np.einsum("id,id->i", d_sums, sums)[:, None]
    d_scores = np.concatenate([d_sums, -shared], axis=1) @ np.concatenate([values, one], axis=1).T
    np.multiply(d_scores, weights, out=d_scores)
    return d_scores @ keys, d_scores.T @ queries, d_values
