"""Stacks of dense layers, each y = f(W x + b) with f = tanh unless said otherwise, and the way back through them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .blocks import LARGEST_OUTPUT, Block, make_block


def fold_dense(named: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """Fold the dense layers `prefix`0_weight (candidate, out, in), `prefix`0_bias (candidate, out), ...

    Returns:
        one (candidate, 1, out, in + 1) a layer, the bias in the last column.
    """
    names = [name[: -len("weight")] for name in named if name.startswith(prefix) and name.endswith("weight")]
    return [
        np.concatenate([named[f"{name}weight"], named[f"{name}bias"][..., None]], axis=-1)[:, None] for name in names
    ]


def unfold_dense(d_folded: list[np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the gradients of weights and biases, by name, from those of the folded matrices."""
    named = {}
    for number, gradient in enumerate(d_folded):
        named[f"{prefix}{number}_weight"] = gradient[:, 0, :, :-1]
        named[f"{prefix}{number}_bias"] = gradient[:, 0, :, -1]
    return named


class Dense(NamedTuple):
    """A stack of dense layers ready to run.

    Attributes:
        weights: one (candidate, 1, out, in + 1) a layer, of `fold_dense`.
        inputs: one block of one feature a layer, whose last channel is the constant one that meets the bias.
        outputs: one block a layer, the next layer's inputs without that channel.
        squashers: f of each layer: "tanh", "relu" or "none".
    """

    weights: list[np.ndarray]
    inputs: list[Block]
    outputs: list[Block]
    squashers: list[str]


def make_dense(weights: list[np.ndarray], n_episodes: int, hidden: str = "tanh", last: str = "tanh") -> Dense:
    """Return the stack of layers that have these weights, with f of the hidden ones and of the last."""
    n_candidates, dtype = len(weights[0]), weights[0].dtype.type
    inputs = [make_block(n_candidates, 1, weight.shape[3], n_episodes, dtype) for weight in weights]
    for block in inputs:
        block.planes[-1] = 1
    outputs = make_block(n_candidates, 1, weights[-1].shape[2], n_episodes, dtype)
    squashers = [hidden] * (len(weights) - 1) + [last]
    return Dense(weights, inputs, [*(block.part(0, -1) for block in inputs[1:]), outputs], squashers)


def dense_layers(dense: Dense) -> None:
    """Run the first block of `dense` through its layers: y = f(W x + b)."""
    for weight, (seen, _), (matrices, planes), squasher in zip(*dense):
        np.matmul(weight, seen, matrices)
        if squasher == "tanh":
            np.tanh(planes, planes)
        elif squasher == "relu":
            np.clip(planes, 0, LARGEST_OUTPUT, planes)


def dense_layers_back(
    dense: Dense, d_outputs: np.ndarray, d_features: np.ndarray | None = None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Go back through `dense_layers`.

    Args:
        dense: as `dense_layers` left it.
        d_outputs: the gradient by the last outputs (candidate, 1, channel, episode).
        d_features: that by the last layer's inputs, likewise, of what looks at them besides that layer; none if None.

    Returns:
        The gradient by the first inputs, without the constant one, (candidate, 1, channel, episode); and those by
        `dense.weights`.
    """
    d_weights = []
    for weight, inputs, outputs, squasher in reversed(list(zip(*dense))):
        d_scores = d_outputs
        if squasher == "tanh":
            d_scores = np.square(outputs.matrices)
            np.subtract(1, d_scores, out=d_scores)
            np.multiply(d_scores, d_outputs, out=d_scores)
        elif squasher == "relu":
            d_scores = d_outputs * (outputs.matrices > 0)
        d_weights.append(d_scores @ np.swapaxes(inputs.matrices, -1, -2))
        d_outputs = np.swapaxes(weight[..., :-1], -1, -2) @ d_scores
        if d_features is not None:
            d_outputs += d_features
            d_features = None
    return d_outputs, d_weights[::-1]
