"""Back-propagation through time, by hand, for both policies.

`unroll` runs one parameter vector through a batch of whole sequences and keeps what the way back needs;
`Unrolled.gradient` goes back and returns a flat vector in the layout of the parameters. The previous actions
are inputs here, as in cloning, where the teacher's are known: no gradient flows through them.

Axes are (step, channel, feature, episode), of one candidate. Equations: the chain rule on those of `layers`,
with the LSTM's as in Gers et al., "Learning to Forget", 2000, and back-propagation through time as in Werbos,
"Backpropagation through time: what it does and how to do it", 1990.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..errors import InputError
from ..layers import positional_table
from ..parameters import check_params, unflatten
from .base import Policy
from .invariant import InvariantPolicy

Named = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Unrolled:
    """A policy's run through a batch of sequences, and the way back.

    Attributes:
        actions: (step, action, episode).
        state: the LSTMs' h and c after the last step, each (hidden, feature, episode), to go on from when
            sequences are cut (truncated back-propagation); None for a policy without state.
        hidden: the LSTMs' h after each step (step, hidden, feature, episode); None for a policy without state.
    """

    actions: np.ndarray
    state: tuple[np.ndarray, np.ndarray] | None
    hidden: np.ndarray | None
    _policy: Policy
    _backward: Any

    def gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient (parameter,) of a loss whose derivatives by the actions and states are given.

        Args:
            d_actions: d loss / d action (step, action, episode).
            d_hidden: d loss / d h (step, hidden, feature, episode), of a loss that looks at the LSTMs' states
                as well; what goes through the actions is not part of it. Zero if None.

        Raises:
            InputError: if they are not of the shapes of the actions and states.
        """
        if np.shape(d_actions) != self.actions.shape:
            raise InputError(f"d_actions must have the shape {self.actions.shape}, got {np.shape(d_actions)}")
        dtype = self.actions.dtype
        if d_hidden is None:
            named = self._backward(np.asarray(d_actions, dtype=dtype))
        elif self.hidden is None or np.shape(d_hidden) != self.hidden.shape:
            expected = (
                "be None for a policy without state" if self.hidden is None else (f"have the shape {self.hidden.shape}")
            )
            raise InputError(f"d_hidden must {expected}, got the shape {np.shape(d_hidden)}")
        else:
            named = self._backward(np.asarray(d_actions, dtype=dtype), np.asarray(d_hidden, dtype=dtype))
        return np.concatenate([named[name].ravel() for name in self._policy.layout]).astype(np.float64)


def unroll(
    policy: Policy,
    params: object,
    observations: np.ndarray,
    previous_actions: np.ndarray | None = None,
    state: tuple[np.ndarray, np.ndarray] | None = None,
    dtype: type = np.float32,
) -> Unrolled:
    """Run sequences through a policy, keeping what `Unrolled.gradient` needs.

    Args:
        policy: the network.
        params: its flat vector (parameter,).
        observations: (step, feature, episode).
        previous_actions: what the LSTMs are told of the action before each step (step, action, episode);
            zeros if None. A policy without memory ignores them.
        state: h and c to begin with, as `Unrolled.state`; zeros if None.
        dtype: float32, or float64 to check gradients in.

    Raises:
        InputError: for shapes that do not fit the policy or each other, or values that are not finite.
    """
    vector: np.ndarray = check_params(params, policy.n_params).astype(dtype)
    values = _check_array("observations", observations, 3, dtype)
    policy.check_n_features(values.shape[1])
    named = {name: array[0] for name, array in unflatten(vector[None], policy.layout).items()}
    if not isinstance(policy, InvariantPolicy):
        actions, backward = _dense(named, "layer", values)
        return Unrolled(actions, None, None, policy, lambda d_actions: backward(d_actions)[1])
    n_steps, n_features, n_episodes = values.shape
    shape = (n_steps, policy.n_actions, n_episodes)
    previous = np.zeros(shape, dtype) if previous_actions is None else previous_actions
    previous = _check_array("previous_actions", previous, 3, dtype)
    if previous.shape != shape:
        raise InputError(f"previous_actions must have the shape {shape}, got {previous.shape}")
    if state is None:
        state = (np.zeros((policy.hidden_size, n_features, n_episodes), dtype),) * 2
    network = _InvariantSequence(policy, named, values, previous, state)
    actions, backward = _dense(named, "head", network.latent)

    def to_parameters(d_actions: np.ndarray, d_hidden: np.ndarray | None = None) -> Named:
        d_latent, d_head = backward(d_actions)
        return {**network.backward(d_latent, d_hidden), **d_head}

    return Unrolled(actions, network.state, network.hidden, policy, to_parameters)


def _check_array(name: str, values: object, ndim: int, dtype: type) -> np.ndarray:
    array: np.ndarray = np.asarray(values, dtype=dtype)
    if array.ndim != ndim or 0 in array.shape:
        raise InputError(f"{name} must be a non-empty array of {ndim} axes, got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds values that are NaN or infinite")
    return array


def _dense(named: Named, prefix: str, inputs: np.ndarray) -> tuple[np.ndarray, Any]:
    """Run (step, channel, episode) through the tanh layers named `prefix`0, 1, ...; return outputs and way back."""
    names = [name[: -len("_weight")] for name in named if name.startswith(prefix) and name.endswith("_weight")]
    values = [inputs]
    for name in names:
        values.append(np.tanh(named[f"{name}_weight"] @ values[-1] + named[f"{name}_bias"][:, None]))

    def backward(d_outputs: np.ndarray) -> tuple[np.ndarray, Named]:
        gradient: Named = {}
        for number, name in reversed(list(enumerate(names))):
            d_scores = d_outputs * (1 - values[number + 1] ** 2)
            gradient[f"{name}_weight"] = np.tensordot(d_scores, values[number], axes=((0, 2), (0, 2)))
            gradient[f"{name}_bias"] = d_scores.sum(axis=(0, 2))
            d_outputs = named[f"{name}_weight"].T @ d_scores
        return d_outputs, gradient

    return values[-1], backward


class _InvariantSequence:
    """The LSTMs and the attention of an invariant policy over a batch of sequences.

    Everything of one step, some hundred kilobytes, stays in a core's cache; in between, planes are
    (channel, feature * episode).
    """

    def __init__(
        self,
        policy: InvariantPolicy,
        named: Named,
        observations: np.ndarray,
        previous_actions: np.ndarray,
        state: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self.policy, self.named = policy, named
        n_steps, self.n_features, self.n_episodes = observations.shape
        n_pairs, dtype = self.n_features * self.n_episodes, observations.dtype
        n_actions, size, n_embeddings = policy.n_actions, policy.hidden_size, policy.n_embeddings

        # What the LSTMs see: observation, previous action, constant one, hidden state of the step before.
        self._inputs = np.empty((n_steps + 1, 2 + n_actions + size, n_pairs), dtype)
        self._inputs[:-1, 0] = observations.reshape(n_steps, n_pairs)
        shape = (n_steps, n_actions, self.n_features, self.n_episodes)
        self._inputs[:-1, 1 : 1 + n_actions] = np.broadcast_to(previous_actions[:, :, None], shape).reshape(
            n_steps, n_actions, n_pairs
        )
        self._inputs[:, 1 + n_actions] = 1
        self._hidden = self._inputs[:, 2 + n_actions :]
        self._keys = self._inputs[1:, 1 + n_actions :]
        self._cell = np.empty((n_steps + 1, size, n_pairs), dtype)
        self._gates = np.empty((n_steps, 4 * size, n_pairs), dtype)
        self._squashed = np.empty((n_steps, size, n_pairs), dtype)  # tanh(c)
        self._attention = np.empty((n_steps, n_embeddings, n_pairs), dtype)
        self.latent = np.empty((n_steps, n_embeddings, self.n_episodes), dtype)

        self._hidden[0], self._cell[0] = (part.reshape(size, n_pairs) for part in state)
        self._fold()
        for step in range(n_steps):
            self._forward(step)
        self.hidden = self._hidden[1:].reshape(n_steps, size, self.n_features, self.n_episodes)
        self.state = tuple(
            part.reshape(size, self.n_features, self.n_episodes).copy() for part in (self._hidden[-1], self._cell[-1])
        )

    def _fold(self) -> None:
        """Make one matrix of the LSTM and one of the attention, as in the rollout."""
        named, policy = self.named, self.policy
        bias = (named["b_input"] + named["b_hidden"])[:, None]
        self._lstm = np.concatenate([named["w_input"], bias, named["w_hidden"]], axis=1)
        table = positional_table(policy.n_embeddings, policy.hidden_size).astype(bias.dtype)
        self._table = table
        self._scale = math.sqrt(policy.proj_dim) if policy.scale else 1.0
        self._queries = table @ named["w_query"].T + named.get("b_query", np.zeros(1, bias.dtype))
        b_key = named.get("b_key", np.zeros(policy.proj_dim, bias.dtype))
        self._key_weights = np.concatenate([b_key[:, None], named["w_key"]], axis=1)  # (D, 1 + H)
        self._attend = (self._queries @ self._key_weights / self._scale).astype(bias.dtype)

    def _forward(self, step: int) -> None:
        size = self.policy.hidden_size
        gates, cell, squashed = self._gates[step], self._cell[step + 1], self._squashed[step]
        np.matmul(self._lstm, self._inputs[step], out=gates)
        entry, forget, update, output = gates.reshape(4, size, -1)
        for gate in (gates[: 2 * size], output):  # sigmoid(x) = (tanh(x / 2) + 1) / 2
            np.multiply(gate, 0.5, out=gate)
            np.tanh(gate, out=gate)
            np.add(gate, 1, out=gate)
            np.multiply(gate, 0.5, out=gate)
        np.tanh(update, out=update)
        np.multiply(forget, self._cell[step], out=cell)
        np.add(cell, entry * update, out=cell)
        np.tanh(cell, out=squashed)
        np.multiply(output, squashed, out=self._hidden[step + 1])
        attention = self._attention[step]
        np.matmul(self._attend, self._keys[step], out=attention)
        np.tanh(attention, out=attention)
        weighted = (attention * self._inputs[step, 0]).reshape(len(attention), self.n_features, self.n_episodes)
        np.tanh(self.policy.gain * weighted.sum(axis=1), out=self.latent[step])

    def backward(self, d_latent: np.ndarray, d_states: np.ndarray | None) -> Named:
        """Return the gradient by name, but for the head.

        Args:
            d_latent: the gradient of the latent codes (step, embedding, episode).
            d_states: that of h (step, hidden, feature, episode), as far as it does not go through them.
        """
        d_lstm, d_attend = np.zeros_like(self._lstm), np.zeros_like(self._attend)
        d_sums = self.policy.gain * d_latent * (1 - self.latent**2)
        d_hidden = np.zeros_like(self._cell[0])
        d_cell = np.zeros_like(self._cell[0])
        d_gates = np.empty_like(self._gates[0])
        for step in reversed(range(len(d_latent))):
            d_scores = self._back_through_attention(step, d_sums[step])
            d_attend += d_scores @ self._keys[step].T
            d_hidden += self._attend[:, 1:].T @ d_scores
            if d_states is not None:
                d_hidden += d_states[step].reshape(d_hidden.shape)
            self._back_through_lstm(step, d_hidden, d_cell, d_gates)
            d_lstm += d_gates @ self._inputs[step].T
            d_hidden = self.named["w_hidden"].T @ d_gates
        return self._unfold(d_lstm, d_attend)

    def _back_through_attention(self, step: int, d_sums: np.ndarray) -> np.ndarray:
        """Return the gradient of the scores (embedding, feature * episode) from that of the sums over features."""
        attention = self._attention[step]
        d_scores = np.multiply(attention, attention)
        np.subtract(1, d_scores, out=d_scores)
        d_scores *= self._inputs[step, 0]
        shaped = d_scores.reshape(len(attention), self.n_features, self.n_episodes)
        np.multiply(shaped, d_sums[:, None], out=shaped)
        return d_scores

    def _back_through_lstm(self, step: int, d_hidden: np.ndarray, d_cell: np.ndarray, d_gates: np.ndarray) -> None:
        """Take d_cell one step back, in place, and write the gradient of the gates' scores."""
        size = self.policy.hidden_size
        entry, forget, update, output = self._gates[step].reshape(4, size, -1)
        d_entry, d_forget, d_update, d_output = d_gates.reshape(4, size, -1)
        squashed = self._squashed[step]
        through = d_hidden * output
        d_cell += through
        np.multiply(squashed, squashed, out=d_output)
        through *= d_output
        d_cell -= through  # d_hidden * output * (1 - tanh(c)^2)
        np.multiply(d_hidden, squashed, out=d_output)
        np.multiply(d_cell, update, out=d_entry)
        np.multiply(d_cell, self._cell[step], out=d_forget)
        np.multiply(d_cell, entry, out=d_update)
        d_cell *= forget
        # Through the squashing: sigmoid' = s (1 - s), tanh' = 1 - t^2.
        for gate, d_gate in ((entry, d_entry), (forget, d_forget), (output, d_output)):
            d_gate *= gate
            d_gate *= 1 - gate
        d_update *= 1 - update * update

    def _unfold(self, d_lstm: np.ndarray, d_attend: np.ndarray) -> Named:
        """Take the gradients of the folded matrices apart, into those of the parameters."""
        n_inputs = 1 + self.policy.n_actions
        d_attend = d_attend / self._scale
        d_queries = d_attend @ self._key_weights.T
        d_keys = self._queries.T @ d_attend
        return {
            "w_input": d_lstm[:, :n_inputs],
            "b_input": d_lstm[:, n_inputs],
            "b_hidden": d_lstm[:, n_inputs],
            "w_hidden": d_lstm[:, n_inputs + 1 :],
            "w_query": d_queries.T @ self._table,
            "b_query": d_queries.sum(axis=0),
            "w_key": d_keys[:, 1:],
            "b_key": d_keys[:, 0],
        }
