"""Many agents of one policy, stepped as one batch: for a service, or many bodies of one kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, check_array, check_int, check_type, show
from ..parameters import Tensor, Vector, check_params
from .base import MOST_INPUTS, Policy, to_float32


class Agents:
    """Agents of one policy and one parameter vector, each in an episode of its own, that all act at once.

    All have the same number of inputs. What one of them does depends on no other: `reset` begins the episodes of
    those that are to begin, and the others go on.

    Args:
        policy: the network.
        params: its flat vector (parameter,).
        n_agents: how many.
        n_features: the inputs of each; may be left out for a policy that takes a fixed number.

    Raises:
        InputError: for a vector that does not fit the policy, an impossible number of agents or inputs, or too many
            of both together.

    Examples:
        >>> policy, params = ps.load_model("cartpole-invariant")
        >>> agents = ps.Agents(policy, params, n_agents=3, n_features=5)
        >>> agents.act(np.zeros((3, 5))).shape
        (3, 1)
    """

    def __init__(self, policy: Policy, params: Vector, n_agents: int, n_features: int | None = None) -> None:
        self.policy = check_type("policy", policy, Policy, "ps.InvariantPolicy()")
        weights = policy.prepare(check_params(params, policy.n_params)[None])
        n_features = policy.n_features if n_features is None else n_features
        if n_features is None:
            raise InputError("n_features must be given for a policy that takes any number of inputs, got None")
        n_features = policy.check_n_features(n_features)
        n_agents = check_int("n_agents", n_agents, 1, MOST_INPUTS // n_features)
        self._run = policy.start(weights, n_features, n_agents)
        self._shape = (self._run.observations.shape[3], *self._run.observations.shape[1:3])

    def __len__(self) -> int:
        return self._shape[0]

    def __repr__(self) -> str:
        return f"Agents({self.policy.label}, {len(self)} agents of {self._shape[1]} inputs)"

    def act(self, observations: Tensor, agents: Any = None) -> np.ndarray:
        """Return the actions (agent, action), float32 in [-1, 1], and advance the state of these agents.

        Args:
            observations: (agent, feature), or (agent, feature, channel), of those that act.
            agents: which act: numbers, or True and False for each (agent,); all if None. The others stay as they are;
                a step takes the time of all.

        Raises:
            InputError: if they are of another shape, not finite, or not numeric, or for numbers that no agent has, or
                has twice. The agents are then as before.
        """
        which = self._check_agents(agents)
        values = to_float32(observations, "the observations")
        whole = (len(which), *self._shape[1:])
        shape = whole if self.policy.n_channels != 1 else whole[:2]
        if values.shape != shape:
            form = "(agent, feature)" if len(shape) == 2 else "(agent, feature, channel)"
            some = "" if agents is None else f", for agents {show(agents)}"
            raise InputError(f"the observations must be of the shape {shape} {form}, got {values.shape}{some}")
        if not np.isfinite(values).all():
            raise InputError("the observations hold values that are NaN or infinite")
        self._run.observations[0][..., which] = values.reshape(whole).transpose(1, 2, 0)
        memory = self._run.memory() if len(which) < len(self) else []
        waiting = np.delete(np.arange(len(self)), which)
        before = [array[..., waiting] for array in memory]
        with np.errstate(over="ignore"):
            self._run.step()
        actions = self._run.actions[0].T[which]
        for array, old in zip(memory, before):
            array[..., waiting] = old
        return actions

    def reset(self, agents: Any = None) -> None:
        """Begin new episodes: forget the state and the previous action.

        Args:
            agents: whose: numbers, or True and False for each (agent,); all if None.

        Raises:
            InputError: for numbers that no agent has, or has twice, or a mask of another length.
        """
        self._run.forget(self._check_agents(agents))

    def _check_agents(self, agents: Any) -> np.ndarray:
        """Return the numbers of these agents; raise InputError if there are no such agents."""
        if agents is None:
            return np.arange(len(self))
        which = check_array("agents", agents)
        if which.dtype.kind == "f" and which.size == 0:  # an empty list
            which = which.astype(int)
        fits = which.shape == (len(self),) if which.dtype.kind == "b" else which.dtype.kind in "iu" and which.ndim == 1
        numbers = np.flatnonzero(which) if which.dtype.kind == "b" else which
        if not fits or not np.isin(numbers, np.arange(len(self))).all() or len(np.unique(numbers)) < len(numbers):
            raise InputError(
                f"agents must be different numbers from 0 to {len(self) - 1}, or {len(self)} bools, got {show(agents)}"
            )
        return numbers
