"""Training by evolution: ask, roll out, tell."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MAX_COUNT, MAX_NUMBERS, InputError, check_bool, check_int, import_extra
from ..executors import Executor, ExecutorLike, rollout
from ..files import MAX_BYTES, PathLike
from ..parameters import Vector, check_params
from ..policies import Policy
from ..rollout import check_fit
from ..runs.config import given, merge, name_bytes
from ..runs.deadline import Deadline
from ..runs.held_out import score_held_out
from ..runs.learner import Learner, State
from ..runs.progress import check_progress
from ..runs.run import open_run
from ..tasks import Task
from .optimizer import Optimizer
from .settings import TrainSettings

# Second part of the seed: what a run's random numbers are for.
_SAMPLES, _EPISODES = range(2)


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training run ended with.

    Attributes:
        policy: the network.
        params: the best mean of the distribution on the held-out episodes (parameter,); in best.npz.
        score: its mean return there.
        mean_params: the distribution's mean after the last generation (parameter,); in policy.npz.
        generations: done in all.
        env_steps: environment steps taken by the populations in all.
        run_dir: the run folder.

    Examples:
        >>> task = ps.CartPoleSwingUp(max_steps=50)
        >>> result = ps.train(ps.MLPPolicy(), task, "runs/mlp", generations=1, population_size=4, n_episodes=2)
        >>> result.generations, result.params.shape
        (1, (113,))
    """

    policy: Policy
    params: np.ndarray
    score: float
    mean_params: np.ndarray
    generations: int
    env_steps: int
    run_dir: Path


def train(
    policy: Policy,
    task: Task,
    run_dir: PathLike,
    *,
    generations: int = 1000,
    population_size: int | None = None,
    n_episodes: int | None = None,
    sigma0: float | None = None,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    diagonal: bool | None = None,
    seed: int | None = None,
    init: Vector | None = None,
    eval_every: int | None = None,
    n_eval_episodes: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    n_jobs: int = 1,
    executor: ExecutorLike = None,
    progress: bool | str = False,
    tensorboard: bool = False,
) -> TrainResult:
    """Train a policy on a task with CMA-ES, in a run folder that can be resumed.

    Every candidate of a generation meets the same episodes. In the first generation, and every `eval_every`
    after it, the mean of the distribution is scored on fixed held-out episodes, and the best is kept. The
    results depend on neither `n_jobs` nor interruptions.

    A setting that is not given is that of the run to resume, and else the default in brackets.

    Args:
        policy: the network.
        task: what to learn.
        run_dir: the run folder; it gets config.json, metrics.csv, checkpoint.npz, best.npz, policy.npz.
        generations: to do in all, those before a resume included.
        population_size: candidates a generation (256).
        n_episodes: episodes a candidate (16).
        sigma0: the first standard deviation of the parameters (0.1).
        sigma_max: the largest step size (no bound).
        sigma_min: the smallest (no bound).
        diagonal: whether to learn variances alone, and no covariances: faster, for many parameters (False).
        seed: of samples and episodes (0).
        init: the first mean (parameter,) (zeros).
        eval_every: generations between held-out scores (10).
        n_eval_episodes: held-out episodes (256).
        minutes: stop after this time, if the generations are not done sooner.
        resume: go on with the run in `run_dir`, if there is one.
        n_jobs: processes; -1 for one a core.
        executor: where to run: "serial", "processes", "dask:ADDRESS", or an object with `map(function, items)`.
        progress: show a progress bar; a text stands before it.
        tensorboard: write TensorBoard event files to the run folder as well.

    Returns:
        The trained policy.

    Raises:
        InputError: for impossible settings, or settings other than those of the run to resume.
        FileError: if the run folder is not one, is in use, or cannot be written.
        MissingExtraError: if TensorBoard is asked for and tensorboardX is not installed.
        TrainingInterrupted: on Ctrl-C or SIGTERM, once a checkpoint is written.

    Examples:
        >>> policy, task = ps.InvariantPolicy(), ps.CartPoleSwingUp("harder", max_steps=50)
        >>> few = {"population_size": 4, "n_episodes": 2, "n_eval_episodes": 4}  # far too few
        >>> ps.train(policy, task, "runs/few", generations=1, **few).generations
        1
        >>> ps.train(policy, task, "runs/few", generations=2, resume=True).generations
        2
    """
    asked = given(TrainSettings, locals())
    generations = check_int("generations", generations, 1, MAX_COUNT)
    deadline, progress = Deadline(minutes), check_progress(progress)
    tensorboard = check_bool("tensorboard", tensorboard)
    check_fit(policy, task)
    initial = np.zeros(policy.n_params)
    if init is not None:
        initial = check_params(init, policy.n_params)
        asked["init"] = name_bytes(initial.tobytes()) if initial.any() else TrainSettings.init

    def settle(saved: dict[str, Any]) -> TrainSettings:
        merged = merge(TrainSettings, saved, asked)
        task.check_episodes("n_episodes", merged.n_episodes)
        task.check_episodes("n_eval_episodes", merged.n_eval_episodes)
        check_covariances(policy, merged.diagonal)
        if merged.population_size * policy.n_params > MAX_NUMBERS:
            raise InputError(
                f"population_size must be at most {MAX_NUMBERS // policy.n_params:,} for a policy of "
                f"{policy.n_params:,} parameters, got {merged.population_size:,}"
            )
        return merged

    if tensorboard:
        import_extra("tensorboardX", "tensorboard")
    with open_run(run_dir, policy, task, settle, resume=resume, n_jobs=n_jobs, executor=executor) as run:
        learner = Evolution(policy, task, run.settings, initial, generations, run.executor)
        run.lead(learner, deadline, progress, tensorboard)
        return TrainResult(
            policy, run.best_params, run.best_score, learner.params, learner.done, learner.env_steps, run.folder
        )


def check_covariances(policy: Policy, diagonal: bool = False) -> None:
    """Raise InputError if a policy has more parameters than there is room for the covariances of."""
    if not diagonal and 16 * (policy.n_params + 8) ** 2 > MAX_BYTES:  # two matrices, and some vectors
        raise InputError(
            f"the covariances of {policy.n_params} parameters are too many to keep: learn variances alone, with "
            "diagonal=True (--diagonal)"
        )


class Evolution(Learner):
    """CMA-ES on a task."""

    unit = "generation"
    shown = ("mean", "max")

    def __init__(
        self,
        policy: Policy,
        task: Task,
        settings: TrainSettings,
        initial: np.ndarray,
        total: int,
        executor: Executor,
    ) -> None:
        self.policy, self.task, self.settings = policy, task, settings
        self.total, self.executor = total, executor
        self.max_overall = -np.inf
        self.optimizer = Optimizer(
            initial, settings.sigma0, settings.population_size, (settings.seed, _SAMPLES), settings.sigma_max,
            settings.sigma_min, settings.diagonal,
        )  # fmt: skip

    @property
    def params(self) -> np.ndarray:
        """The mean of the distribution (parameter,)."""
        return self.optimizer.mean

    def advance(self) -> dict[str, Any]:
        """Ask, roll out, tell, and score the mean if it is time."""
        population = self.optimizer.ask(self.done)
        start = time.monotonic()
        seed = (self.settings.seed, _EPISODES, self.done)
        result = rollout(
            self.policy, population, self.task.for_training, self.settings.n_episodes, seed, executor=self.executor
        )
        rollout_seconds = time.monotonic() - start
        scores = result.returns.mean(axis=1)
        not_finite = self.optimizer.tell(scores)
        finite = scores[np.isfinite(scores)]
        steps = int(result.lengths.sum())
        self.env_steps += steps
        self.max_overall = max([self.max_overall, *finite])
        mean = self.params
        held_out: dict[str, Any] = {"held_out": None}
        if self.done % self.settings.eval_every == 0:
            held_out = score_held_out(self.policy, mean, self.task, self.settings.n_eval_episodes, self.executor)
        self.done += 1
        return {
            "mean": float(finite.mean()) if finite.size else None,
            "max": float(finite.max()) if finite.size else None,
            "max_overall": _finite(self.max_overall),
            **held_out,
            "sigma": self.optimizer.sigma,
            "param_mean": float(mean.mean()),
            "param_std": float(mean.std()),
            "not_finite": not_finite,
            "rollout_seconds": round(rollout_seconds, 4),
            "steps_per_second": round(steps / max(rollout_seconds, 1e-9)),
        }

    def state(self) -> State:
        """Return the optimizer's state, and the largest score."""
        arrays, version = self.optimizer.state()
        return arrays, {"cma": version, "max_overall": _finite(self.max_overall)}

    def restore(self, arrays: dict[str, np.ndarray], progress: dict[str, Any]) -> None:
        """Take on a state."""
        largest = progress["max_overall"]
        self.max_overall = -np.inf if largest is None else float(largest)
        self.optimizer.restore(arrays, progress["cma"])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
