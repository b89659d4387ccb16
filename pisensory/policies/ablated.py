"""The invariant policy with parts of it exchanged or taken away, to find out what each is good for.

It is `InvariantPolicy` in all but what its settings say, and as invariant: no order of the inputs changes a bit.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import layers
from ..errors import check_bool, check_choice
from .base import PolicyRun, State, Unrolled, Weights
from .invariant import InvariantPolicy, InvariantRun

AGGREGATIONS = ("sum", "mean", "softmax")


@dataclasses.dataclass(frozen=True)
class AblatedPolicy(InvariantPolicy):
    """An invariant policy that lacks something. What is not used of its parameters does nothing.

    Args:
        n_actions: A, outputs.
        n_embeddings: M, rows of the positional table and channels of the latent code.
        proj_dim: D, the size of projected queries and keys.
        hidden_size: H, of the LSTM.
        head_sizes: hidden layers of the head; () is one linear layer before the last tanh.
        bias: whether the projections have biases.
        scale: whether attention scores are divided by sqrt(D).
        gain: a factor on the weighted sum of the inputs.
        learned_queries: whether each query is learned by itself, and not made of a row of the positional table.
        aggregation: how messages become one: "sum" of tanh attention, its "mean", or a "softmax" over the inputs.
        previous_action: whether the LSTMs are told the action before; else they are told 0.
        recurrent: whether the LSTMs remember; else their state is zero before every step.

    Raises:
        InputError: as for an invariant policy, and for another aggregation.

    Examples:
        >>> ps.AblatedPolicy(recurrent=False, aggregation="mean").n_params
        913
    """

    learned_queries: bool = False
    aggregation: str = "sum"
    previous_action: bool = True
    recurrent: bool = True

    kind: ClassVar[str] = "ablated"

    def __post_init__(self) -> None:
        for name in ("learned_queries", "previous_action", "recurrent"):
            object.__setattr__(self, name, check_bool(name, getattr(self, name)))
        check_choice("aggregation", self.aggregation, AGGREGATIONS)
        super().__post_init__()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, as of an invariant policy but for the queries."""
        shapes = super().shapes
        if self.learned_queries:
            shapes["w_query"] = (self.proj_dim, self.n_embeddings)
        return shapes

    def attention_steps(self, n_features: int) -> tuple[Any, Any]:
        """Return the step of attention to so many features, and its way back."""
        if self.aggregation == "softmax":
            return partial(layers.softmax_step, n_features), layers.softmax_step_back
        return super().attention_steps(n_features)

    def _attention_parts(self, named: dict[str, np.ndarray]) -> tuple[Any, ...]:
        table, *rest = super()._attention_parts(named)
        if self.learned_queries:  # rows of the identity, which pick columns of W_q; about as long as the table's
            table = math.sqrt(self.n_embeddings / 2) * np.eye(self.n_embeddings)
        return (table, *rest)

    def _for(self, n_features: int) -> AblatedPolicy:
        """Return the policy whose gain makes a mean of the sum over so many inputs, if that is asked for."""
        return dataclasses.replace(self, gain=self.gain / n_features) if self.aggregation == "mean" else self

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return AblatedRun(self._for(n_features), weights, n_features, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        policy = self._for(observations.shape[1])
        told = previous_actions if self.previous_action else np.zeros_like(previous_actions)
        if self.recurrent:
            return InvariantPolicy._unroll(policy, params, observations, told, state)
        return _Moments(policy, params, observations, told)


class AblatedRun(InvariantRun):
    """A population of ablated policies in the middle of their episodes."""

    policy: AblatedPolicy

    def step(self) -> None:
        """Compute `actions` from `observations`, having forgotten what is not to be known."""
        if not self.policy.previous_action:
            self.actions[...] = 0
        if not self.policy.recurrent:
            for block in (self._cell, self._doubled_hidden):
                block.planes[...] = 0
        super().step()


class _Moments(Unrolled):
    """A run through sequences without memory: every step of each is a sequence of one step."""

    def __init__(
        self, policy: AblatedPolicy, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray
    ) -> None:
        self.policy, self._n_steps = policy, len(observations)
        parts = _as_episodes(observations), _as_episodes(previous_actions)
        self._unrolled = InvariantPolicy._unroll(policy, params, *parts, None)
        self.actions = self._as_steps(self._unrolled.actions)

    @property
    def hidden(self) -> np.ndarray:
        """The LSTMs' h after each step (step, feature, hidden, episode)."""
        return self._as_steps(self._unrolled.hidden)

    @property
    def state(self) -> State:
        """What the run has after the last step: h and c, which the next one does not look at."""
        return tuple(part[..., -self.actions.shape[-1] :] for part in self._unrolled.state or ())

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        return self._unrolled._gradient(_as_episodes(d_actions), None if d_hidden is None else _as_episodes(d_hidden))

    def _as_steps(self, array: np.ndarray | None) -> np.ndarray:
        """Return (1, ..., step * episode) as (step, ..., episode)."""
        assert array is not None
        return np.ascontiguousarray(np.moveaxis(array[0].reshape(*array.shape[1:-1], self._n_steps, -1), -2, 0))


def _as_episodes(array: np.ndarray) -> np.ndarray:
    """Return (step, ..., episode) as (1, ..., step * episode)."""
    return np.moveaxis(array, 0, -2).reshape(1, *array.shape[1:-1], -1)
