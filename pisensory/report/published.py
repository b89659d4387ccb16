"""What has been published of policies whose weights are public, to be shown beside our own scores.

Source: Tang and Ha, "The Sensory Neuron as a Transformer: Permutation-Invariant Neural Networks for
Reinforcement Learning", NeurIPS 2021: mean and standard deviation of the return.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ..tasks import Task

SOURCE = "Tang and Ha (2021)"

Facts = dict[str, tuple[float, float]]

# By the task's label, the first digits of the SHA-256 of the vector in float32, and the key of the score.
_FACTS: dict[tuple[str, str], Facts] = {
    ("harder", "837b89d6d4fe1793"): {
        "plain": (472, 426),
        "shuffled": (471, 426),
        "twice, gain 0.5": (471, 425),
        "noise, gain 0.5": (461, 410),
        "every 25": (107, 146),
        "every 50": (163, 198),
        "every 100": (242, 254),
        "every 200": (318, 310),
        "every 500": (407, 380),
        "never": (472, 426),
    },
    ("ant", "42653306885126da"): {
        "shuffled": (2576, 75),
        "every 25": (2053, 225),
        "every 50": (2319, 188),
        "every 100": (2406, 178),
        "every 200": (2493, 105),
        "every 500": (2548, 87),
        "never": (2576, 75),
    },
}


def published_facts(params: np.ndarray, task: Task) -> Facts:
    """Return what is published of a vector (parameter,) on this task: key of the score -> (mean, deviation)."""
    key = hashlib.sha256(np.asarray(params).astype("<f4").tobytes()).hexdigest()[:16]
    return _FACTS.get((task.label, key), {}) if task.max_steps == 1000 else {}
