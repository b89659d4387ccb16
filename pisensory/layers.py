"""The mathematics of the networks: positional table, LSTM step, attention, dense layers, by hand in NumPy.

Axes are (candidate, feature, channel, episode). In memory the channel comes first (`Block`): a product takes
one (channel, episode) matrix per candidate and feature, while everything elementwise runs over long
contiguous planes, one a channel.

Permuting the features must not change a single bit of what comes out. Two things see to it: each feature
meets the same matrix kernel at the same shape (one product per candidate and feature), and the sum over
features is taken over integers, which has no rounding and so no order (`exact_weighted_sum`).

Equations: Tang and Ha, "The Sensory Neuron as a Transformer", 2021, section 3; the LSTM is that of
Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000); the positional table is that
of Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Folded weights are kept within +-2**60, so that no sum of products below overflows to inf - inf = NaN.
_LARGEST = 2.0**60
_EXPONENT_BITS = np.int32(0x7F800000)
_ONE, _HALF = np.float32(1.0), np.float32(0.5)


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
        return Block(self.matrices[:, :, start:stop], self.planes[start:stop])


def make_block(n_candidates: int, n_features: int, n_channels: int, n_episodes: int, dtype: type = np.float32) -> Block:
    """Return a block of zeros."""
    plane = n_features * n_candidates * n_episodes
    # Planes that start at multiples of 4096 bytes compete for the same lines of the cache.
    padding = 16 if plane % 1024 == 0 else 0
    planes: np.ndarray = np.zeros((n_channels, plane + padding), dtype=dtype)[:, :plane]
    shaped = planes.reshape(n_channels, n_features, n_candidates, n_episodes)
    return Block(shaped.transpose(2, 1, 0, 3), planes)


def as_weights(array: np.ndarray) -> np.ndarray:
    """Return folded weights as contiguous float32, within bounds in which sums cannot overflow."""
    return np.ascontiguousarray(np.clip(array, -_LARGEST, _LARGEST), dtype=np.float32)


def positional_table(n_rows: int, n_columns: int) -> np.ndarray:
    """Return the sinusoidal positional table (row, column), float64: even columns sine, odd cosine.

    angle(m, j) = m / 10000^(2 floor(j / 2) / n_columns)
    """
    columns = np.arange(n_columns)
    angles = np.arange(n_rows)[:, None] / 10000.0 ** (2 * (columns // 2) / n_columns)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))


def fold_lstm(w_input: np.ndarray, w_hidden: np.ndarray, b_input: np.ndarray, b_hidden: np.ndarray) -> np.ndarray:
    """Fold an LSTM's weights into one matrix for `lstm_step`.

    Args:
        w_input: (candidate, 4 hidden, input), gates in the order input, forget, cell, output.
        w_hidden: (candidate, 4 hidden, hidden).
        b_input, b_hidden: (candidate, 4 hidden).

    Returns:
        (candidate, 1, 4 hidden, input + 1 + hidden), gates in the order input, forget, output, cell, for
        inputs laid out as (input, 1, 2 h). With sigmoid(x) = (tanh(x / 2) + 1) / 2 the halves go into the
        weights, so that one tanh serves all gates; the state kept is 2 h, so the hidden columns are halved
        once more. Halving is exact.
    """
    size = w_hidden.shape[-1]
    folded = np.concatenate([w_input, (b_input + b_hidden)[..., None], 0.5 * w_hidden], axis=-1)
    entry, forget, cell, output = (folded[:, i * size : (i + 1) * size] for i in range(4))
    return np.concatenate([0.5 * entry, 0.5 * forget, 0.5 * output, cell], axis=1)[:, None]


class Gates(NamedTuple):
    """Scratch for `lstm_step`: a block of 4 hidden channels, and its planes by their use."""

    block: Block
    sigmoids: np.ndarray
    entry: np.ndarray
    forget: np.ndarray
    output: np.ndarray
    update: np.ndarray


def make_gates(n_candidates: int, n_features: int, hidden_size: int, n_episodes: int) -> Gates:
    """Return the scratch of an LSTM."""
    block = make_block(n_candidates, n_features, 4 * hidden_size, n_episodes)
    entry, forget, output, update = (block.planes[i * hidden_size : (i + 1) * hidden_size] for i in range(4))
    return Gates(block, block.planes[: 3 * hidden_size], entry, forget, output, update)


def lstm_step(weights: np.ndarray, inputs: Block, gates: Gates, cell: np.ndarray, doubled_hidden: np.ndarray) -> None:
    """Advance the LSTM by one step, in place.

    Args:
        weights: (candidate, 1, 4 hidden, channel) of `fold_lstm`.
        inputs: channels (input, 1, 2 h).
        gates: scratch.
        cell: planes of c, updated.
        doubled_hidden: planes that receive 2 h; a part of `inputs`.
    """
    block, sigmoids, entry, forget, output, update = gates
    np.matmul(weights, inputs.matrices, out=block.matrices)
    np.tanh(block.planes, out=block.planes)
    np.add(sigmoids, _ONE, out=sigmoids)  # now twice the sigmoids
    # c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)
    np.multiply(forget, cell, out=cell)
    np.multiply(entry, update, out=update)
    np.add(cell, update, out=cell)
    np.multiply(cell, _HALF, out=cell)
    np.tanh(cell, out=update)
    np.multiply(output, update, out=doubled_hidden)


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
    queries = table @ np.swapaxes(w_query, -1, -2)
    if b_query is not None:
        queries = queries + b_query[:, None, :]
    to_hidden = queries @ w_key
    constant = np.zeros((*to_hidden.shape[:2], 1)) if b_key is None else queries @ b_key[..., None]
    return (np.concatenate([constant, 0.5 * to_hidden], axis=-1) / scale)[:, None]


def attention_step(weights: np.ndarray, keys: Block, attention: Block) -> None:
    """Write the tanh attention of every embedding (channel) to every feature into `attention`.

    Args:
        weights: (candidate, 1, embedding, 1 + hidden) of `fold_attention`.
        keys: channels (1, 2 h).
        attention: receives the attention, in [-1, 1].
    """
    np.matmul(weights, keys.matrices, out=attention.matrices)
    np.tanh(attention.planes, out=attention.planes)


def make_sum_scratch(attention: Block) -> tuple[np.ndarray, np.ndarray]:
    """Return scratch for `exact_weighted_sum`: products, and counts of an integer type that is fine enough."""
    n_features = attention.matrices.shape[1]
    return np.empty_like(attention.planes), np.empty_like(
        attention.planes, dtype=np.int32 if n_features <= 64 else np.int64
    )


def exact_weighted_sum(
    attention: Block, values: np.ndarray, gain: float, scratch: tuple[np.ndarray, np.ndarray], out: np.ndarray
) -> None:
    """Write gain * sum over features of attention * value into `out`: the same bits in any order.

    Each product is counted in whole units of a power of two, chosen per candidate and episode from the
    largest value so that the sum over all features fits the integers, which add without rounding. A unit is
    below 2^-24 of the largest value, the precision of float32 itself, unless all are minute.

    Args:
        attention: embeddings as channels, in [-1, 1].
        values: one contiguous plane (feature, candidate * episode), finite, of any size.
        gain: a constant factor.
        scratch: of `make_sum_scratch`.
        out: receives (embedding, candidate * episode).
    """
    products, counts = scratch
    n_features, dtype = len(values), counts.dtype
    bits = 8 * dtype.itemsize - 2 - (n_features - 1).bit_length()
    unit = np.maximum.reduce(np.abs(values), axis=0)
    # The power of two at or below the largest value; not so small that its 2^bits-th part has no reciprocal.
    np.maximum(unit, np.float32(2.0 ** (bits - 126)), out=unit)
    exponent = unit.view(np.int32)
    np.bitwise_and(exponent, _EXPONENT_BITS, out=exponent)
    np.multiply(unit, np.float32(2.0**-bits), out=unit)
    np.multiply(attention.planes, np.divide(values, unit).reshape(-1), out=products)
    np.copyto(counts, products, casting="unsafe")
    total = np.add.reduce(counts.reshape(len(counts), n_features, -1), axis=1, dtype=dtype)
    if gain != 1:
        np.multiply(unit, np.float32(gain), out=unit)
    np.multiply(total, unit, out=out, casting="unsafe", dtype=np.float32)


def fold_dense(named: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """Fold the dense layers `prefix`0_weight (candidate, out, in), `prefix`0_bias (candidate, out), ...

    Returns:
        one (candidate, 1, out, in + 1) a layer, the bias in the last column.
    """
    names = [name[: -len("weight")] for name in named if name.startswith(prefix) and name.endswith("weight")]
    return [
        np.concatenate([named[f"{name}weight"], named[f"{name}bias"][..., None]], axis=-1)[:, None] for name in names
    ]


class Dense(NamedTuple):
    """A stack of dense layers ready to run.

    Attributes:
        weights: one (candidate, 1, out, in + 1) a layer, of `fold_dense`.
        inputs: one block of one feature a layer, whose last channel is the constant one that meets the bias.
        outputs: one block a layer, the next layer's inputs without that channel.
    """

    weights: list[np.ndarray]
    inputs: list[Block]
    outputs: list[Block]


def make_dense(weights: list[np.ndarray], n_episodes: int) -> Dense:
    """Return the stack of layers that have these weights."""
    n_candidates = len(weights[0])
    inputs = [make_block(n_candidates, 1, weight.shape[3], n_episodes) for weight in weights]
    for block in inputs:
        block.planes[-1] = 1
    last = make_block(n_candidates, 1, weights[-1].shape[2], n_episodes)
    return Dense(weights, inputs, [*(block.part(0, -1) for block in inputs[1:]), last])


def dense_layers(dense: Dense) -> None:
    """Run the first block of `dense` through its tanh layers: y = tanh(W x + b)."""
    for weight, inputs, outputs in zip(*dense):
        np.matmul(weight, inputs.matrices, out=outputs.matrices)
        np.tanh(outputs.planes, out=outputs.planes)
