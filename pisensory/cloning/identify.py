"""A second task for an invariant student: to tell which of the task's inputs each of its LSTMs is fed.

A student has to know what its inputs are before it can act on them, but the teacher's actions say little about
that: eight numbers a step for all inputs together. A linear classifier on the LSTMs' states asks each of them at
every step. It is thrown away after training.

Equations: softmax regression and its cross-entropy, as in Bishop, "Pattern Recognition and Machine Learning",
2006, section 4.3.4.
"""

from __future__ import annotations

import numpy as np


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
    loss, pairs = 0.0, np.arange(n_features * n_episodes)
    for step in range(n_steps):  # one at a time: all of them together would not fit into a core's cache
        states = hidden[step].swapaxes(0, 1).reshape(size, -1)
        answers = weights @ states + bias
        answers -= answers.max(axis=0)
        np.exp(answers, out=answers)
        answers /= answers.sum(axis=0)
        asked, counts = sources[step].ravel(), np.tile(alive[step], n_features)
        loss -= float(np.log(answers[asked, pairs] + np.finfo(hidden.dtype).tiny) @ counts)
        answers[asked, pairs] -= 1
        answers *= counts / np.asarray(n_answers, hidden.dtype)
        d_classifier[:, 0] += answers.sum(axis=1)
        d_classifier[:, 1:] += answers @ states.T
        d_hidden[step] = (weights.T @ answers).reshape(size, n_features, n_episodes).swapaxes(0, 1)
    return loss / n_answers, d_classifier, d_hidden
