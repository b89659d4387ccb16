"""The training loop: ask, roll out, tell; metrics, held-out scores and checkpoints on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExecutorError, FileError, InputError, TaskError, check_int, check_positive, import_extra
from ..executors import Executor, ExecutorLike, open_executor, rollout
from ..files import MAX_BYTES, PathLike, save_policy
from ..parameters import check_params
from ..policies import Policy
from ..rollout import Rollout, check_fit
from ..tasks import Task
from ..tasks.base import check_seed
from . import records
from .optimizer import LARGEST_SIGMA, SMALLEST_SIGMA, Optimizer
from .progress import Progress
from .signals import Stopped, StopSignals

# Second part of the seed: what a run's random numbers are for.
_SAMPLES, _EPISODES = range(2)
# The held-out episodes are the same for every run, so that their scores compare.
HELD_OUT_SEED = (2021,)
_CHECKPOINT_SECONDS = 20.0
_HOW_TO_RESUME = "resume with the same settings and --resume (resume=True)"


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM, after writing a checkpoint.

    Attributes:
        signal_number: the signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


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
    """

    policy: Policy
    params: np.ndarray
    score: float
    mean_params: np.ndarray
    generations: int
    env_steps: int
    run_dir: Path


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a run that its results depend on, as kept in config.json."""

    population_size: int = 256
    n_episodes: int = 16
    sigma0: float = 0.1
    seed: int = 0
    eval_every: int = 10
    n_eval_episodes: int = 256
    init: str = "zeros"
    sigma_max: float = LARGEST_SIGMA
    sigma_min: float = SMALLEST_SIGMA
    diagonal: bool = False

    def __post_init__(self) -> None:
        for name, minimum in (
            ("population_size", 2), ("n_episodes", 1), ("eval_every", 1), ("n_eval_episodes", 1),
        ):  # fmt: skip
            check_int(name, getattr(self, name), minimum)
        for name in ("sigma0", "sigma_min", "sigma_max"):
            value = check_positive(name, getattr(self, name))
            if not SMALLEST_SIGMA <= value <= LARGEST_SIGMA:
                raise InputError(f"{name} must be from {SMALLEST_SIGMA} to {LARGEST_SIGMA}, got {value}")
        if not self.sigma_min <= self.sigma0 <= self.sigma_max:
            raise InputError(
                f"sigma0 must be from sigma_min = {self.sigma_min} to sigma_max = {self.sigma_max}, got {self.sigma0}"
            )
        if not isinstance(self.diagonal, bool):
            raise InputError(f"diagonal must be True or False, got {self.diagonal!r}")
        check_seed(self.seed)


def train(
    policy: Policy,
    task: Task,
    run_dir: PathLike,
    *,
    generations: int = 1000,
    population_size: int = 256,
    n_episodes: int = 16,
    sigma0: float = 0.1,
    sigma_max: float = LARGEST_SIGMA,
    sigma_min: float = SMALLEST_SIGMA,
    diagonal: bool = False,
    seed: int = 0,
    init: object = None,
    eval_every: int = 10,
    n_eval_episodes: int = 256,
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

    Args:
        policy: the network.
        task: what to learn.
        run_dir: the run folder; it gets config.json, metrics.csv, checkpoint.npz, best.npz, policy.npz.
        generations: to do in all, those before a resume included.
        population_size: candidates a generation.
        n_episodes: episodes a candidate.
        sigma0: the first standard deviation of the parameters.
        sigma_max: the largest step size.
        sigma_min: the smallest.
        diagonal: whether to learn variances alone, and no covariances: faster, for many parameters.
        seed: of samples and episodes.
        init: the first mean (parameter,); zeros if None. A resumed run needs none.
        eval_every: generations between held-out scores.
        n_eval_episodes: held-out episodes.
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
    """
    generations = check_int("generations", generations, 1)
    if minutes is not None:
        minutes = check_positive("minutes", minutes)
    check_fit(policy, task)
    initial = np.zeros(policy.n_params) if init is None else check_params(init, policy.n_params)
    name = _name_initial(initial, run_dir, resume and init is None)
    settings = Settings(
        population_size, n_episodes, sigma0, seed, eval_every, n_eval_episodes, name, sigma_max, sigma_min, diagonal
    )
    if not diagonal and 2 * initial.nbytes * len(initial) > MAX_BYTES:
        raise InputError(
            f"the covariances of {len(initial)} parameters are too many to keep: learn variances alone, with "
            "diagonal=True (--diagonal)"
        )
    if tensorboard:
        import_extra("tensorboardX", "tensorboard")
    with StopSignals() as signals, open_executor(executor, n_jobs) as opened:
        run = _Run(policy, task, settings, initial, Path(run_dir), resume, opened, signals)
        with run.lock:
            return run.train(generations, minutes, progress, tensorboard)


def _name_initial(initial: np.ndarray, run_dir: PathLike, as_before: bool) -> str:
    """Return what config.json calls the first mean; for a resumed run that was given none, what it says."""
    if as_before and (Path(run_dir) / records.CONFIG).exists():
        return str(records.read_config(run_dir)["training"].get("init"))
    return "zeros" if not initial.any() else "sha256:" + hashlib.sha256(initial.tobytes()).hexdigest()[:16]


class _Run:
    """One run under way: the optimizer, the folder, and how far it is."""

    def __init__(
        self,
        policy: Policy,
        task: Task,
        settings: Settings,
        initial: np.ndarray,
        run_dir: Path,
        resume: bool,
        executor: Executor,
        signals: StopSignals,
    ) -> None:
        self.policy, self.task, self.settings = policy, task, settings
        self.executor, self.signals = executor, signals
        config = {"policy": policy.config, "task": task.config, "training": dataclasses.asdict(settings)}
        self.folder, self.lock = records.open_run(run_dir, config, resume)
        self.optimizer = Optimizer(
            initial, settings.sigma0, settings.population_size, (settings.seed, _SAMPLES), settings.sigma_max,
            settings.sigma_min, settings.diagonal,
        )  # fmt: skip
        self.generation = 0
        self.env_steps = 0
        self.elapsed = 0.0
        self.max_overall = -np.inf
        self.best_score = -np.inf
        self.best_params = initial
        if (self.folder / records.CHECKPOINT).exists():
            self._restore()
        else:
            self._write(self._state())  # from here on the run can be resumed, and the folder is known to do

    def _restore(self) -> None:
        state, progress = records.read_checkpoint(self.folder)
        path = self.folder / records.CHECKPOINT
        try:
            self.best_params = check_params(state.pop("best_params"), self.policy.n_params)
            self.generation = check_int("generation", progress["generation"], 0)
            self.env_steps = check_int("env_steps", progress["env_steps"], 0)
            self.elapsed = check_positive("elapsed", progress["elapsed"], allow_zero=True)
            self.max_overall, self.best_score = (
                -np.inf if progress[name] is None else float(progress[name]) for name in ("max_overall", "best_score")
            )
            self.optimizer.restore(state)
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} is damaged: {error}") from None

    def train(self, generations: int, minutes: float | None, progress: bool | str, tensorboard: bool) -> TrainResult:
        deadline = None if minutes is None else time.monotonic() + 60 * minutes
        metrics = records.Metrics(self.folder, self.generation)
        board = _Board(self.folder, self.generation) if tensorboard else None
        bar = Progress(None if minutes else generations, "generation", self.generation, progress)
        last_checkpoint = time.monotonic()
        state = self._state()
        try:
            while self.generation < generations:
                try:
                    row = self._do_generation()
                except Stopped:
                    break
                metrics.write(row)
                if board is not None:
                    board.write(row)
                bar.update(mean=_short(row["mean"]), max=_short(row["max"]), held_out=_short(self.best_score))
                state = self._state()
                over = deadline is not None and time.monotonic() > deadline
                if over or time.monotonic() - last_checkpoint > _CHECKPOINT_SECONDS:
                    self._write(state)
                    last_checkpoint = time.monotonic()
                if over:
                    break
            self._write(state)
        except FileError:
            raise
        except Exception as error:
            self._write(state)
            if not isinstance(error, (ExecutorError, TaskError)):
                raise
            raise type(error)(f"{error}; a checkpoint is in {self.folder}: {_HOW_TO_RESUME}") from error
        finally:
            bar.close()
            metrics.close()
            if board is not None:
                board.close()
        received = self.signals.received
        if received is not None:
            raise TrainingInterrupted(
                f"stopped by {signal.Signals(received).name} after generation {self.generation}; "
                f"a checkpoint is in {self.folder}: {_HOW_TO_RESUME}",
                received,
            )
        return TrainResult(
            self.policy, self.best_params, self.best_score, self.optimizer.mean, self.generation, self.env_steps,
            self.folder,
        )  # fmt: skip

    def _do_generation(self) -> dict[str, Any]:
        """Ask, roll out, tell, score the mean if it is time; return the line for metrics.csv.

        It may be broken off in a rollout. The state from before it then does it again, without a trace.
        """
        start = time.monotonic()
        population = self.optimizer.ask(self.generation)
        rollout_start = time.monotonic()
        seed = (self.settings.seed, _EPISODES, self.generation)
        result = self._rollout(population, self.task.for_training, self.settings.n_episodes, seed)
        rollout_seconds = time.monotonic() - rollout_start
        scores = result.returns.mean(axis=1)
        not_finite = self.optimizer.tell(scores)
        finite = scores[np.isfinite(scores)]
        steps = int(result.lengths.sum())
        self.env_steps += steps
        self.max_overall = max([self.max_overall, *finite])
        mean = self.optimizer.mean
        held_out = None
        if self.generation % self.settings.eval_every == 0:
            held_out = self._score_mean(mean)
        self.generation += 1
        seconds = time.monotonic() - start
        self.elapsed += seconds
        return {
            "generation": self.generation,
            "env_steps": self.env_steps,
            "mean": float(finite.mean()) if finite.size else None,
            "max": float(finite.max()) if finite.size else None,
            "max_overall": float(self.max_overall) if np.isfinite(self.max_overall) else None,
            "held_out": held_out,
            "sigma": self.optimizer.sigma,
            "param_mean": float(mean.mean()),
            "param_std": float(mean.std()),
            "not_finite": not_finite,
            "seconds": round(seconds, 4),
            "rollout_seconds": round(rollout_seconds, 4),
            "steps_per_second": round(steps / max(rollout_seconds, 1e-9)),
            "elapsed": round(self.elapsed, 3),
        }

    def _rollout(self, population: np.ndarray, task: Task, n_episodes: int, seed: tuple[int, ...]) -> Rollout:
        """Roll a population out; a signal breaks it off."""
        with self.signals.interruptible():
            return rollout(self.policy, population, task, n_episodes, seed, executor=self.executor)

    def _score_mean(self, mean: np.ndarray) -> float | None:
        """Score the mean on the held-out episodes, and keep it if it is the best so far."""
        n_episodes = self.settings.n_eval_episodes
        result = self._rollout(mean[None], self.task, n_episodes, HELD_OUT_SEED)
        score = float(result.returns.mean())
        if not np.isfinite(score):
            return None
        if score > self.best_score:
            self.best_score, self.best_params = score, mean
            self._save(records.BEST, mean, self.generation + 1, score)
        return score

    def _save(self, name: str, params: np.ndarray, generation: int, score: float | None) -> None:
        save_policy(
            self.folder / name, self.policy, params, task=self.task.config, generation=generation, held_out=score,
            training=dataclasses.asdict(self.settings),
        )  # fmt: skip

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what a checkpoint of this moment holds."""
        progress = {
            "generation": self.generation,
            "env_steps": self.env_steps,
            "elapsed": self.elapsed,
            "max_overall": float(self.max_overall) if np.isfinite(self.max_overall) else None,
            "best_score": self.best_score if np.isfinite(self.best_score) else None,
        }
        return {**self.optimizer.state(), "best_params": self.best_params}, progress

    def _write(self, state: tuple[dict[str, np.ndarray], dict[str, Any]]) -> None:
        arrays, progress = state
        records.write_checkpoint(self.folder, arrays, progress)
        self._save(records.POLICY, arrays["__mean"], progress["generation"], None)


class _Board:
    """TensorBoard event files in the run folder."""

    def __init__(self, folder: Path, generation: int) -> None:
        module = import_extra("tensorboardX", "tensorboard")
        self._folder = folder / "tensorboard"
        # A queue with room for many generations: a full one would wait for a thread that may have died.
        self._writer = module.SummaryWriter(str(self._folder), purge_step=generation + 1, max_queue=2000)

    def write(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "generation" and value is not None:
                self._writer.add_scalar(name, value, row["generation"])
        if not self._events._worker.is_alive():
            raise FileError(f"cannot write to {self._folder}; the last checkpoint is unchanged")

    def close(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            self._events._worker.stop()
            self._events._closed = True  # or it would try again as the process ends, and print a traceback
            raise FileError(f"cannot write to {self._folder}: {error.strerror or error}") from error

    @property
    def _events(self) -> Any:
        return self._writer.file_writer.event_writer


def _short(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.1f}"
