"""What a report shows of an agent that sees patches: where it looks, and its latent code in order and shuffled."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..rollout import live, single_chunk
from ..tasks import Perturbation
from .scores import Subject

MOMENTS = (25, 75, 125)  # steps that are shown
_SIZE = (96, 84)  # pixels of a picture


def can_gaze(subject: Subject) -> bool:
    """Whether the task is seen in patches, and the policy shows its attention to them and its latent code."""
    policy, task = subject.policy, subject.task
    run = policy.start(policy.prepare(subject.params[None]), task.n_features, 1)
    return task.senses.grid is not None and {"latent", "attention"} <= set(run.inside())


def study_gaze(subject: Subject, seed: int) -> dict[str, Any]:
    """Return what goes on at some moments of one episode, the same with the patches shuffled, as plain numbers.

    Pictures of the task and of what the policy sees (row, column, color), the mean attention to each patch by where it
    is (row, column), the latent code (channel, place) both ways, and the largest difference between the two.
    """
    plain, shuffled = (_moments(subject, seed, shuffle) for shuffle in (False, True))
    differences = [np.abs(one["latent"] - other["latent"]).max() for one, other in zip(plain, shuffled)]
    shown = [
        {
            "step": one["step"], "picture": one["picture"].tolist(), "seen": other["seen"].tolist(),
            "attention": np.round(one["attention"], 5).tolist(),
            "latent": np.round(one["latent"].T.astype(np.float64), 3).tolist(),
            "latent_shuffled": np.round(other["latent"].T.astype(np.float64), 3).tolist(),
        }
        for one, other in zip(plain, shuffled)
    ]  # fmt: skip
    return {"model": subject.name, "moments": shown, "largest_difference": float(max(differences, default=0.0))}


def _moments(subject: Subject, seed: int, shuffle: bool) -> list[dict[str, Any]]:
    task = dataclasses.replace(
        subject.task.with_pictures(), max_steps=max(MOMENTS) + 1, perturbation=Perturbation(shuffle=shuffle)
    )
    found = []
    for step in live(single_chunk(subject.policy, subject.params, task, 1, seed)):
        if step.number in MOMENTS and step.alive[0, 0]:
            inside, sources = step.policy.inside(), step.task.sources[0, :, 0]
            attention = np.zeros(len(sources))
            attention[sources] = inside["attention"][0, :, :, 0].mean(axis=1)
            found.append(
                {
                    "step": step.number,
                    "picture": step.task.picture((0, 0), step.actions[0, :, 0], None, _SIZE),
                    "seen": task.mosaic(step.observations[0, :, :, 0]),
                    "attention": attention.reshape(task.senses.grid),
                    "latent": inside["latent"][0, ..., 0].reshape(len(inside["latent"][0]), -1).copy(),
                }
            )
    return found
