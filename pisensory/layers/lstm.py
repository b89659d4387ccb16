"""One step of an LSTM, and the way back through it.

Equations: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers et al.,
"Learning to Forget", 2000; the way back is the chain rule, one step of back-propagation through time (Werbos,
"Backpropagation through time: what it does and how to do it", 1990).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .blocks import Block, wide_block

_OPEN = 2.0  # the bias of a forget gate that lets through 88 %
# Arrays without axes: a ufunc takes them quicker than numbers.
_ONE, _TWO, _HALF = (np.array(number, np.float32) for number in (1.0, 2.0, 0.5))


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


def unfold_lstm(d_folded: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gradients of the arguments of `fold_lstm`, by name, from that of the folded matrix."""
    size = d_folded.shape[2] // 4
    entry, forget, output, cell = (d_folded[:, 0, i * size : (i + 1) * size] for i in range(4))
    joined = np.concatenate([0.5 * entry, 0.5 * forget, cell, 0.5 * output], axis=1)
    bias = joined[..., -1 - size]
    return {
        "w_input": joined[..., : -1 - size], "w_hidden": 0.5 * joined[..., -size:], "b_input": bias, "b_hidden": bias,
    }  # fmt: skip


def open_forget_gates(b_input: np.ndarray) -> None:
    """Set the biases (4 hidden,) of a new LSTM's forget gates, in place, such that they are open.

    An LSTM that forgets finds no use for what came long before, and does not learn to keep it: Jozefowicz et al.,
    "An Empirical Exploration of Recurrent Network Architectures", 2015, section 2.3.
    """
    size = len(b_input) // 4
    b_input[size : 2 * size] = _OPEN


class Gates(NamedTuple):
    """What `lstm_step` writes: a block of 4 hidden channels, its planes by their use, and those of tanh(c)."""

    block: Block
    sigmoids: np.ndarray  # input, forget and output gates together, each doubled
    entry: np.ndarray
    forget: np.ndarray
    output: np.ndarray
    update: np.ndarray
    squashed: np.ndarray


def as_gates(block: Block, squashed: np.ndarray | None = None) -> Gates:
    """Return the gates of an LSTM in a block of 4 hidden channels.

    Args:
        block: for the gates.
        squashed: planes for tanh(c); if None, it is written over the update, which saves a pass through the cache
            where there is no way back.
    """
    size = len(block.planes) // 4
    entry, forget, output, update = (block.planes[i * size : (i + 1) * size] for i in range(4))
    return Gates(
        block, block.planes[: 3 * size], entry, forget, output, update, update if squashed is None else squashed
    )


def lstm_step(
    weights: np.ndarray,
    inputs: Block,
    gates: Gates,
    cell: np.ndarray,
    new_cell: np.ndarray,
    doubled_hidden: np.ndarray,
) -> None:
    """Advance the LSTM by one step.

    Args:
        weights: (candidate, 1, 4 hidden, channel) of `fold_lstm`.
        inputs: channels (input, 1, 2 h).
        gates: written.
        cell: planes of c.
        new_cell: planes that receive c; may be those of `cell`.
        doubled_hidden: planes that receive 2 h; may be those in `inputs`.
    """
    block, sigmoids, entry, forget, output, update, squashed = gates
    matrices, planes = block
    # Outputs by position: in a step of one episode, passing them by name is felt.
    np.matmul(weights, inputs.matrices, matrices)
    np.tanh(planes, planes)
    np.add(sigmoids, _ONE, sigmoids)  # now twice the sigmoids
    # c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)
    np.multiply(forget, cell, new_cell)
    np.multiply(entry, update, squashed)
    np.add(new_cell, squashed, new_cell)
    np.multiply(new_cell, _HALF, new_cell)
    np.tanh(new_cell, squashed)
    np.multiply(output, squashed, doubled_hidden)


def lstm_step_back(
    weights: np.ndarray,
    inputs: Block,
    gates: Gates,
    cell: np.ndarray,
    doubled_hidden: np.ndarray,
    d_doubled: np.ndarray,
    d_cell: np.ndarray,
    d_weights: np.ndarray,
    d_gates: Gates,
) -> np.ndarray:
    """Go back through one step of the LSTM.

    Args:
        weights, inputs: as in `lstm_step`, of wide blocks.
        gates: as `lstm_step` left them, tanh(c) in planes of its own.
        cell: planes of c before the step.
        doubled_hidden: planes of 2 h after the step.
        d_doubled: planes of the gradient by 2 h after the step.
        d_cell: planes of the gradient by c after the step; receives the one by c before it.
        d_weights: the gradient by `weights`, added to.
        d_gates: scratch like `gates`.

    Returns:
        The planes of the gradient by 2 h before the step.
    """
    slope = d_gates.squashed
    # 2 h = (2 o) tanh(c), of slope (2 o)(1 - tanh(c)^2) = 2 o - 2 h tanh(c) by c
    np.multiply(doubled_hidden, gates.squashed, out=slope)
    np.subtract(gates.output, slope, out=slope)
    np.multiply(slope, d_doubled, out=slope)
    np.add(d_cell, slope, out=d_cell)
    # c = ((2 f) c_before + (2 i) g) / 2
    np.multiply(d_cell, _HALF, out=d_cell)
    np.multiply(d_doubled, gates.squashed, out=d_gates.output)
    np.multiply(d_cell, gates.update, out=d_gates.entry)
    np.multiply(d_cell, cell, out=d_gates.forget)
    np.multiply(d_cell, gates.entry, out=d_gates.update)
    np.multiply(d_cell, gates.forget, out=d_cell)
    # A doubled sigmoid is 1 + t with t = tanh(score), of slope 1 - t^2 = (1 + t)(2 - (1 + t)).
    for gate, d_gate in ((gates.entry, d_gates.entry), (gates.forget, d_gates.forget), (gates.output, d_gates.output)):
        np.subtract(_TWO, gate, out=slope)
        np.multiply(slope, gate, out=slope)
        np.multiply(d_gate, slope, out=d_gate)
    np.multiply(gates.update, gates.update, out=slope)
    np.subtract(_ONE, slope, out=slope)
    np.multiply(d_gates.update, slope, out=d_gates.update)
    d_weights += d_gates.block.matrices @ inputs.matrices.swapaxes(2, 3)
    return (weights[..., -len(cell) :].swapaxes(2, 3) @ d_gates.block.matrices)[0, 0]


class LSTMSteps:
    """Sequences through an LSTM, one a column; all of their steps are kept for the way back.

    Args:
        weights: (1, 1, 4 hidden, channel) of `fold_lstm`.
        inputs: (step, input, column).
        doubled_hidden, cell: 2 h and c before the first step (hidden, column).

    Attributes:
        heard: the constant one and 2 h after each step (step, 1 + hidden, column).
        cell: c before the first step and after each (step + 1, hidden, column).
    """

    def __init__(self, weights: np.ndarray, inputs: np.ndarray, doubled_hidden: np.ndarray, cell: np.ndarray) -> None:
        n_steps, n_inputs, n_columns = inputs.shape
        size = len(cell)
        # The hidden state after a step is an input of the next.
        whole = np.empty((n_steps + 1, n_inputs + 1 + size, n_columns), inputs.dtype)
        whole[:-1, :n_inputs], whole[:, n_inputs], whole[0, n_inputs + 1 :] = inputs, 1, doubled_hidden
        self._weights, self._inputs = weights, [wide_block(planes) for planes in whole]
        self._doubled_hidden, self.heard = whole[:, n_inputs + 1 :], whole[1:, n_inputs:]
        self.cell = np.empty((n_steps + 1, size, n_columns), inputs.dtype)
        self.cell[0] = cell
        gates, squashed = np.empty((n_steps, 4 * size, n_columns), inputs.dtype), np.empty_like(self.cell[1:])
        self._gates = [as_gates(wide_block(block), tanh) for block, tanh in zip(gates, squashed)]
        for step, gate in enumerate(self._gates):
            lstm_step(
                weights, self._inputs[step], gate, self.cell[step], self.cell[step + 1], self._doubled_hidden[step + 1]
            )

    def back(self, d_heard: np.ndarray) -> np.ndarray:
        """Return the gradient by the weights, from that by 2 h after each step (step, hidden, column).

        The gradient given is of what looks at the states; what goes through later steps is added here.
        """
        d_weights, d_cell = np.zeros_like(self._weights), np.zeros_like(self.cell[0])
        d_before = np.zeros_like(d_cell)  # the gradient by 2 h, through the step after
        d_gates = as_gates(wide_block(np.empty_like(self._gates[0].block.planes)), np.empty_like(d_cell))
        for step in reversed(range(len(d_heard))):
            d_before = lstm_step_back(
                self._weights, self._inputs[step], self._gates[step], self.cell[step], self._doubled_hidden[step + 1],
                d_heard[step] + d_before, d_cell, d_weights, d_gates,
            )  # fmt: skip
        return d_weights
