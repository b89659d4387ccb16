"""AttentionAgent of Tang, Nguyen and Ha (2020): the patches of a picture vote for those worth looking at.

    x   = the patches' pixels, from 0 to 1                            (patch, channel)
    S   = (x A^T + a)(x B^T + b)^T / sqrt d                           scores of patches for patches
    the patches with the largest column sums of softmax(S), by rows, are chosen
    h,c = LSTM(their centres, h, c);  action = tanh(W h + b)

It sees where patches are by their number, so it is not invariant to their order.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from ..errors import MAX_SIZE, InputError, check_int
from ..layers.patches import WHITE, Patches
from ..parameters import unflatten
from .base import Policy, PolicyRun, Weights
from .voting_head import VotingHead, fold_memory, fold_votes, memory_shapes, places_of, vote_shapes


@dataclasses.dataclass(frozen=True)
class AttentionAgentPolicy(Policy):
    """A policy that sees one picture in overlapping patches, and acts on the places of the best.

    Args:
        n_actions: outputs.
        picture_size: rows and columns of the picture.
        patch_size: rows and columns of a patch.
        stride: from one patch to the next.
        n_colors: numbers of a pixel.
        vote_dim: the size of what scores are products of.
        n_votes: patches chosen.
        lstm_size: of the memory.

    Raises:
        InputError: for a size below one, more choices than patches, or sizes that are too large together.

    Examples:
        >>> policy = ps.AttentionAgentPolicy.car_racing()
        >>> policy.n_params
        3667
        >>> policy.n_actions
        3
    """

    n_actions: int = 3
    picture_size: int = 96
    patch_size: int = 7
    stride: int = 4
    n_colors: int = 3
    vote_dim: int = 4
    n_votes: int = 10
    lstm_size: int = 16

    kind: ClassVar[str] = "attention-agent"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, check_int(field.name, getattr(self, field.name), 1, MAX_SIZE))
        if self.patch_size > self.picture_size:
            raise InputError(f"patch_size must be at most picture_size = {self.picture_size}, got {self.patch_size}")
        if self.n_votes > self.n_features:
            raise InputError(
                f"n_votes must be at most the {self.n_features} patches that patch_size and stride leave, got "
                f"{self.n_votes}"
            )
        super().__post_init__()

    @classmethod
    def car_racing(cls) -> AttentionAgentPolicy:
        """Return the published policy for CarRacing, of 3667 parameters."""
        return cls()

    @property
    def grid(self) -> tuple[int, int]:
        """The rows and columns of patches."""
        return Patches(self.patch_size, self.stride).grid(self.picture_size, self.picture_size)

    @property
    def n_features(self) -> int:  # type: ignore[override]
        """The number of patches."""
        return self.grid[0] * self.grid[1]

    @property
    def n_channels(self) -> int:  # type: ignore[override]
        """The numbers of a patch: row, column, color."""
        return self.patch_size**2 * self.n_colors

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, in the order of the published weights."""
        votes = vote_shapes(self.n_channels, self.vote_dim)
        return {**votes, **memory_shapes(self.n_votes, self.lstm_size, self.n_actions)}

    def _prepare(self, population: np.ndarray) -> Weights:
        named = unflatten(population, self.layout)
        return [*fold_votes(named, math.sqrt(self.vote_dim), WHITE), *fold_memory(named)]

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return AttentionAgentRun(self, weights, n_episodes)


class AttentionAgentRun(PolicyRun):
    """A population of AttentionAgents in the middle of their episodes."""

    def __init__(self, policy: AttentionAgentPolicy, weights: Weights, n_episodes: int) -> None:
        self.policy, self.weights = policy, weights
        centres = places_of(policy.grid) * policy.stride + policy.patch_size // 2
        self._head = VotingHead(weights[:2], weights[2:], centres / policy.picture_size, policy.n_votes, n_episodes)
        self._seen = np.zeros((len(weights[0]), n_episodes, policy.n_features, policy.n_channels), np.float32)
        self.observations = self._seen.transpose(0, 2, 3, 1)
        self.actions = self._head.actions

    def step(self) -> None:
        """Compute `actions` from `observations`, and advance the LSTMs."""
        alive = np.ones(self._seen.shape[:2], bool) if self.alive is None else self.alive
        for candidate, episode in np.argwhere(alive):
            self._head.choose(candidate, episode, self._seen[candidate, episode])
        self._head.act()

    def inside(self) -> dict[str, np.ndarray]:
        """Return the numbers of the patches chosen in the last step, the best first: (candidate, place, episode)."""
        return {"places": self._head.places.swapaxes(1, 2)}

    def keep(self, rows: np.ndarray) -> AttentionAgentRun:
        """Return the run of only these candidates, in the state they are in."""
        kept = AttentionAgentRun(self.policy, [array[rows] for array in self.weights], self._seen.shape[1])
        kept._head.take(self._head, rows)
        return kept

    def memory(self) -> list[np.ndarray]:
        """Return what the LSTM remembers, and the action."""
        return self._head.memory()
