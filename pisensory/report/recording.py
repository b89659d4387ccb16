"""What goes on inside an invariant policy during episodes, step by step."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np

from ..parameters import check_params
from ..policies import InvariantPolicy
from ..policies.invariant import InvariantRun
from ..rollout import check_fit
from ..tasks import Task
from ..tasks.base import Seed


@dataclasses.dataclass(frozen=True)
class Recording:
    """Episodes of one policy, step by step.

    Attributes:
        observations: what the policy saw (step, feature, episode).
        latent: the latent code (step, embedding, episode).
        actions: (step, action, episode).
        rewards: of each step (step, episode); 0 once the episode is over.
        alive: whether the step was part of the episode (step, episode).
        attention: (step, feature, embedding, episode); None unless asked for.
    """

    observations: np.ndarray
    latent: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    alive: np.ndarray
    attention: np.ndarray | None = None


def record(
    policy: InvariantPolicy,
    params: np.ndarray,
    task: Task,
    n_episodes: int,
    seed: Seed,
    attention: bool = False,
) -> Recording:
    """Live through episodes, all together, and note what the policy saw, thought and did.

    Args:
        policy: the network.
        params: its vector (parameter,).
        task: what to do.
        n_episodes: how many.
        seed: of the episodes, which are those of a rollout with this seed.
        attention: whether to note the attention too, which takes most memory.

    Raises:
        InputError: for a policy that does not fit the task.
    """
    check_fit(policy, task)
    width = max(2, n_episodes)  # a single column would be rounded by other kernels than those of a rollout
    run = task.start(seed, np.minimum(np.arange(width), n_episodes - 1)[None])
    network = _start(policy, params, task.n_features, width)
    alive = np.ones((1, width), bool)
    steps: list[tuple[np.ndarray, ...]] = []
    with np.errstate(over="ignore", under="ignore"):
        while len(steps) < task.max_steps and alive.any():
            run.observe(network.observations)
            network.step()
            before = alive.copy()
            rewards, over = run.step(network.actions, alive)
            alive &= ~over
            parts = [
                network.observations[:, :, 0],
                network.latent,
                network.actions,
                np.where(before, rewards, 0.0),
                before,
            ]
            parts += [network.attention] if attention else []
            steps.append(tuple(part[0, ..., :n_episodes].copy() for part in parts))
    return Recording(*(np.stack(parts) for parts in zip(*steps)))


def _start(policy: InvariantPolicy, params: np.ndarray, n_features: int, n_episodes: int) -> InvariantRun:
    weights = policy.prepare(check_params(params, policy.n_params)[None])
    return cast(InvariantRun, policy.start(weights, n_features, n_episodes))
