"""The head of the agents that vote for places: the places chosen go through an LSTM to an action.

Tang, Nguyen and Ha, "Neuroevolution of Self-Interpretable Agents", 2020. What is before the vote is the policy's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import layers
from ..layers import voting

# Votes are of products of two of these, which must not overflow.
_LARGEST = np.float32(2.0**60)

Named = Mapping[str, np.ndarray]


def vote_shapes(n_channels: int, vote_dim: int) -> dict[str, tuple[int, ...]]:
    """Return the named arrays of the two maps whose products are the scores of places for places."""
    return {
        "w_voter": (vote_dim, n_channels),
        "b_voter": (vote_dim,),
        "w_choice": (vote_dim, n_channels),
        "b_choice": (vote_dim,),
    }


def memory_shapes(n_places: int, lstm_size: int, n_actions: int) -> dict[str, tuple[int, ...]]:
    """Return the named arrays of the LSTM that sees the chosen places, and of the layer that acts."""
    return {
        "w_input": (4 * lstm_size, 2 * n_places),
        "w_hidden": (4 * lstm_size, lstm_size),
        "b_input": (4 * lstm_size,),
        "b_hidden": (4 * lstm_size,),
        "w_action": (n_actions, lstm_size),
        "b_action": (n_actions,),
    }


def fold_votes(named: Named, scale: float = 1.0, from_pixels: float = 1.0) -> list[np.ndarray]:
    """Return the maps of voters and choices as one (candidate, channel, 2 vote), and their constants.

    Args:
        named: arrays of a population.
        scale: what scores are divided by.
        from_pixels: what the channels are divided by.
    """
    weights = np.concatenate([named["w_voter"] / scale, named["w_choice"]], axis=1) / from_pixels
    constants = np.concatenate([named["b_voter"] / scale, named["b_choice"]], axis=1)
    return [layers.as_weights(weights.swapaxes(1, 2)), layers.as_weights(constants)]


def fold_memory(named: Named) -> list[np.ndarray]:
    """Return the folded LSTM, and the layer that acts (candidate, 1, action, 1 + hidden) on (1, 2 h)."""
    lstm = layers.fold_lstm(named["w_input"], named["w_hidden"], named["b_input"], named["b_hidden"])
    act = np.concatenate([named["b_action"][..., None], 0.5 * named["w_action"]], axis=-1)[:, None]
    return [layers.as_weights(lstm), layers.as_weights(act)]


class VotingHead:
    """A population's heads in the middle of their episodes.

    Args:
        votes: of `fold_votes`.
        memory: of `fold_memory`.
        centres: what the LSTM sees of a place (place, 2).
        n_places: how many places are chosen.
        n_episodes: of each candidate.

    Attributes:
        actions: (candidate, action, episode).
        heard: channels (1, 2 h, action) of the LSTM's inputs: what has happened.
        places: the numbers of the places chosen, in falling order (candidate, episode, place).
    """

    def __init__(
        self, votes: list[np.ndarray], memory: list[np.ndarray], centres: np.ndarray, n_places: int, n_episodes: int
    ) -> None:
        self._vote, self._constants = votes
        self._lstm, self._act = memory
        self._centres = centres.astype(np.float32)
        n_candidates, _, n_gates, _ = self._lstm.shape
        size, n_actions = n_gates // 4, self._act.shape[2]
        # Channels: the centres of the places, constant one, doubled hidden state, action.
        self._inputs = layers.make_block(n_candidates, 1, 2 * n_places + 1 + size + n_actions, n_episodes)
        self._inputs.planes[2 * n_places] = 1
        self._seen = self._inputs.matrices[:, 0, : 2 * n_places]
        self._doubled_hidden = self._inputs.part(2 * n_places + 1, -n_actions).planes
        self.heard = self._inputs.part(2 * n_places)
        self._gates = layers.as_gates(layers.make_block(n_candidates, 1, n_gates, n_episodes))
        self._cell = layers.make_block(n_candidates, 1, size, n_episodes)
        self.places = np.zeros((n_candidates, n_episodes, n_places), np.intp)
        self._actions = self.heard.matrices[:, :, 1 + size :]
        self.actions = self._actions[:, 0]

    def choose(self, candidate: int, episode: int, seen: np.ndarray) -> None:
        """Let the places of one episode (place, channel) vote, and show the LSTM the best."""
        projected = seen @ self._vote[candidate]
        projected += self._constants[candidate]
        np.clip(projected, -_LARGEST, _LARGEST, out=projected)
        size = projected.shape[1] // 2
        votes = voting.vote(projected[:, :size], np.ascontiguousarray(projected[:, size:].T))
        places = voting.best_places(votes, self.places.shape[2])
        self.places[candidate, episode] = places
        self._seen[candidate, :, episode] = self._centres[places].reshape(-1)

    def act(self) -> None:
        """Advance the LSTMs, and compute `actions`."""
        cell = self._cell.planes
        lstm_inputs = layers.Block(self._inputs.matrices[:, :, : self._lstm.shape[3]], self._inputs.planes)
        layers.lstm_step(self._lstm, lstm_inputs, self._gates, cell, cell, self._doubled_hidden)
        np.matmul(self._act, self.heard.matrices[:, :, : self._act.shape[3]], out=self._actions)
        np.tanh(self._actions, out=self._actions)

    def take(self, head: VotingHead, rows: np.ndarray) -> None:
        """Take over the state of these candidates of another head."""
        self._inputs.matrices[...] = head._inputs.matrices[rows]
        self._cell.matrices[...] = head._cell.matrices[rows]
        self.places[...] = head.places[rows]

    def memory(self) -> list[np.ndarray]:
        """Return the doubled h, the action, and c: own arrays (..., episode)."""
        return [self.heard.matrices[:, :, 1:], self._cell.matrices]  # all but the constant one


def places_of(grid: tuple[int, int]) -> np.ndarray:
    """Return (place, 2): the row and column of each place of a grid, row by row."""
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.stack([rows, columns], axis=1)
