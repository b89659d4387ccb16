"""A policy of one's own, in one file: any number of inputs of two channels each, pooled by their mean.

u_i = tanh(W_u o_i + b_u)        a = tanh(W_a mean_i(u_i) + b_a)
"""

import dataclasses
from typing import ClassVar

import numpy as np

import pisensory as ps
from pisensory.parameters import unflatten
from pisensory.policies import Policy, PolicyRun, Unrolled, register


@register
@dataclasses.dataclass(frozen=True)
class PooledPolicy(Policy):
    """A policy that pools its inputs.

    Args:
        n_actions: outputs.
        n_units: numbers that each input is turned into.
    """

    n_actions: int = 1
    n_units: int = 4

    kind: ClassVar[str] = "pooled"
    n_channels: ClassVar[int] = 2

    def __post_init__(self):
        for name in ("n_actions", "n_units"):
            if not getattr(self, name) >= 1:
                raise ps.InputError(f"{name} must be at least 1, got {getattr(self, name)!r}")

    @property
    def shapes(self):
        units, actions = self.n_units, self.n_actions
        return {"w_unit": (units, 2), "b_unit": (units,), "w_action": (actions, units), "b_action": (actions,)}

    def _prepare(self, population):
        return [array.astype(np.float32) for array in unflatten(population, self.layout).values()]

    def _start(self, weights, n_features, n_episodes):
        return PooledRun(self, weights, n_features, n_episodes)

    def _unroll(self, params, observations, previous_actions, state):
        return PooledSequence(self, params, observations)


def forward(weights, observations):
    """Return units (..., feature, unit, episode), their mean over features, and actions (..., action, episode)."""
    w_unit, b_unit, w_action, b_action = weights
    units = np.einsum("...uc,...fce->...fue", w_unit, observations) + b_unit[..., None, :, None]
    units = np.tanh(units)
    pooled = units.mean(axis=-3)
    return units, pooled, np.tanh(np.einsum("...au,...ue->...ae", w_action, pooled) + b_action[..., None])


class PooledRun(PolicyRun):
    """A population of pooled policies."""

    def __init__(self, policy, weights, n_features, n_episodes):
        self.policy, self.weights = policy, weights
        n_candidates = len(weights[0])
        self.observations = np.zeros((n_candidates, n_features, 2, n_episodes), np.float32)
        self.actions = np.zeros((n_candidates, policy.n_actions, n_episodes), np.float32)
        self._latent = np.zeros((n_candidates, policy.n_units, n_episodes), np.float32)

    def step(self):
        _, self._latent, self.actions = forward(self.weights, self.observations)

    def keep(self, rows):
        _, n_features, _, n_episodes = self.observations.shape
        return PooledRun(self.policy, [array[rows] for array in self.weights], n_features, n_episodes)

    def inside(self):
        return {"latent": self._latent}


class PooledSequence(Unrolled):
    """A pooled policy's run through sequences, and the way back."""

    def __init__(self, policy, params, observations):
        self.policy, self.observations = policy, observations
        arrays = unflatten(params[None], policy.layout).values()
        self._weights = [array[0].astype(observations.dtype) for array in arrays]
        self._units, self._pooled, self.actions = forward(self._weights, observations)

    def _gradient(self, d_actions, d_hidden):
        d_sums = d_actions * (1 - self.actions**2)
        d_pooled = np.einsum("au,sae->sue", self._weights[2], d_sums) / self._units.shape[1]
        d_units = d_pooled[:, None] * (1 - self._units**2)
        return {
            "w_unit": np.einsum("sfue,sfce->uc", d_units, self.observations),
            "b_unit": d_units.sum(axis=(0, 1, 3)),
            "w_action": np.einsum("sae,sue->au", d_sums, self._pooled),
            "b_action": d_sums.sum(axis=(0, 2)),
        }
