"""The held-out episodes, the same for every run, so that their scores compare."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..executors import Executor, rollout
from ..policies import Policy
from ..tasks import Task

HELD_OUT_SEED = (2021,)


def score_held_out(
    policy: Policy, params: np.ndarray, task: Task, n_episodes: int, executor: Executor
) -> dict[str, Any]:
    """Return the mean return of a vector (parameter,) on the held-out episodes, and those of the task's parts."""
    returns = rollout(policy, params[None], task, n_episodes, HELD_OUT_SEED, executor=executor).returns
    return {"held_out": float(returns.mean()), **task.scores(returns)}
