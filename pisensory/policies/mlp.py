"""A plain multilayer perceptron with tanh everywhere: the policy that is not invariant, to compare with."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .. import layers
from ..errors import MAX_SIZE, check_int, check_sizes
from ..parameters import Vector, check_params, dense_shapes, unflatten
from .base import Policy, PolicyRun, State, Unrolled, Weights, all_steps, per_step

# Inputs are kept within +-2**60, as weights are: no sum of products can overflow to inf - inf = NaN.
_LARGEST = np.float32(2.0**60)


@dataclasses.dataclass(frozen=True)
class MLPPolicy(Policy):
    """A policy for a fixed number of inputs in a fixed order: a_t = tanh(W2 tanh(W1 o_t + b1) + b2).

    Args:
        n_features: inputs.
        n_actions: outputs.
        hidden_sizes: sizes of the hidden layers; () is the linear policy a_t = tanh(W o_t + b).

    Raises:
        InputError: for a size below one, or sizes that are too large together.

    Examples:
        >>> ps.MLPPolicy(n_features=5, hidden_sizes=(16,)).n_params
        113
        >>> ps.MLPPolicy(n_features=5, hidden_sizes=()).label
        'linear'
    """

    n_features: int = 5  # type: ignore[misc]
    n_actions: int = 1
    hidden_sizes: tuple[int, ...] = (16,)

    kind: ClassVar[str] = "mlp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_features", check_int("n_features", self.n_features, 1, MAX_SIZE))
        object.__setattr__(self, "n_actions", check_int("n_actions", self.n_actions, 1, MAX_SIZE))
        object.__setattr__(self, "hidden_sizes", check_sizes("hidden_sizes", self.hidden_sizes))
        super().__post_init__()

    @property
    def label(self) -> str:
        """What people call it: "linear" if it has no hidden layers."""
        return "mlp" if self.hidden_sizes else "linear"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, in the order of the published weights."""
        return dense_shapes("layer", (self.n_features, *self.hidden_sizes, self.n_actions))

    def step_numbers(self, n_features: int) -> int:
        """Return about how many numbers a step goes through for one episode: rollouts cut their chunks by it."""
        return n_features + 1 + sum(self.hidden_sizes) + self.n_actions

    def _prepare(self, population: np.ndarray, dtype: type = np.float32) -> Weights:
        folded = layers.fold_dense(unflatten(population, self.layout), "layer")
        return [layers.as_weights(array, dtype) for array in folded]

    def c_parts(self, params: Vector) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return sizes, and the matrices of the layers."""
        weights = self.prepare(check_params(params, self.n_params)[None])
        sizes = {"AGENT_ACTIONS": self.n_actions, "AGENT_MAX_INPUTS": self.n_features}
        return {**sizes}, {f"HEAD_{number}": layer[0, 0] for number, layer in enumerate(weights)}

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return MLPRun(self, weights, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        return MLPSequence(self, self._prepare(params[None], observations.dtype.type), observations)


class MLPRun(PolicyRun):
    """A population of multilayer perceptrons in the middle of their episodes; they keep no state."""

    def __init__(self, policy: MLPPolicy, weights: Weights, n_episodes: int) -> None:
        self.policy = policy
        self.weights = weights
        self._n_episodes = n_episodes
        self._dense = layers.make_dense(weights, n_episodes)
        self.observations = self._dense.inputs[0].matrices[:, 0, :-1, None]
        self._values = self._dense.inputs[0].planes[:-1]
        self.actions = self._dense.outputs[-1].matrices[:, 0]

    def step(self) -> None:
        """Compute `actions` from `observations`."""
        np.clip(self._values, -_LARGEST, _LARGEST, out=self._values)
        layers.dense_layers(self._dense)

    def keep(self, rows: np.ndarray) -> MLPRun:
        """Return the run of only these candidates."""
        return MLPRun(self.policy, [array[rows] for array in self.weights], self._n_episodes)


class MLPSequence(Unrolled):
    """A multilayer perceptron's run through a batch of sequences: all steps at once, as there is no state."""

    def __init__(self, policy: MLPPolicy, weights: Weights, observations: np.ndarray) -> None:
        self.policy = policy
        n_steps, _, _, n_episodes = observations.shape
        run = MLPRun(policy, weights, n_steps * n_episodes)
        by_feature = observations[:, :, 0].swapaxes(0, 1)  # (feature, step, episode)
        run.observations[0, :, 0] = by_feature.reshape(policy.n_features, -1)
        run.step()
        self._dense = run._dense
        self.actions = per_step(run.actions[0], n_steps)

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        _, d_weights = layers.dense_layers_back(self._dense, all_steps(d_actions)[None, None])
        return layers.unfold_dense(d_weights, "layer")
