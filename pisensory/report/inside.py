"""What a report shows of the inside of an invariant policy: its latent code and its attention."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..recording import Recording, record
from ..tasks import Perturbation
from .scores import Subject

KIND = "cartpole"  # of task
RECOVERY_STEPS = 1000  # before the reshuffle, and after it
RECOVERY_EPISODES = 400
REGRESSION_EPISODES = 200
SMOOTHING = 25  # steps of the moving average of latent codes
WITHIN, HOLDS = 0.05, 100  # the latent code is back when its distance stays within this for so many steps
_N_FIRST = 50  # episodes, of which the best is shown
_BEFORE = 100  # steps before the reshuffle that are shown


def can_look_inside(subject: Subject) -> bool:
    """Whether the task is one whose episodes these studies are made for, and the policy shows what they are of."""
    policy, task = subject.policy, subject.task
    run = policy.start(policy.prepare(subject.params[None]), task.n_features, 1)
    return task.kind == KIND and {"latent", "attention"} <= set(run.inside())


def study_inside(subject: Subject, n_episodes: int, seed: int) -> dict[str, Any]:
    """Return all that is shown of the inside of an invariant policy on the cart-pole, as plain numbers."""
    return {
        "model": subject.name,
        **_one_episode(subject, seed),
        "recovery": _recovery(subject, min(n_episodes, RECOVERY_EPISODES), seed),
        "regression": _regression(subject, max(2, min(n_episodes, REGRESSION_EPISODES)), seed),
    }


def _record(
    subject: Subject, n_episodes: int, seed: int, *inside: str, max_steps: int | None = None, **changes: Any
) -> Recording:
    """Record episodes of a policy on its task, perturbed as `changes` say."""
    max_steps = max_steps or subject.task.max_steps
    task = dataclasses.replace(subject.task, max_steps=max_steps, perturbation=Perturbation(**changes))
    return record(subject.policy, subject.params, task, n_episodes, seed, inside)


def _one_episode(subject: Subject, seed: int) -> dict[str, Any]:
    """Return what goes on in the best of the first episodes: one that shows the policy at its work.

    The latent code (step, embedding) with the inputs in order and shuffled, the mean absolute attention (step,
    input), and all of it at one step.
    """
    plain = _record(subject, _N_FIRST, seed, "latent", "attention")
    shuffled = _record(subject, _N_FIRST, seed, "latent", shuffle=True)
    episode = int(plain.rewards.sum(axis=0).argmax())
    codes = [each.inside["latent"][each.alive[:, episode], :, episode] for each in (plain, shuffled)]
    same = len(codes[0]) == len(codes[1])
    attention = plain.inside["attention"][plain.alive[:, episode], :, :, episode]
    step = len(attention) // 10
    return {
        "latent": {
            "episode": episode,
            "largest_difference": float(np.abs(codes[0] - codes[1]).max()) if same else None,
            "in_order": _rounded(codes[0]),
            "shuffled": _rounded(codes[1]),
        },
        "attention": {
            "episode": episode,
            "inputs": list(subject.task.senses.names),
            "mean_absolute": _rounded(np.abs(attention).mean(axis=2)),
            "step": step,
            "at_step": _rounded(attention[step]),
        },
    }


def _recovery(subject: Subject, n_episodes: int, seed: int) -> dict[str, Any]:
    """Return reward and latent code around one reshuffle, averaged over the episodes that live to see it.

    The distance of the latent code is that of its mean over episodes from the mean over the same episodes left
    alone, both averaged over SMOOTHING steps, in units of the root mean square of the code.
    """
    steps = 2 * RECOVERY_STEPS
    alone = _record(subject, n_episodes, seed, "latent", max_steps=steps)
    reshuffled = _record(subject, n_episodes, seed, "latent", max_steps=steps, reshuffle_every=RECOVERY_STEPS)
    if len(alone.alive) <= RECOVERY_STEPS or not alone.alive[RECOVERY_STEPS].any():
        return {"episodes": 0, "steps_to_recover": None}
    living = alone.alive[RECOVERY_STEPS]
    rewards = [_pad(recording.rewards[:, living].mean(axis=1), steps) for recording in (alone, reshuffled)]
    alive = _pad(reshuffled.alive[:, living].mean(axis=1), steps)
    means = [_mean_latent(recording, living, steps) for recording in (alone, reshuffled)]
    code = alone.inside["latent"][RECOVERY_STEPS - _BEFORE : RECOVERY_STEPS][:, :, living]
    distance = np.linalg.norm(means[1] - means[0], axis=1) / np.sqrt((code**2).sum(axis=1).mean())
    # The moving average would mix what was before the reshuffle with what came after.
    distance[:RECOVERY_STEPS] = 0
    shown = slice(RECOVERY_STEPS - _BEFORE, steps - SMOOTHING)
    return {
        "episodes": int(living.sum()),
        "alive_at_the_end": float(alive[-1]),
        "steps_to_recover": _first_run(distance[RECOVERY_STEPS : shown.stop] <= WITHIN, HOLDS),
        "steps": [-_BEFORE, RECOVERY_STEPS - SMOOTHING],
        "reward_alone": _rounded(rewards[0][shown]),
        "reward_reshuffled": _rounded(rewards[1][shown]),
        "latent_distance": _rounded(distance[shown]),
    }


def _first_run(true: np.ndarray, length: int) -> int | None:
    """Return where the first `length` values on end that are true begin; None if there are none."""
    counts = np.concatenate([[0], np.cumsum(true)])
    starts = np.flatnonzero(counts[length:] - counts[:-length] == length)
    return int(starts[0]) if len(starts) else None


def _mean_latent(recording: Recording, living: np.ndarray, n_steps: int) -> np.ndarray:
    """Return the latent code (step, embedding), averaged over episodes and SMOOTHING steps from each on."""
    alive = (recording.alive & living)[:, None]
    mean = (recording.inside["latent"] * alive).sum(axis=2) / np.maximum(alive.sum(axis=2), 1)
    mean = np.concatenate([mean, np.repeat(mean[-1:], n_steps + SMOOTHING - len(mean), axis=0)])
    sums = np.cumsum(np.concatenate([np.zeros((1, mean.shape[1])), mean]), axis=0)
    return (sums[SMOOTHING:] - sums[:-SMOOTHING])[:n_steps] / SMOOTHING


def _pad(values: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([values, np.zeros(length - len(values))])


def _regression(subject: Subject, n_episodes: int, seed: int) -> dict[str, Any]:
    """Return how well each input is a linear function of the latent code of the shuffled inputs: its R^2.

    Fitted by least squares on half of the episodes, measured on the other half.
    """
    inputs = _record(subject, n_episodes, seed)
    codes = _record(subject, n_episodes, seed, "latent", shuffle=True)
    halves = []
    for first in (0, 1):
        alive = inputs.alive[:, first::2]
        code = codes.inside["latent"][:, :, first::2].transpose(0, 2, 1)[alive]
        design = np.column_stack([code, np.ones(len(code))]).astype(np.float64)
        halves.append((design, inputs.observations[:, :, 0, first::2].transpose(0, 2, 1)[alive].astype(np.float64)))
    (design, targets), (held_out_design, held_out) = halves
    weights = np.linalg.lstsq(design, targets, rcond=None)[0]
    errors = ((held_out - held_out_design @ weights) ** 2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = 1 - errors / ((held_out - held_out.mean(axis=0)) ** 2).sum(axis=0)
    scores = {name: float(value) if np.isfinite(value) else None for name, value in zip(subject.task.senses.names, r2)}
    return {"episodes": n_episodes, "steps": len(design) + len(held_out), "r2": scores}


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), 4).tolist()
