"""A recipe for strong invariant policies: evolve a plain teacher, clone it, evolve the clone.

Evolved from nothing, an invariant policy learns to spin the pole, which earns half the reward, and stays at
that for a thousand generations. An MLP soon learns to balance. What it knows is copied by gradient descent,
and evolution goes on from there.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import check_int, check_positive
from ..executors import ExecutorLike, open_executor, rollout
from ..files import PathLike, load_policy
from ..policies import InvariantPolicy, MLPPolicy, Policy
from ..rollout import check_fit
from ..tasks import Task
from ..train import TrainResult, train
from ..train.loop import HELD_OUT_SEED
from ..train.presets import PRESETS
from ..train.records import BEST, CLONE, CONFIG, TEACHER, read_config
from .loop import clone

# Tells inputs apart sooner than the published sizes, and has room for what the teacher knows.
TAUGHT_POLICY = InvariantPolicy(n_embeddings=32, hidden_size=16, head_sizes=(32,))

# What worked for the clone and for evolving it; docs/training.md has the reasons.
_CLONING: dict[str, Any] = {"dagger": True, "identify": 0.3, "window": 20, "learning_rate": 0.003}
_EVOLVING: dict[str, Any] = {
    "population_size": 64, "n_episodes": 64, "sigma0": 0.01, "sigma_min": 0.002, "diagonal": True,
}  # fmt: skip
# A teacher that steers by degrees is easier to copy: the softest is taken that loses no more than this part of a score.
_GAINS, _LOST = (0.1, 0.2, 0.5, 1.0), 0.03
# The parts of a time budget that end the teacher and the clone if their rounds do not.
_TEACHER_PART, _CLONE_PART = 0.2, 0.35


def train_with_teacher(
    policy: Policy,
    task: Task,
    run_dir: PathLike,
    *,
    generations: int = 1000,
    teacher_generations: int = 1000,
    clone_rounds: int = 400,
    seed: int = 0,
    minutes: float | None = None,
    resume: bool = False,
    n_jobs: int = 1,
    executor: ExecutorLike = None,
    progress: bool = False,
    **settings: Any,
) -> TrainResult:
    """Evolve an MLP as a teacher, clone it, and evolve the clone.

    The teacher sees the task's own inputs, the others what the task's perturbation makes of them. It is
    softened as far as it keeps its score (`teacher_gain` of `clone`). A run that is resumed does not repeat the
    stages that are done.

    Args:
        policy: the network to train.
        task: what to learn.
        run_dir: the run folder of the last stage; those of the first two are `teacher` and `clone` in it.
        generations: of the last stage.
        teacher_generations: of the teacher; no more than `generations`.
        clone_rounds: of the clone; no more than `generations`.
        seed: of everything random.
        minutes: stop after this time; the teacher gets at most a fifth of it, the clone about a third.
        resume, n_jobs, executor, progress: as for `train`.
        **settings: others of `train`'s, for the last stage.

    Returns:
        The trained policy; its generations and environment steps are those of the last stage.

    Raises:
        InputError, FileError, MissingExtraError, TrainingInterrupted: as `train` does.
    """
    for name, value in (
        ("generations", generations), ("teacher_generations", teacher_generations), ("clone_rounds", clone_rounds),
    ):  # fmt: skip
        check_int(name, value, 1)
    if minutes is not None:
        minutes = check_positive("minutes", minutes)
    check_fit(policy, task)
    folder, start = Path(run_dir), time.monotonic()
    common: dict[str, Any] = {"seed": seed, "resume": resume, "n_jobs": n_jobs, "executor": executor}
    # A stage is over once the next one's folder is there.
    cloning, evolving = (folder / CLONE / CONFIG).exists(), (folder / CONFIG).exists()
    if not evolving and not cloning:
        train(
            MLPPolicy(task.plain.n_features, task.n_actions), task.plain, folder / TEACHER,
            generations=min(teacher_generations, generations), minutes=_part(minutes, _TEACHER_PART),
            progress=progress and "teacher", **PRESETS["best"], **common,
        )  # fmt: skip
    if not evolving:
        teacher = load_policy(folder / TEACHER / BEST)
        gain = read_config(folder / CLONE)["training"].get("teacher_gain") if resume and cloning else None
        clone(
            policy, teacher, task, folder / CLONE,
            rounds=min(clone_rounds, generations), minutes=_part(minutes, _CLONE_PART), patience=clone_rounds,
            progress=progress and "clone", teacher_gain=gain or choose_gain(*teacher, task.plain, n_jobs, executor),
            **_CLONING, **common,
        )  # fmt: skip
    init = None if evolving else load_policy(folder / CLONE / BEST)[1]
    left = None if minutes is None else max(minutes - (time.monotonic() - start) / 60, 1e-3)
    return train(
        policy, task, folder, generations=generations, init=init, minutes=left,
        progress=progress and "clone, evolved", **{**_EVOLVING, **settings}, **common,
    )  # fmt: skip


def choose_gain(
    teacher: Policy, params: np.ndarray, task: Task, n_jobs: int = 1, executor: ExecutorLike = None
) -> float:
    """Return the least factor before the teacher's last tanh with which it scores about as well as with none."""
    scores = {}
    with open_executor(executor, n_jobs) as opened:
        for gain in _GAINS:
            population = teacher.soften(params, gain)[None]
            result = rollout(teacher, population, task, task.score_episodes, HELD_OUT_SEED, executor=opened)
            scores[gain] = float(result.returns.mean())
    enough = scores[1.0] - _LOST * abs(scores[1.0])
    return next(gain for gain in _GAINS if scores[gain] >= enough)


def _part(minutes: float | None, part: float) -> float | None:
    return None if minutes is None else part * minutes
