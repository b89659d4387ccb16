"""One episode, step by step as a rollout lives it, with all that a video shows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from ..policies import Policy
from ..rollout import live, single_chunk
from ..tasks import Task, TaskRun
from ..tasks.base import Seed


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
    for step in live(single_chunk(policy, params, task, 1, seed)):
        inside = step.policy
        if step.alive.any():
            moment = Moment(
                step.number,
                float(step.totals.returns[0, 0]),
                step.observations[0, :, 0, 0].copy(),
                step.task.sources[0, :, 0].copy(),
                step.actions[0, :, 0].copy(),
                inside.attention[0, :, :, 0].T.copy() if hasattr(inside, "attention") else None,
                inside.latent[0, :, 0].copy() if hasattr(inside, "latent") else None,
            )
        else:
            moment = dataclasses.replace(moment, step=step.number, score=float(step.totals.returns[0, 0]))
        yield moment, step.task
