"""The permutation-invariant AttentionNeuron policy of Tang and Ha (2021), section 3.1.

Each input i runs the same LSTM on (o_t[i], a_{t-1}); attention with fixed positional queries weighs the
inputs; a small head turns the sum into an action:

    h_i, c_i = LSTM((o_t[i], a_{t-1}), h_i, c_i)
    W        = tanh((Q W_q^T + b_q)(K W_k^T + b_k)^T / s)     K = stack(h_i)
    m_t      = tanh(gain W o_t)                               the latent code
    a_t      = tanh(head(m_t))
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from .. import layers
from ..errors import check_int, check_positive, check_sizes
from ..parameters import dense_shapes, unflatten
from .base import Policy, PolicyRun, Weights


@dataclasses.dataclass(frozen=True)
class InvariantPolicy(Policy):
    """A policy for any number of inputs in any order.

    Args:
        n_actions: A, outputs.
        n_embeddings: M, rows of the positional table and channels of the latent code.
        proj_dim: D, the size of projected queries and keys.
        hidden_size: H, of the LSTM.
        head_sizes: hidden layers of the head; () is one linear layer before the last tanh.
        bias: whether the projections have biases.
        scale: whether attention scores are divided by sqrt(D).
        gain: a factor on the weighted sum of the inputs; the paper halves it for twice the inputs.

    Raises:
        InputError: for a size below one or a gain that is not finite and positive.
    """

    n_actions: int = 1
    n_embeddings: int = 16
    proj_dim: int = 32
    hidden_size: int = 8
    head_sizes: tuple[int, ...] = ()
    bias: bool = False
    scale: bool = False
    gain: float = 1.0

    kind: ClassVar[str] = "invariant"

    def __post_init__(self) -> None:
        for name in ("n_actions", "n_embeddings", "proj_dim", "hidden_size"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1))
        object.__setattr__(self, "head_sizes", check_sizes("head_sizes", self.head_sizes))
        object.__setattr__(self, "gain", check_positive("gain", self.gain))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, in the order of the published weights."""
        gates = 4 * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "w_input": (gates, 1 + self.n_actions),
            "w_hidden": (gates, self.hidden_size),
            "b_input": (gates,),
            "b_hidden": (gates,),
        }
        for name in ("query", "key"):
            shapes[f"w_{name}"] = (self.proj_dim, self.hidden_size)
            if self.bias:
                shapes[f"b_{name}"] = (self.proj_dim,)
        return {**shapes, **dense_shapes("head", (self.n_embeddings, *self.head_sizes, self.n_actions))}

    def _prepare(self, population: np.ndarray) -> Weights:
        named = unflatten(population, self.layout)
        lstm = layers.fold_lstm(named["w_input"], named["w_hidden"], named["b_input"], named["b_hidden"])
        attention = layers.fold_attention(
            layers.positional_table(self.n_embeddings, self.hidden_size),
            named["w_query"],
            named.get("b_query"),
            named["w_key"],
            named.get("b_key"),
            math.sqrt(self.proj_dim) if self.scale else 1.0,
        )
        head = layers.fold_dense(named, "head")
        return [layers.as_weights(array) for array in (lstm, attention, *head)]

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return InvariantRun(self, weights, n_features, n_episodes)


class InvariantRun(PolicyRun):
    """A population of invariant policies in the middle of their episodes.

    Attributes:
        latent: m (candidate, embedding, episode) of the last step.
        attention: W (candidate, feature, embedding, episode) of the last step.
        hidden: h (candidate, feature, hidden, episode) after the last step.
        cell: c, likewise.
    """

    def __init__(self, policy: InvariantPolicy, weights: Weights, n_features: int, n_episodes: int) -> None:
        self.policy = policy
        self.weights = weights
        self._lstm, self._attend, *head = weights
        n_candidates, n_actions, size = len(self._lstm), policy.n_actions, policy.hidden_size

        def block(n_channels: int) -> layers.Block:
            return layers.make_block(n_candidates, n_features, n_channels, n_episodes)

        # Channels of the LSTM's input: observation, previous action, constant one, doubled hidden state.
        self._inputs = block(1 + n_actions + 1 + size)
        self._inputs.planes[1 + n_actions] = 1
        self._keys = self._inputs.part(1 + n_actions)
        self._doubled_hidden = self._inputs.part(2 + n_actions)
        self._gates = layers.make_gates(n_candidates, n_features, size, n_episodes)
        self._cell = block(size)
        self._attention = block(policy.n_embeddings)
        self._scratch = layers.make_sum_scratch(self._attention)
        self._dense = layers.make_dense(head, n_episodes)

        self.observations = self._inputs.matrices[:, :, :1]
        self._values = self._inputs.planes[0].reshape(n_features, -1)
        self._previous_action = self._inputs.matrices[:, :, 1 : 1 + n_actions]
        self._sums = self._dense.inputs[0].planes[:-1]
        self.latent = self._dense.inputs[0].matrices[:, 0, :-1]
        self._actions = self._dense.outputs[-1].matrices
        self.actions = self._actions[:, 0]
        self.attention = self._attention.matrices
        self.cell = self._cell.matrices

    @property
    def hidden(self) -> np.ndarray:
        """The hidden state h (candidate, feature, hidden, episode)."""
        return 0.5 * self._doubled_hidden.matrices

    def step(self) -> None:
        """Compute `actions` from `observations` and advance the LSTMs."""
        layers.lstm_step(self._lstm, self._inputs, self._gates, self._cell.planes, self._doubled_hidden.planes)
        layers.attention_step(self._attend, self._keys, self._attention)
        layers.exact_weighted_sum(self._attention, self._values, self.policy.gain, self._scratch, self._sums)
        np.tanh(self._sums, out=self._sums)
        layers.dense_layers(self._dense)
        np.copyto(self._previous_action, self._actions)

    def keep(self, rows: np.ndarray) -> InvariantRun:
        """Return the run of only these candidates, in the state they are in."""
        _, n_features, _, n_episodes = self.cell.shape
        kept = InvariantRun(self.policy, [array[rows] for array in self.weights], n_features, n_episodes)
        kept._inputs.matrices[...] = self._inputs.matrices[rows]
        kept.cell[...] = self.cell[rows]
        return kept
