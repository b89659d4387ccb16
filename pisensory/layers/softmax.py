"""Attention with a softmax over patches: the same bits in any order, and the way back.

    m_i = sum_p softmax_p(q_i k_p) v_p

`attend` is for rollouts. Its two products run in float64 over numbers snapped to so few bits (`snap`) that sums
need no rounding: queries and keys of 24 or 25, weights of 24, values of what is left of 53. The softmax's
denominator is one more column of the values, the ones. Its error is that of float32.

`softmax_attention` and `softmax_attention_back` are for gradients, in the dtype of their arrays, without that
promise. The way back computes the weights again, of their logarithm, sooner than keeping them: they are most of
the memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .patches import EXACT_BITS, bits_of, snap

_QUERY_BITS = 24
# Weights w from 0 to 1 are used as 1 + w, which float32 rounds to a multiple of 2^-23; the ones are taken off the sums.
_WEIGHT_BITS = 24
_ONE = np.float32(1.0)
_TILE = 2**15  # weights worked on at once: what stays in a core's cache
_LEAST_ROWS = 8
_LARGEST = 2.0**60
_SAFE = 60.0


def snap_queries(queries: np.ndarray) -> np.ndarray:
    """Return queries (candidate, embedding, projection) as `attend` takes them, float64."""
    return snap(np.clip(queries, -_LARGEST, _LARGEST), _QUERY_BITS, axis=(1, 2))


def snap_keys(keys: np.ndarray) -> np.ndarray:
    """Return keys (feature, projection) as `attend` takes them, float64."""
    return snap(np.clip(keys, -_LARGEST, _LARGEST), EXACT_BITS - _QUERY_BITS - bits_of(keys.shape[1]))


def snap_values(values: np.ndarray, counts: np.ndarray, n_features: int) -> np.ndarray:
    """Return values as `attend` takes them, a column of ones added, (feature, projection + 1), float64.

    Args:
        values: (row, projection).
        counts: how many features each row stands for (row,), to be multiplied by.
        n_features: how many there are in all.
    """
    bits = EXACT_BITS - _WEIGHT_BITS - bits_of(n_features)
    snapped = np.empty((len(values), values.shape[1] + 1))
    snapped[:, :-1] = snap(np.clip(values, -_LARGEST, _LARGEST), bits, axis=(0,))
    snapped[:, -1] = 1
    snapped *= counts[:, None]
    return snapped


class AttentionScratch(NamedTuple):
    """Scratch for `attend`: scores and weights of some rows of queries, for at most so many features."""

    scores: np.ndarray  # (row * feature,), float64
    weights: np.ndarray  # (row * feature,), float32


def make_attention_scratch(n_features: int) -> AttentionScratch:
    """Return the scratch for so many features."""
    size = max(_TILE, _LEAST_ROWS * n_features)
    return AttentionScratch(np.empty(size), np.empty(size, np.float32))


def attend(
    queries: np.ndarray, keys: np.ndarray, values: np.ndarray, scratch: AttentionScratch, out: np.ndarray
) -> None:
    """Write the attention's sums of values into `out`: the same bits in any order of the features.

    Args:
        queries: (embedding, projection) of `snap_queries`, the scale of the scores in them.
        keys: (feature, projection) of `snap_keys`.
        values: (feature, projection + 1) of `snap_values`.
        scratch: of `make_attention_scratch`.
        out: receives (embedding, projection + 1); in the last column the sum of the weights.
    """
    n_rows = len(scratch.scores) // len(keys)
    for start in range(0, len(queries), n_rows):
        part = queries[start : start + n_rows]
        scores, weights = (array[: len(part) * len(keys)].reshape(len(part), len(keys)) for array in scratch)
        _weigh(part, keys, scores, weights)
        np.copyto(scores, weights)
        np.matmul(scores, values, out=out[start : start + n_rows])
    np.subtract(out, np.add.reduce(values, axis=0), out=out)


def _weigh(queries: np.ndarray, keys: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> None:
    """Write 1 + w into `weights` (query, feature), w from 0 to 1, the largest of each query 1."""
    np.matmul(queries, keys.T, out=scores)
    np.copyto(weights, scores, casting="same_kind")
    np.subtract(weights, np.maximum.reduce(weights, axis=1, keepdims=True), out=weights)
    np.exp(weights, out=weights)
    np.add(weights, _ONE, out=weights)


def attention_weights(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the softmax (embedding, feature), float32, that `attend` uses of these keys, one for each feature."""
    shape = len(queries), len(keys)
    weights = np.empty(shape, np.float32)
    _weigh(queries, keys, np.empty(shape), weights)
    exact = weights.astype(np.float64) - 1
    return (exact / exact.sum(axis=1, keepdims=True)).astype(np.float32)


def within_bounds(queries: np.ndarray, keys: np.ndarray) -> bool:
    """Return whether no score can be beyond +-60 (Cauchy and Schwarz), so that exponentials stay within float32.

    Args:
        queries, keys: (..., channel), the scores being their products.
    """
    longest = np.einsum("ic,ic->i", queries, queries).max() * np.einsum("ic,ic->i", keys, keys).max()
    return bool(longest <= _SAFE**2)


def softmax_attention(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the attention's sums of values, and what its way back needs.

    Args:
        queries: (embedding, projection).
        keys, values: (feature, projection).

    Returns:
        m (embedding, projection), and the logarithms of the softmax's denominators (embedding, 1).
    """
    weights = queries @ keys.T
    largest: np.ndarray | float = 0.0
    if not within_bounds(queries, keys):
        largest = weights.max(axis=1, keepdims=True)
        np.subtract(weights, largest, out=weights)
    np.exp(weights, out=weights)
    sums = weights @ np.concatenate([values, np.ones_like(values[:, :1])], axis=1)
    total = sums[:, -1:]
    return sums[:, :-1] / total, largest + np.log(total)


def softmax_attention_back(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    sums: np.ndarray,
    log_total: np.ndarray,
    d_sums: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients by queries, keys and values.

    Args:
        queries, keys, values: as in `softmax_attention`.
        sums, log_total: what that returned.
        d_sums: the gradient by the sums.
    """
    # exp(q k - log total) in one product, the logarithm as one more channel; likewise dw - sum of w dw below.
    one = np.ones_like(keys[:, :1])
    weights = np.concatenate([queries, -log_total], axis=1) @ np.concatenate([keys, one], axis=1).T
    np.exp(weights, out=weights)
    d_values = weights.T @ d_sums
    shared = np.einsum("id,id->i", d_sums, sums)[:, None]
    d_scores = np.concatenate([d_sums, -shared], axis=1) @ np.concatenate([values, one], axis=1).T
    np.multiply(d_scores, weights, out=d_scores)
    return d_scores @ keys, d_scores.T @ queries, d_values
