"""The held-out episodes, the same for every run, so that their scores compare."""

from __future__ import annotations

import numpy as np

from ..executors import Executor, rollout
from ..policies import Policy
from ..tasks import Task

HELD_OUT_SEED = (2021,)


def score_held_out(policy: Policy, params: np.ndarray, task: Task, n_episodes: int, executor: Executor) -> float:
    """Return the mean return of a vector (parameter,) on the held-out episodes."""
    return float(rollout(policy, params[None], task, n_episodes, HELD_OUT_SEED, executor=executor).returns.mean())
