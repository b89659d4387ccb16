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
        inputs: what each position hears (feature, channel).
        sources: which input that is (feature,), as `EpisodeDraws.order` numbers them.
        actions: what the policy answers (action,).
        inside: what there is to see in its network, without candidate and episode; see `PolicyRun.inside`.
    """

    step: int
    score: float
    inputs: np.ndarray
    sources: np.ndarray
    actions: np.ndarray
    inside: dict[str, np.ndarray]


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
        score = float(step.totals.returns[0, 0])
        if step.alive[0, 0]:
            moment = Moment(
                step.number,
                score,
                step.observations[0, ..., 0].copy(),
                step.task.sources[0, :, 0].copy(),
                step.actions[0, :, 0].copy(),
                {name: array[0, ..., 0].copy() for name, array in step.policy.inside().items()},
            )
        yield dataclasses.replace(moment, step=step.number, score=score), step.task
