"""The vote of places for places, and the choice of those with the most votes.

Equations: Tang, Nguyen and Ha, "Neuroevolution of Self-Interpretable Agents", 2020: with a_i and b_j two linear
maps of the places, place i gives the share softmax_j(a_i b_j) of its vote to place j, and

    votes_j = sum_i softmax_j(a_i b_j)

The choice of the best has no gradient; the votes have one (`vote_back`).
"""

from __future__ import annotations

import numpy as np

from .softmax import within_bounds

_TILE = 2**16  # shares worked on at once: what stays in a core's cache


def vote(voters: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """Return the votes (place,) of all places together.

    Args:
        voters: a (place, channel), of a size whose products do not overflow.
        choices: b (channel, place), likewise.
    """
    rows = max(1, min(len(voters), _TILE // choices.shape[1]))
    scratch = np.empty((rows, choices.shape[1]), voters.dtype)
    ones = np.ones(choices.shape[1], voters.dtype)
    votes = np.zeros(choices.shape[1], voters.dtype)
    safe = within_bounds(voters, choices.T)
    for start in range(0, len(voters), rows):
        shares = _exponentials(voters[start : start + rows], choices, safe, scratch)
        votes += np.reciprocal(shares @ ones) @ shares
    return votes


def vote_back(voters: np.ndarray, choices: np.ndarray, d_votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients by voters and choices, from that by the votes (place,)."""
    rows = max(1, min(len(voters), _TILE // choices.shape[1]))
    scratch = np.empty((rows, choices.shape[1]), voters.dtype)
    d_voters, d_choices = np.empty_like(voters), np.zeros_like(choices)
    safe = within_bounds(voters, choices.T)
    for start in range(0, len(voters), rows):
        part = slice(start, start + rows)
        shares = _exponentials(voters[part], choices, safe, scratch)
        shares /= shares.sum(axis=1, keepdims=True)
        d_scores = shares * (d_votes - (shares @ d_votes)[:, None])
        d_voters[part] = d_scores @ choices.T
        d_choices += voters[part].T @ d_scores
    return d_voters, d_choices


def best_places(votes: np.ndarray, n_places: int) -> np.ndarray:
    """Return the numbers of the places with the most votes, in falling order; the earlier first among equals."""
    least = np.partition(votes, -n_places)[-n_places]
    among = np.flatnonzero(votes >= least)
    return among[np.argsort(-votes[among], kind="stable")[:n_places]]


def _exponentials(voters: np.ndarray, choices: np.ndarray, safe: bool, scratch: np.ndarray) -> np.ndarray:
    """Return exp(scores) (voter, place), those of each voter divided by a common factor if not `safe`."""
    shares = np.matmul(voters, choices, out=scratch[: len(voters)])
    if not safe:
        shares -= shares.max(axis=1, keepdims=True)
    return np.exp(shares, out=shares)
