"""The mathematics of the networks, by hand in NumPy: pure functions of arrays, forward and backward side by side.

Axes are (candidate, feature, channel, episode). In memory the channel comes first (`Block`): a product takes
one (channel, episode) matrix per candidate and feature, while everything elementwise runs over long
contiguous planes, one a channel.

Permuting the features must not change a single bit of what comes out. Two things see to it: each feature
meets the same matrix kernel at the same shape (one product per candidate and feature), and the sum over
features is taken over integers, which has no rounding and so no order (`exact_weighted_sum`). Where features side by
side have the same bits in one product a candidate, the gates take that (`exact_side_by_side`). On the way to a
gradient, where that promise is not given, the features and episodes of one candidate stand side by side as one
wide feature (`wide_block`), and the same functions take them in one product.

A forward step works in place, in buffers that its caller owns. A rollout uses the same ones at every step; a
sequence for a gradient has some for each, since the way back looks at them again. The dtype is that of the
weights: float32, or float64 to check gradients in.
"""

from .attention import (
    ExactSum,
    SingleSum,
    attention_step,
    attention_step_back,
    count_values,
    exact_weighted_sum,
    fold_attention,
    make_exact_sum,
    positional_table,
    softmax_step,
    softmax_step_back,
    unfold_attention,
)
from .blocks import LARGEST_OUTPUT, Block, as_block, as_weights, exact_side_by_side, make_block, wide_block
from .dense import Dense, dense_layers, dense_layers_back, fold_dense, make_dense, unfold_dense
from .lstm import Gates, LSTMSteps, as_gates, fold_lstm, lstm_step, lstm_step_back, open_forget_gates, unfold_lstm

__all__ = [
    "LARGEST_OUTPUT", "Block", "Dense", "ExactSum", "Gates", "LSTMSteps", "SingleSum", "as_block", "as_gates",
    "as_weights", "attention_step", "attention_step_back", "count_values", "dense_layers", "dense_layers_back",
    "exact_side_by_side", "exact_weighted_sum", "fold_attention", "fold_dense", "fold_lstm", "lstm_step",
    "lstm_step_back", "make_block", "make_dense", "make_exact_sum", "open_forget_gates", "positional_table",
    "softmax_step", "softmax_step_back", "unfold_attention", "unfold_dense", "unfold_lstm", "wide_block",
]  # fmt: skip
