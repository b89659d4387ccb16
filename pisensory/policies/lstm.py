"""An LSTM over all inputs in their order: a policy that is not invariant but can learn, to compare with.

    h, c = LSTM((o_t, a_{t-1}), h, c)
    a_t  = tanh(W h + b)

It has what the invariant policy has to find out which input is which, a memory and the previous action, without being
made for it. Trained with shuffled inputs it is the baseline that a fair comparison asks for.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .. import layers
from ..errors import MAX_SIZE, InputError, check_int
from ..parameters import unflatten
from .base import Policy, PolicyRun, State, Unrolled, Weights

# Inputs are kept within +-2**60, as weights are: no sum of products can overflow to inf - inf = NaN.
_LARGEST = np.float32(2.0**60)


@dataclasses.dataclass(frozen=True)
class LSTMPolicy(Policy):
    """A policy with a memory, for a fixed number of inputs.

    Args:
        n_features: inputs.
        n_actions: outputs.
        hidden_size: of the LSTM.

    Raises:
        InputError: for a size below one, or sizes that are too large together.

    Examples:
        >>> ps.LSTMPolicy(n_features=5, hidden_size=16).n_features
        5
    """

    n_features: int = 5  # type: ignore[misc]
    n_actions: int = 1
    hidden_size: int = 16

    kind: ClassVar[str] = "lstm"

    def __post_init__(self) -> None:
        for name in ("n_features", "n_actions", "hidden_size"):
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1, MAX_SIZE))
        super().__post_init__()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, in the order of the flat vector."""
        gates = 4 * self.hidden_size
        return {
            "w_input": (gates, self.n_features + self.n_actions),
            "w_hidden": (gates, self.hidden_size),
            "b_input": (gates,),
            "b_hidden": (gates,),
            "w_action": (self.n_actions, self.hidden_size),
            "b_action": (self.n_actions,),
        }

    def step_numbers(self, n_features: int) -> int:
        """Return about how many numbers a step goes through for one episode: rollouts cut their chunks by it."""
        return n_features + 1 + 2 * self.n_actions + 6 * self.hidden_size

    def _prepare(self, population: np.ndarray, dtype: type = np.float32) -> Weights:
        named = unflatten(population, self.layout)
        lstm = layers.fold_lstm(named["w_input"], named["w_hidden"], named["b_input"], named["b_hidden"])
        act = np.concatenate([named["b_action"][..., None], 0.5 * named["w_action"]], axis=-1)[:, None]
        return [layers.as_weights(array, dtype) for array in (lstm, act)]

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return LSTMRun(self, weights, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        shape = (1, self.hidden_size, observations.shape[3])
        if state is None:
            state = (np.zeros(shape),) * 2
        if [np.shape(part) for part in state] != [shape] * 2:
            raise InputError(f"state must be h and c, each of the shape {shape}, as Unrolled.state has them")
        weights = self._prepare(params[None], observations.dtype.type)
        return LSTMSequence(self, weights, observations[:, :, 0], previous_actions, state)


class LSTMRun(PolicyRun):
    """A population of LSTMs in the middle of their episodes."""

    def __init__(self, policy: LSTMPolicy, weights: Weights, n_episodes: int) -> None:
        self.policy, self.weights = policy, weights
        self._lstm, self._act = weights
        n_seen, size = policy.n_features, policy.hidden_size

        def block(n_channels: int) -> layers.Block:
            return layers.make_block(len(self._lstm), 1, n_channels, n_episodes)

        # Channels: observations, previous action, constant one, doubled hidden state.
        self._inputs = block(n_seen + policy.n_actions + 1 + size)
        self._heard = self._inputs.part(n_seen + policy.n_actions)
        self._heard.planes[0] = 1
        self._gates, self._cell, self._actions = layers.as_gates(block(4 * size)), block(size), block(policy.n_actions)
        self._values = self._inputs.planes[:n_seen]
        self._previous_action = self._inputs.part(n_seen, n_seen + policy.n_actions).planes
        self.observations = self._inputs.matrices[:, 0, :n_seen, None]
        self.actions = self._actions.matrices[:, 0]

    def state(self) -> State:
        """Return h and c (candidate, 1, hidden, episode)."""
        return 0.5 * self._heard.matrices[:, :, 1:], self._cell.matrices

    def memory(self) -> list[np.ndarray]:
        """Return actions, c, and the doubled h."""
        return [self.actions, self._cell.matrices, self._heard.matrices[:, :, 1:]]

    def step(self) -> None:
        """Compute `actions` from `observations` and the actions before, as they were taken, and advance the LSTMs."""
        np.clip(self._values, -_LARGEST, _LARGEST, out=self._values)
        np.copyto(self._previous_action, self._actions.planes)
        cell = self._cell.planes
        layers.lstm_step(self._lstm, self._inputs, self._gates, cell, cell, self._heard.planes[1:])
        np.matmul(self._act, self._heard.matrices, out=self._actions.matrices)
        np.tanh(self._actions.planes, out=self._actions.planes)

    def keep(self, rows: np.ndarray) -> LSTMRun:
        """Return the run of only these candidates, in the state they are in."""
        kept = LSTMRun(self.policy, [array[rows] for array in self.weights], self.actions.shape[2])
        for name in ("_inputs", "_cell", "_actions"):
            getattr(kept, name).matrices[...] = getattr(self, name).matrices[rows]
        return kept


class LSTMSequence(Unrolled):
    """An LSTM's run through a batch of sequences: the steps of `LSTMRun`, all of them kept."""

    policy: LSTMPolicy

    def __init__(
        self,
        policy: LSTMPolicy,
        weights: Weights,
        observations: np.ndarray,
        previous_actions: np.ndarray,
        state: State,
    ) -> None:
        self.policy = policy
        self._lstm, act = weights
        self._act = act[0, 0]
        hidden, cell = state
        inputs = np.concatenate([np.clip(observations, -_LARGEST, _LARGEST), previous_actions], axis=1)
        self._steps = layers.LSTMSteps(self._lstm, inputs, 2 * hidden[0], cell[0])
        self.actions = np.tanh(self._act @ self._steps.heard)

    @property
    def state(self) -> State:
        """The h and c after the last step, each (1, hidden, episode)."""
        return 0.5 * self._steps.heard[-1:, 1:], self._steps.cell[-1:].copy()

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        d_scores = d_actions * (1 - self.actions**2)
        d_act = np.einsum("tae,the->ah", d_scores, self._steps.heard)
        d_lstm = self._steps.back(self._act[:, 1:].T @ d_scores)
        return {**layers.unfold_lstm(d_lstm), "w_action": 0.5 * d_act[:, 1:], "b_action": d_act[:, 0]}
