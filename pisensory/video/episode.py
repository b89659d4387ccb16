"""One episode, step by step as a rollout lives it, with all that a video shows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from ..parameters import check_params
from ..policies import Policy
from ..rollout import make_chunks, start_chunk
from ..tasks import Task, TaskRun
from ..tasks.base import Seed
from ..tasks.perturbation import PerturbedRun


@dataclasses.dataclass(frozen=True)
class Moment:
    """An episode between hearing the inputs of a step and taking it.

    Attributes:
        step: how many steps were taken before.
        score: the sum of their rewards.
        inputs: what each position hears (feature,).
        sources: which input that is (feature,), as `EpisodeDraws.order` numbers them.
        actions: what the policy answers (action,).
        attention: W (embedding, feature), or None for policies without.
        latent: m (embedding,), or None.
    """

    step: int
    score: float
    inputs: np.ndarray
    sources: np.ndarray
    actions: np.ndarray
    attention: np.ndarray | None
    latent: np.ndarray | None


def play(policy: Policy, params: object, task: Task, seed: Seed) -> Iterator[tuple[Moment, TaskRun]]:
    """Live through episode 0 of the rollout `seed`, to the bit as a rollout of one episode does.

    Args:
        policy: the network.
        params: its flat vector (parameter,).
        task: what to do.
        seed: of the rollout.

    Yields:
        Each moment with the task's run as it stands; the last is after the last step, with its inputs.

    Raises:
        InputError: for a vector or a task that does not fit the policy.
    """
    vector = check_params(params, policy.n_params)
    (chunk,) = make_chunks(policy, vector[None], task, 1, seed)
    task_run, policy_run, alive = start_chunk(chunk)
    score, over, step = 0.0, False, 0
    while not over and step < task.max_steps:
        task_run.observe(policy_run.observations[:, :, 0])
        with np.errstate(over="ignore", under="ignore"):  # as in a rollout
            policy_run.step()
        moment = Moment(
            step,
            score,
            policy_run.observations[0, :, 0, 0].copy(),
            _sources(task_run, task.n_features),
            policy_run.actions[0, :, 0].copy(),
            policy_run.attention[0, :, :, 0].T.copy() if hasattr(policy_run, "attention") else None,
            policy_run.latent[0, :, 0].copy() if hasattr(policy_run, "latent") else None,
        )
        yield moment, task_run
        rewards, ended = task_run.step(policy_run.actions, alive)
        score, over, step = score + float(rewards[0, 0]), bool(ended[0, 0]), step + 1
    yield dataclasses.replace(moment, step=step, score=score), task_run


def _sources(run: TaskRun, n_features: int) -> np.ndarray:
    return run.sources[:, 0, 0] if isinstance(run, PerturbedRun) else np.arange(n_features)
