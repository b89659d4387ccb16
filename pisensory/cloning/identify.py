"""A second task for an invariant student: to tell which of the task's inputs each of its LSTMs is fed.

A student has to know what its inputs are before it can act on them, but the teacher's actions say little about
that: eight numbers a step for all inputs together. A linear classifier on the LSTMs' states asks each of them at
every step. It is thrown away after training.

Equations: softmax regression and its cross-entropy, as in Bishop, "Pattern Recognition and Machine Learning",
2006, section 4.3.4.
"""

from __future__ import annotations

import numpy as np

# How many columns, step by step side by side, are worked on together: fewer calls, and yet they stay in a core's cache.
_COLUMNS = 4096


def identify(
    classifier: np.ndarray, hidden: np.ndarray, sources: np.ndarray, alive: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the mean cross-entropy of the classifier's answers, and its gradients.

    Args:
        classifier: a row of bias and weights for each class (class, 1 + hidden).
        hidden: the LSTMs' states h (step, feature, hidden, episode).
        sources: the class of each input (step, feature, episode).
        alive: whether the step was part of the episode (step, episode).

    Returns:
        The mean over steps, features and episodes, zero if none is alive; its gradient by `classifier` (class,
        1 + hidden); and by `hidden` (step, feature, hidden, episode).
    """
    n_steps, n_features, size, n_episodes = hidden.shape
    weights = classifier.astype(hidden.dtype)
    bias, weights = weights[:, :1], np.ascontiguousarray(weights[:, 1:])
    d_classifier = np.zeros_like(classifier)
    d_hidden = np.empty_like(hidden)  # in memory as `hidden` is
    n_answers = max(1, int(alive.sum())) * n_features
    loss, n_columns = 0.0, n_features * n_episodes
    n_together = max(1, _COLUMNS // n_columns)
    for first in range(0, n_steps, n_together):
        some = slice(first, first + n_together)
        states = hidden[some].swapaxes(1, 2).reshape(-1, size, n_columns)
        answers = weights @ states + bias
        answers -= answers.max(axis=1, keepdims=True)
        np.exp(answers, out=answers)
        answers /= answers.sum(axis=1, keepdims=True)
        asked = sources[some].reshape(-1, 1, n_columns).astype(np.intp)
        counts = np.tile(alive[some], n_features)
        right = np.take_along_axis(answers, asked, axis=1)
        loss -= float(np.vdot(np.log(right + np.finfo(hidden.dtype).tiny), counts))
        np.put_along_axis(answers, asked, right - 1, axis=1)
        answers *= (counts / np.asarray(n_answers, hidden.dtype))[:, None]
        for d_bias, d_weights in zip(answers.sum(axis=2), answers @ states.swapaxes(1, 2)):
            d_classifier[:, 0] += d_bias
            d_classifier[:, 1:] += d_weights
        d_states = (weights.T @ answers).reshape(-1, size, n_features, n_episodes)
        d_hidden[some] = d_states.swapaxes(1, 2)
    return loss / n_answers, d_classifier, d_hidden
