"""A recipe for strong invariant policies: evolve a plain teacher, clone it, evolve the clone.

Evolved from nothing, an invariant policy learns to spin the pole, which earns half the reward, and stays at
that for a thousand generations. An MLP soon learns to balance. What it knows is copied by gradient descent,
and evolution goes on from there.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import MAX_COUNT, check_bool, check_int, import_extra
from ..executors import ExecutorLike, open_executor, rollout
from ..files import PathLike, load_policy
from ..policies import InvariantPolicy, MLPPolicy, Policy
from ..rollout import check_fit
from ..runs.config import given, merge
from ..runs.deadline import Deadline
from ..runs.folder import BEST, CLONE, CONFIG, RECIPE, TEACHER
from ..runs.held_out import HELD_OUT_SEED
from ..runs.progress import check_progress
from ..runs.run import Run, open_run
from ..tasks import Task
from ..train import TrainResult, train
from ..train.settings import TrainSettings
from .loop import clone

# Tells inputs apart sooner than the published sizes, and has room for what the teacher knows.
TAUGHT_POLICY = InvariantPolicy(n_embeddings=32, hidden_size=24, head_sizes=(32,))

# What worked for teacher and clone; docs/training.md has the reasons.
_TEACHING: dict[str, Any] = {"population_size": 32, "n_episodes": 8, "sigma0": 0.5, "sigma_max": 0.5}
_CLONING: dict[str, Any] = {
    "dagger": True, "identify": 0.3, "windows": 64, "window": 40, "beginnings": 0.5, "updates": 80, "average": 0.995,
    "learning_rate": 0.005, "eval_every": 10,
}  # fmt: skip
# A teacher that steers by degrees is easier to copy: the softest is taken that loses no more than this part of a score.
_GAINS, _LOST = (0.1, 0.2, 0.5, 1.0), 0.03
# The parts of a time budget that end the teacher and the clone if their rounds do not.
_TEACHER_PART, _CLONE_PART = 0.2, 0.5


@dataclasses.dataclass(frozen=True)
class RecipeSettings(TrainSettings):
    """What recipe.json keeps: how long the first two stages are, and how the clone is evolved."""

    population_size: int = 64
    n_episodes: int = 64
    sigma0: float = 0.01
    sigma_min: float = 0.002
    diagonal: bool = True
    init: str = CLONE
    teacher_generations: int = 750
    clone_rounds: int = 250


# Those of its settings that are the last stage's.
_LAST = [field.name for field in dataclasses.fields(TrainSettings) if field.name != "init"]


def train_with_teacher(
    policy: Policy,
    task: Task,
    run_dir: PathLike,
    *,
    generations: int = 1000,
    teacher_generations: int | None = None,
    clone_rounds: int | None = None,
    population_size: int | None = None,
    n_episodes: int | None = None,
    sigma0: float | None = None,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    diagonal: bool | None = None,
    seed: int | None = None,
    eval_every: int | None = None,
    n_eval_episodes: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    n_jobs: int = 1,
    executor: ExecutorLike = None,
    progress: bool | str = False,
    tensorboard: bool = False,
) -> TrainResult:
    """Evolve an MLP as a teacher, clone it, and evolve the clone.

    The teacher sees the task's own inputs, the others what the task's perturbation makes of them. It is
    softened as far as it keeps its score (`teacher_gain` of `clone`). A run that is resumed does not repeat the
    stages that are done.

    A setting that is not given is that of the run to resume, and else the default in brackets.

    Args:
        policy: the network to train.
        task: what to learn.
        run_dir: the run folder of the last stage; those of the first two are `teacher` and `clone` in it, and
            recipe.json has the settings of all.
        generations: of the last stage, those before a resume included; 0 to end with the clone.
        teacher_generations: generations of the teacher (750, but no more than the last stage begins with, if any).
        clone_rounds: rounds of the clone (250, but no more than the last stage begins with generations, if any).
        population_size: candidates a generation of the last stage (64).
        n_episodes: episodes a candidate there (64).
        sigma0: its first standard deviation of the parameters (0.01).
        sigma_max: its largest step size (no bound).
        sigma_min: the smallest (0.002).
        diagonal: whether it learns variances alone, and no covariances (True).
        seed: of everything random (0).
        eval_every: generations between held-out scores of the last stage (10).
        n_eval_episodes: held-out episodes there (256).
        minutes: stop after this time; the teacher gets at most a fifth of it, the clone a half.
        resume: go on with the run in `run_dir`, in whatever stage it is, if there is one.
        n_jobs: processes; -1 for one a core.
        executor: where to run: "serial", "processes", "dask:ADDRESS", or an object with `map(function, items)`.
        progress: show a progress bar.
        tensorboard: write TensorBoard event files to the run folder as well.

    Returns:
        The trained policy; its generations and environment steps are those of the last stage. Without one it is the
        clone, its rounds as generations, in the run folder of the clone.

    Raises:
        InputError, FileError, MissingExtraError, TrainingInterrupted: as `train` does.

    Examples:
        >>> task = ps.CartPoleSwingUp("harder", max_steps=50)
        >>> few = {"teacher_generations": 1, "clone_rounds": 1, "n_eval_episodes": 4}
        >>> result = ps.train_with_teacher(ps.InvariantPolicy(), task, "runs/best", generations=1, **few)
        >>> result.generations, result.params.shape
        (1, (913,))
    """
    asked = given(RecipeSettings, locals())
    generations = check_int("generations", generations, 0, MAX_COUNT)
    deadline, progress = Deadline(minutes), bool(check_progress(progress))
    tensorboard = check_bool("tensorboard", tensorboard)
    check_fit(policy, task)
    if tensorboard:
        import_extra("tensorboardX", "tensorboard")
    shortened = {
        name: min(generations or MAX_COUNT, getattr(RecipeSettings, name))
        for name in ("teacher_generations", "clone_rounds")
    }

    def settle(saved: dict[str, Any]) -> RecipeSettings:
        return merge(RecipeSettings, {**shortened, **saved}, asked)

    with open_run(run_dir, policy, task, settle, resume=resume, n_jobs=n_jobs, executor=executor, name=RECIPE) as run:
        # A stage is over once the next one has begun.
        if not (run.folder / CONFIG).exists():
            if not (run.folder / CLONE / CONFIG).exists():
                _teach(run, task, None if minutes is None else _TEACHER_PART * minutes, progress)
            cloned = _clone(run, policy, task, None if minutes is None else _CLONE_PART * minutes, progress)
            if not generations:
                return cloned
        begun = (run.folder / CONFIG).exists()
        settings = {name: getattr(run.settings, name) for name in _LAST}
        return train(
            policy, task, run.folder, **settings, generations=generations, minutes=deadline.left(), resume=begun,
            init=None if begun else load_policy(run.folder / CLONE / BEST)[1], executor=run.executor,
            progress=progress and "clone, evolved", tensorboard=tensorboard,
        )  # fmt: skip


def _teach(run: Run, task: Task, minutes: float | None, progress: bool) -> None:
    """Evolve the teacher, as far as it is not done."""
    folder, plain = run.folder / TEACHER, task.plain
    train(
        MLPPolicy(plain.n_features, plain.n_actions), plain, folder, **_TEACHING, seed=run.settings.seed,
        generations=run.settings.teacher_generations, minutes=minutes, resume=(folder / CONFIG).exists(),
        executor=run.executor, progress=progress and TEACHER,
    )  # fmt: skip


def _clone(run: Run, policy: Policy, task: Task, minutes: float | None, progress: bool) -> TrainResult:
    """Clone the teacher, as far as that is not done; return the clone."""
    folder = run.folder / CLONE
    teacher = load_policy(run.folder / TEACHER / BEST)
    begun, rounds, gain = (folder / CONFIG).exists(), run.settings.clone_rounds, None
    if not begun:
        with run.signals.interruptible():
            gain = choose_gain(*teacher, task.plain, executor=run.executor)
    result = clone(
        policy, teacher, task, folder, **_CLONING, teacher_gain=gain, rounds=rounds, patience=rounds,
        seed=run.settings.seed, minutes=minutes, resume=begun, executor=run.executor, progress=progress and CLONE,
    )  # fmt: skip
    return TrainResult(
        policy, result.params, result.score, result.params, result.rounds, result.env_steps, result.run_dir
    )


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
