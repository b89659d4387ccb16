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
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .. import layers
from ..errors import MAX_FACTOR, MAX_SIZE, InputError, check_bool, check_int, check_positive, check_sizes
from ..parameters import Vector, check_params, dense_shapes, unflatten
from .base import Policy, PolicyRun, State, Unrolled, Weights, all_steps, per_step

# How many columns attention takes together, of several steps of a sequence: fewer calls, and yet they stay in a core's
# cache.
_COLUMNS = 2048


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
        InputError: for a size below one, sizes that are too large together, or a gain not above 0 or above 1e6.

    Examples:
        >>> policy = ps.InvariantPolicy()
        >>> policy.n_params, policy.n_features
        (913, None)
        >>> ps.InvariantPolicy(n_actions=8, n_embeddings=32, head_sizes=(32,)).n_params
        2440
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
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1, MAX_SIZE))
        object.__setattr__(self, "head_sizes", check_sizes("head_sizes", self.head_sizes))
        for name in ("bias", "scale"):
            object.__setattr__(self, name, check_bool(name, getattr(self, name)))
        object.__setattr__(self, "gain", check_positive("gain", self.gain, maximum=MAX_FACTOR))
        super().__post_init__()

    def step_numbers(self, n_features: int) -> int:
        """Return about how many numbers a step goes through for one episode: rollouts cut their chunks by it."""
        gates = 4 * self.hidden_size
        over_gates = 2 * self.n_embeddings <= gates
        a_feature = 5 + self.n_actions + gates + 2 * self.hidden_size + (0 if over_gates else 2 * self.n_embeddings)
        return n_features * a_feature + 3 * self.n_embeddings

    @property
    def state_size(self) -> int:
        """The size of the LSTM's hidden state."""
        return self.hidden_size

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

    def initial(self, generator: np.random.Generator) -> np.ndarray:
        """Return a first vector (parameter,): as of any policy, but with forget gates that are open."""
        params = super().initial(generator)
        layers.open_forget_gates(params[self.layout["b_input"][0]])
        return params

    def attention_steps(self, n_features: int) -> tuple[Any, Any]:
        """Return the step of attention to so many features, and its way back."""
        return layers.attention_step, layers.attention_step_back

    def _prepare(self, population: np.ndarray, dtype: type = np.float32) -> Weights:
        named = unflatten(population, self.layout)
        lstm = layers.fold_lstm(named["w_input"], named["w_hidden"], named["b_input"], named["b_hidden"])
        attention = layers.fold_attention(*self._attention_parts(named))
        head = layers.fold_dense(named, "head")
        return [layers.as_weights(array, dtype) for array in (lstm, attention, *head)]

    def _attention_parts(self, named: dict[str, np.ndarray]) -> tuple[Any, ...]:
        """Return what `fold_attention` and `unfold_attention` are told of a network."""
        table = layers.positional_table(self.n_embeddings, self.hidden_size)
        arrays = (named.get(name) for name in ("w_query", "b_query", "w_key", "b_key"))
        return (table, *arrays, math.sqrt(self.proj_dim) if self.scale else 1.0)

    def c_parts(self, params: Vector) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return sizes and gain, and the folded matrices of LSTM, attention and head."""
        lstm, attend, *head = (array[0, 0] for array in self.prepare(check_params(params, self.n_params)[None]))
        sizes = {"AGENT_ACTIONS": self.n_actions, "N_EMBEDDINGS": self.n_embeddings, "HIDDEN": self.hidden_size}
        arrays = {"LSTM": lstm, "ATTENTION": attend, **{f"HEAD_{number}": layer for number, layer in enumerate(head)}}
        return {**sizes, "GAIN": self.gain}, arrays

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return InvariantRun(self, weights, n_features, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        shape = (observations.shape[1], self.hidden_size, observations.shape[3])
        if state is None:
            state = (np.zeros(shape),) * 2
        if [np.shape(part) for part in state] != [shape] * 2:
            raise InputError(f"state must be h and c, each of the shape {shape}, as Unrolled.state has them")
        return InvariantSequence(self, params, observations, previous_actions, state)


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
        self._attention_step, _ = policy.attention_steps(n_features)
        n_candidates, n_actions, size = len(self._lstm), policy.n_actions, policy.hidden_size
        n_embeddings, dtype = policy.n_embeddings, self._lstm.dtype.type
        self._side_by_side = layers.exact_side_by_side(*self._lstm.shape[2:], n_features, n_episodes, dtype)

        def block(n_channels: int, side_by_side: bool = self._side_by_side) -> layers.Block:
            return layers.make_block(n_candidates, n_features, n_channels, n_episodes, dtype, side_by_side)

        def for_products(one: layers.Block) -> layers.Block:
            return layers.as_block(one.planes, n_candidates, 1) if self._side_by_side else one

        # Channels of the LSTM's input: observation, previous action, constant one, doubled hidden state.
        self._inputs = block(1 + n_actions + 1 + size)
        self._lstm_inputs = for_products(self._inputs)
        self._inputs.planes[1 + n_actions] = 1
        self._keys = self._inputs.part(1 + n_actions)
        self._doubled_hidden = self._inputs.part(2 + n_actions)
        self._gates = layers.as_gates(for_products(block(4 * size)))
        self._cell = block(size)
        # Attention, and the counts of it, are written over the gates, which are of no more use by then: the less memory
        # there is to a step, the more of it stays in a core's cache.
        memory = self._gates.block.planes
        if 2 * n_embeddings > len(memory):
            memory = block(2 * n_embeddings).planes
        self._attention = layers.as_block(memory[:n_embeddings], n_candidates, n_features)
        scratch = memory[n_embeddings : 2 * n_embeddings]
        self._exact = layers.make_exact_sum(self._attention, n_features, scratch)
        self._dense = layers.make_dense(head, n_episodes)

        # The sum over features takes them one after the other.
        seen = block(1, side_by_side=False) if self._side_by_side else self._inputs.part(0, 1)
        self.observations, self._values = seen.matrices, seen.planes[0].reshape(n_features, -1)
        self._observed = self._inputs.matrices[:, :, :1]
        self._previous_action = self._inputs.matrices[:, :, 1 : 1 + n_actions]
        self._sums = self._dense.inputs[0].planes[:-1]
        self._single: layers.SingleSum | None = None
        if n_candidates * n_episodes == 1:
            self._single = layers.SingleSum(self._attention, self._values, policy.gain, self._exact, self._sums)
        self.latent = self._dense.inputs[0].matrices[:, 0, :-1]
        self._actions = self._dense.outputs[-1].matrices
        self.actions = self._actions[:, 0]
        self.attention = self._attention.matrices
        self.cell = self._cell.matrices

    @property
    def hidden(self) -> np.ndarray:
        """The hidden state h (candidate, feature, hidden, episode)."""
        return 0.5 * self._doubled_hidden.matrices

    def state(self) -> State:
        """Return h and c."""
        return self.hidden, self.cell

    def resume(self, before: PolicyRun, state: State) -> None:
        """Go on from another run: with its action, and h and c of the features."""
        super().resume(before, state)
        hidden, self.cell[...] = state
        self._doubled_hidden.matrices[...] = 2 * hidden

    def memory(self) -> list[np.ndarray]:
        """Return actions, c, and the doubled h."""
        return [self.actions, self.cell, self._doubled_hidden.matrices]

    def inside(self) -> dict[str, np.ndarray]:
        """Return latent code, attention, hidden and cell state, (candidate, ..., episode), of the last step."""
        return {"latent": self.latent, "attention": self.attention, "hidden": self.hidden, "cell": self.cell}

    def step(self) -> None:
        """Compute `actions` from `observations` and the actions before, as they were taken, and advance the LSTMs."""
        self._previous_action[...] = self._actions
        if self._side_by_side:
            self._observed[...] = self.observations
        cell = self._cell.planes
        layers.lstm_step(self._lstm, self._lstm_inputs, self._gates, cell, cell, self._doubled_hidden.planes)
        self._attention_step(self._attend, self._keys, self._attention)
        if self._single is None:
            counted, part = layers.count_values(self._values, self.policy.gain, self._exact)
            layers.exact_weighted_sum(self._attention, counted, part, self._exact, self._sums)
        else:
            self._single.write()
        np.tanh(self._sums, self._sums)
        layers.dense_layers(self._dense)

    def keep(self, rows: np.ndarray) -> InvariantRun:
        """Return the run of only these candidates, in the state they are in."""
        _, n_features, _, n_episodes = self.cell.shape
        kept = type(self)(self.policy, [array[rows] for array in self.weights], n_features, n_episodes)
        kept._inputs.matrices[...] = self._inputs.matrices[rows]
        kept.observations[...] = self.observations[rows]
        kept.cell[...] = self.cell[rows]
        kept.actions[...] = self.actions[rows]
        return kept


class InvariantSequence(Unrolled):
    """An invariant policy's run through a batch of sequences: the steps of `InvariantRun`, all of them kept.

    The features stand side by side in wide blocks. Everything of one step, some hundred kilobytes, stays in a core's
    cache. Attention, which remembers nothing, takes a few steps at once; the head takes all.
    """

    policy: InvariantPolicy

    def __init__(
        self,
        policy: InvariantPolicy,
        params: np.ndarray,
        observations: np.ndarray,
        previous_actions: np.ndarray,
        state: State,
    ) -> None:
        self.policy, self._params = policy, params
        n_steps, n_features, _, n_episodes = observations.shape
        n_actions, size, dtype = policy.n_actions, policy.hidden_size, observations.dtype.type
        self._lstm, self._attend, *head = policy._prepare(params[None], dtype)

        def planes(n_blocks: int, n_channels: int) -> np.ndarray:
            return np.empty((n_blocks, n_channels, n_features * n_episodes), dtype)

        self._n_features = n_features
        # As in InvariantRun; the hidden state after a step is an input of the next.
        inputs = planes(n_steps + 1, 1 + n_actions + 1 + size)
        self._doubled_hidden, self._cell = inputs[:, 2 + n_actions :], planes(n_steps + 1, size)
        by_feature = self._by_feature(inputs)
        by_feature[:-1, :, :1] = observations
        by_feature[:-1, :, 1 : 1 + n_actions] = previous_actions[:, None]
        by_feature[:, :, 1 + n_actions] = 1
        hidden, self._by_feature(self._cell)[0] = state
        by_feature[0, :, 2 + n_actions :] = 2 * hidden

        self._inputs = [layers.wide_block(block) for block in inputs]
        together = max(1, _COLUMNS // (n_features * n_episodes))
        self._some = [slice(first, min(first + together, n_steps)) for first in range(0, n_steps, together)]
        self._keys = [layers.wide_block(inputs[1:][some]).part(1 + n_actions) for some in self._some]
        gates, squashed = planes(n_steps, 4 * size), planes(n_steps, size)
        self._gates = [layers.as_gates(layers.wide_block(block), tanh) for block, tanh in zip(gates, squashed)]
        attention = planes(n_steps, policy.n_embeddings)
        self._attention = [layers.wide_block(attention[some]) for some in self._some]
        self._dense = layers.make_dense(head, n_steps * n_episodes)
        self._latent = self._dense.inputs[0].planes[:-1].reshape(policy.n_embeddings, n_steps, n_episodes)
        exact = layers.make_exact_sum(self._attention[0], n_features)
        self._counted, self._parts = layers.count_values(by_feature[:-1, :, 0], policy.gain, exact)
        self._forward(exact)
        layers.dense_layers(self._dense)
        self.actions = per_step(self._dense.outputs[-1].planes, n_steps)

    def _by_feature(self, planes: np.ndarray) -> np.ndarray:
        """Return planes (step, channel, feature * episode) as (step, feature, channel, episode), the same memory."""
        return planes.reshape(*planes.shape[:2], self._n_features, -1).swapaxes(1, 2)

    @cached_property
    def hidden(self) -> np.ndarray:
        """The LSTMs' h after each step (step, feature, hidden, episode)."""
        return self._by_feature(0.5 * self._doubled_hidden[1:])

    @property
    def state(self) -> State:
        """The LSTMs' h and c after the last step, each (feature, hidden, episode)."""
        return 0.5 * self._by_feature(self._doubled_hidden[-1:])[0], self._by_feature(self._cell[-1:])[0].copy()

    def _forward(self, exact: layers.ExactSum) -> None:
        attention_step, _ = self.policy.attention_steps(self._n_features)
        for some, keys, attention in zip(self._some, self._keys, self._attention):
            for step in range(some.start, some.stop):
                layers.lstm_step(
                    self._lstm, self._inputs[step], self._gates[step], self._cell[step], self._cell[step + 1],
                    self._doubled_hidden[step + 1],
                )  # fmt: skip
            attention_step(self._attend, keys, attention)
            sums = self._latent[:, some].swapaxes(0, 1)
            layers.exact_weighted_sum(attention, self._counted[some], self._parts[some], exact, sums)
        np.tanh(self._latent, out=self._latent)

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        policy = self.policy
        d_latent, d_head = layers.dense_layers_back(self._dense, all_steps(d_actions)[None, None])
        latent, d_latent = (planes.reshape(self._latent.shape).swapaxes(0, 1) for planes in (self._latent, d_latent))
        d_sums = np.square(latent, out=np.empty(latent.shape, latent.dtype))  # one step after the other in memory
        np.subtract(1, d_sums, out=d_sums)
        np.multiply(d_sums, d_latent, out=d_sums)
        np.multiply(d_sums, self._parts[:, None], out=d_sums)
        d_lstm, d_attend = self._backward(d_sums, d_hidden)
        named = unflatten(self._params[None], policy.layout)
        return {
            **layers.unfold_lstm(d_lstm),
            **layers.unfold_attention(d_attend, *policy._attention_parts(named)),
            **layers.unfold_dense(d_head, "head"),
        }

    def _backward(self, d_sums: np.ndarray, d_hidden: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Go back through time; return the gradients by the folded weights of LSTM and attention.

        Args:
            d_sums: the gradient by the sums over features, times their parts (step, embedding, episode).
            d_hidden: that by h (step, feature, hidden, episode), as far as it does not go through the sums.
        """
        d_lstm, d_attend = np.zeros_like(self._lstm), np.zeros_like(self._attend)
        d_cell = np.zeros_like(self._cell[0])
        d_before = np.zeros_like(d_cell)  # the gradient by 2 h, through the step after
        # The scratch of one layer after the other in the same memory, to leave room in the cache.
        d_planes, d_scores = np.empty_like(self._gates[0].block.planes), np.empty_like(self._attention[0].planes)
        if d_scores.size <= d_planes.size:
            d_scores = d_planes.reshape(-1)[: d_scores.size].reshape(d_scores.shape)
        d_gates = layers.as_gates(layers.wide_block(d_planes), np.empty_like(d_cell))
        _, attention_step_back = self.policy.attention_steps(self._n_features)
        for some, keys, attention in zip(reversed(self._some), reversed(self._keys), reversed(self._attention)):
            d_doubled = attention_step_back(
                self._attend, keys, attention, self._counted[some], d_sums[some], d_attend,
                layers.wide_block(d_scores[: len(attention.planes)]),
            )  # fmt: skip
            direct = None if d_hidden is None else 0.5 * d_hidden[some].swapaxes(1, 2).reshape(d_doubled.shape)
            for number in reversed(range(len(d_doubled))):
                step = some.start + number
                d_doubled[number] += d_before
                if direct is not None:
                    d_doubled[number] += direct[number]
                d_before = layers.lstm_step_back(
                    self._lstm, self._inputs[step], self._gates[step], self._cell[step], self._doubled_hidden[step + 1],
                    d_doubled[number], d_cell, d_lstm, d_gates,
                )  # fmt: skip
        return d_lstm, d_attend
