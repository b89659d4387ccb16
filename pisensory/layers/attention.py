"""Attention of fixed queries to any number of features, and the sum of their messages, which has no order.

Equations: Tang and Ha, "The Sensory Neuron as a Transformer", 2021, section 3; the positional table is that of
Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .blocks import Block


def positional_table(n_rows: int, n_columns: int) -> np.ndarray:
    """Return the sinusoidal positional table (row, column), float64: even columns sine, odd cosine.

    angle(m, j) = m / 10000^(2 floor(j / 2) / n_columns)
    """
    columns = np.arange(n_columns)
    angles = np.arange(n_rows)[:, None] / 10000.0 ** (2 * (columns // 2) / n_columns)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))


def fold_attention(
    table: np.ndarray,
    w_query: np.ndarray,
    b_query: np.ndarray | None,
    w_key: np.ndarray,
    b_key: np.ndarray | None,
    scale: float,
) -> np.ndarray:
    """Fold queries, keys and scale into one matrix, since the queries never change.

    (Q W_q^T + b_q)(K W_k^T + b_k)^T / s = A K^T + a

    Args:
        table: Q (embedding, hidden).
        w_query, w_key: (candidate, projection, hidden).
        b_query, b_key: (candidate, projection), or None.
        scale: s.

    Returns:
        (candidate, 1, embedding, 1 + hidden): a in the first column, A / 2 after it, for keys (1, 2 h).
    """
    queries = _queries(table, w_query, b_query)
    to_hidden = queries @ w_key
    constant = np.zeros((*to_hidden.shape[:2], 1)) if b_key is None else queries @ b_key[..., None]
    return (np.concatenate([constant, 0.5 * to_hidden], axis=-1) / scale)[:, None]


def unfold_attention(
    d_folded: np.ndarray,
    table: np.ndarray,
    w_query: np.ndarray,
    b_query: np.ndarray | None,
    w_key: np.ndarray,
    b_key: np.ndarray | None,
    scale: float,
) -> dict[str, np.ndarray]:
    """Return the gradients of weights and biases, by name, from that of the folded matrix.

    Args:
        d_folded: (candidate, 1, embedding, 1 + hidden).
        table, w_query, b_query, w_key, b_key, scale: as they were folded.
    """
    d_constant, d_to_hidden = d_folded[:, 0, :, :1] / scale, 0.5 * d_folded[:, 0, :, 1:] / scale
    queries = _queries(table, w_query, b_query)
    d_queries = d_to_hidden @ np.swapaxes(w_key, -1, -2)
    if b_key is not None:
        d_queries = d_queries + d_constant * b_key[:, None, :]
    return {
        "w_query": np.swapaxes(d_queries, -1, -2) @ table,
        "b_query": d_queries.sum(axis=1),
        "w_key": np.swapaxes(queries, -1, -2) @ d_to_hidden,
        "b_key": (np.swapaxes(queries, -1, -2) @ d_constant)[..., 0],
    }


def _queries(table: np.ndarray, w_query: np.ndarray, b_query: np.ndarray | None) -> np.ndarray:
    """Return Q W_q^T + b_q (candidate, embedding, projection)."""
    queries = table @ np.swapaxes(w_query, -1, -2)
    return queries if b_query is None else queries + b_query[:, None, :]


def attention_step(weights: np.ndarray, keys: Block, attention: Block) -> None:
    """Write the tanh attention of every embedding (channel) to every feature into `attention`.

    Args:
        weights: (candidate, 1, embedding, 1 + hidden) of `fold_attention`.
        keys: channels (1, 2 h).
        attention: receives the attention, in [-1, 1].
    """
    matrices, planes = attention
    np.matmul(weights, keys.matrices, matrices)
    np.tanh(planes, planes)


# Of a float of each size: an integer of that size, the mask of the exponent, and the smallest normal exponent.
_FLOATS = {4: (np.int32, np.int32(0x7F800000), -126), 8: (np.int64, np.int64(0x7FF0000000000000), -1022)}


# Numbers in a buffer that NumPy converts in: with its own 8192 they do not fit the first cache beside what they are of.
_BUFFER = 2048


class ExactSum(NamedTuple):
    """Scratch and constants of `count_values` and `exact_weighted_sum`."""

    counts: np.ndarray  # of an integer type that is fine enough
    smallest_unit: np.ndarray  # no smaller, so that its parts have reciprocals
    part: np.ndarray  # of a unit: what is counted
    bits_as: type
    exponent_mask: np.ndarray


def make_exact_sum(attention: Block, n_features: int, scratch: np.ndarray | None = None) -> ExactSum:
    """Return what it takes to sum over so many features.

    Args:
        attention: what will be summed.
        n_features: how many there are.
        scratch: planes like those of `attention`, to count in where that needs no more bits; some of its own if None.
    """
    dtype = attention.planes.dtype
    integer, mask, smallest = _FLOATS[dtype.itemsize]
    if scratch is None or n_features > 64:
        counts = np.empty_like(attention.planes, dtype=integer if n_features <= 64 else np.int64)
    else:
        counts = scratch.view(integer)
    bits = 8 * counts.dtype.itemsize - 2 - (n_features - 1).bit_length()
    return ExactSum(counts, dtype.type(2.0 ** (bits + smallest)), dtype.type(2.0**-bits), integer, mask)


def count_values(values: np.ndarray, gain: float, exact: ExactSum) -> tuple[np.ndarray, np.ndarray]:
    """Measure values in parts of a power of two, of which `exact_weighted_sum` counts whole ones.

    The power is chosen per candidate and episode from the largest value, so that the sum over all features fits the
    integers. A part is below 2^-24 of the largest value, the precision of float32 itself, unless all are minute.

    Args:
        values: (..., feature, candidate * episode), finite, of any size.
        gain: a constant factor on the sum.
        exact: of `make_exact_sum`.

    Returns:
        The values in parts (..., feature, candidate * episode), and gain times a part (..., candidate * episode).
    """
    _, smallest_unit, part, bits_as, exponent_mask = exact
    # The power of two at or below the largest value: exponents compare as integers do.
    exponents = np.bitwise_and(values.view(bits_as), exponent_mask)
    unit = np.maximum.reduce(exponents, axis=-2, initial=smallest_unit.view(bits_as)).view(values.dtype)
    np.multiply(unit, part, out=unit)
    counted = np.divide(values, unit[..., None, :])
    if gain != 1:
        np.multiply(unit, gain, out=unit)
    return counted, unit


def exact_weighted_sum(
    attention: Block, counted: np.ndarray, part: np.ndarray, exact: ExactSum, out: np.ndarray
) -> None:
    """Write gain * sum over features of attention * value into `out`: the same bits in any order.

    Each product is cut to a whole number of parts, and integers add without rounding.

    Args:
        attention: embeddings as channels, in [-1, 1]; of one step, or of several (`wide_block`).
        counted, part: of `count_values`, contiguous.
        exact: of `make_exact_sum`, for as many steps or more.
        out: receives (..., embedding, candidate * episode).
    """
    counts, leading = exact.counts[: len(attention.planes)], counted.shape[:-2]
    before = np.setbufsize(_BUFFER)
    try:
        np.multiply(attention.planes, counted.reshape(*leading, 1, -1), out=counts, casting="unsafe", dtype=part.dtype)
        by_feature = counts.reshape(*counts.shape[:-1], counted.shape[-2], -1)
        total = np.add.reduce(by_feature, axis=-2, dtype=counts.dtype)
        np.multiply(total, part[..., None, :], out=out, casting="unsafe", dtype=part.dtype)
    finally:
        np.setbufsize(before)


class SingleSum:
    """The sum of `exact_weighted_sum` over the features of one candidate in one episode: the same bits in less time.

    With a single column there is but one unit, a number of Python's own, and a fraction of the calls of NumPy.
    """

    def __init__(self, attention: Block, values: np.ndarray, gain: float, exact: ExactSum, out: np.ndarray) -> None:
        """Prepare to sum.

        Args:
            attention: embeddings as channels, in [-1, 1].
            values: (feature, 1), finite, of any size.
            gain: a constant factor on the sum.
            exact: of `make_exact_sum`.
            out: receives (embedding, 1).
        """
        dtype, counts = attention.planes.dtype.type, exact.counts
        self._smallest_unit, self._part, self._gain = float(exact.smallest_unit), float(exact.part), float(dtype(gain))
        self._attention, self._values, self._out = attention.planes, values[:, 0], out[:, 0]
        self._factor: np.ndarray = np.empty((), dtype)
        self._sizes, self._counted = np.empty((2, len(values)), dtype)
        self._products, self._counts = np.empty_like(attention.planes), counts
        self._ones, self._total = np.ones(len(values), counts.dtype), np.empty(len(counts), counts.dtype)

    def write(self) -> None:
        """Write gain * sum over features of attention * value into `out`."""
        values, sizes, counted, factor, out = self._values, self._sizes, self._counted, self._factor, self._out
        np.abs(values, sizes)
        _, exponent = math.frexp(max(sizes.item(sizes.argmax()), self._smallest_unit))
        part = math.ldexp(self._part, exponent - 1)
        factor.fill(part)
        np.divide(values, factor, counted)
        np.multiply(self._attention, counted, self._products)
        self._counts[...] = self._products
        out[...] = self._counts.dot(self._ones, self._total)
        factor.fill(part * self._gain)
        np.multiply(out, factor, out)


def attention_step_back(
    weights: np.ndarray, keys: Block, attention: Block, counted: np.ndarray, d_sums: np.ndarray, d_weights: np.ndarray,
    d_scores: Block,
) -> np.ndarray:  # fmt: skip
    """Go back through `exact_weighted_sum` and `attention_step`.

    Args:
        weights, keys, attention: as in `attention_step`, of wide blocks of several steps.
        counted: of `count_values` (step, feature, episode).
        d_sums: the gradient by the sums, times the part (step, embedding, episode).
        d_weights: the gradient by `weights`, added to.
        d_scores: scratch like `attention`.

    Returns:
        The planes of the gradient by 2 h (step, hidden, feature * episode).
    """
    planes = d_scores.planes
    np.multiply(attention.planes, attention.planes, out=planes)
    np.subtract(1, planes, out=planes)
    shaped = planes.reshape(*planes.shape[:2], *counted.shape[1:])
    np.multiply(shaped, d_sums[:, :, None], out=shaped)
    # Now the gradient by the scores, but for a factor of each column: keys are fewer than embeddings to multiply.
    columns = counted.reshape(len(counted), 1, -1)
    _add_last_first(d_weights, d_scores.matrices @ (keys.planes * columns)[:, None].swapaxes(2, 3))
    d_hidden = (weights[..., 1:].swapaxes(2, 3) @ d_scores.matrices)[:, 0]
    return np.multiply(d_hidden, columns, out=d_hidden)


def _add_last_first(total: np.ndarray, terms: np.ndarray) -> None:
    """Add the terms of steps (step, ...) to a total, in the order in which one goes back through time."""
    for term in reversed(terms):
        total += term


def softmax_step(n_features: int, weights: np.ndarray, keys: Block, attention: Block) -> None:
    """Write the softmax over so many features, in place of tanh, into `attention`: the same bits in any order.

    Args:
        n_features: how many there are.
        weights, keys: as in `attention_step`.
        attention: receives the attention, in [0, 1], of sum 1 over the features.
    """
    np.matmul(weights, keys.matrices, out=attention.matrices)
    planes = attention.planes.reshape(*attention.planes.shape[:-1], n_features, -1)
    np.subtract(planes, planes.max(axis=-2, keepdims=True), out=planes)
    np.exp(planes, out=planes)
    # Cut to multiples of 2^-23, whose sum in float64 needs no rounding and so has no order.
    np.add(planes, 1, out=planes)
    np.subtract(planes, 1, out=planes)
    np.divide(planes, planes.sum(axis=-2, keepdims=True, dtype=np.float64), out=planes, casting="same_kind")


def softmax_step_back(
    weights: np.ndarray, keys: Block, attention: Block, counted: np.ndarray, d_sums: np.ndarray, d_weights: np.ndarray,
    d_scores: Block,
) -> np.ndarray:  # fmt: skip
    """Go back through `exact_weighted_sum` and `softmax_step`; arguments and result as of `attention_step_back`."""
    shares = attention.planes.reshape(*attention.planes.shape[:2], *counted.shape[1:])
    planes = d_scores.planes.reshape(shares.shape)
    # By the score of feature i: share_i (value_i - sum over j of share_j value_j)
    np.subtract(counted[:, None], np.einsum("tmie,tie->tme", shares, counted)[:, :, None], out=planes)
    np.multiply(planes, shares, out=planes)
    np.multiply(planes, d_sums[:, :, None], out=planes)
    _add_last_first(d_weights, d_scores.matrices @ keys.matrices.swapaxes(2, 3))
    return np.asarray((weights[..., 1:].swapaxes(2, 3) @ d_scores.matrices)[:, 0])
