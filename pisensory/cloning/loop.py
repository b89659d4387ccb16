"""The cloning loop: collect episodes, learn from them, score the student; metrics and checkpoints on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, InputError, PisensoryError, check_int, check_positive
from ..executors import Executor, ExecutorLike, open_executor, rollout
from ..files import PathLike, save_policy
from ..parameters import check_params
from ..policies import Policy
from ..rollout import check_fit
from ..tasks import Task
from ..tasks.base import check_seed
from ..train import TrainingInterrupted, records
from ..train.loop import HELD_OUT_SEED
from ..train.progress import Progress
from ..train.signals import Stopped, StopSignals
from .adam import Adam, clip, cosine_rate
from .episodes import Block, EpisodeStore, Teacher, collect
from .identify import identify

# Third part of the seed of a clone: what random numbers are for.
_INIT, _EPISODES, _ORDER, _HELD_OUT = range(4)
COLUMNS = (
    "round", "env_steps", "updates", "loss", "identify_loss", "held_out_loss", "held_out", "learning_rate", "seconds",
    "elapsed",
)  # fmt: skip
_CHECKPOINT_SECONDS = 20.0
_EPISODE_FOLDER = "episodes"


@dataclasses.dataclass(frozen=True)
class CloneResult:
    """What cloning ended with.

    Attributes:
        policy: the student's network.
        params: its vector (parameter,) that scored best on the held-out episodes; in best.npz.
        score: its mean return there.
        rounds: done in all.
        env_steps: environment steps collected in all.
        updates: steps of gradient descent in all.
        run_dir: the run folder.
    """

    policy: Policy
    params: np.ndarray
    score: float
    rounds: int
    env_steps: int
    updates: int
    run_dir: Path


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that the result of cloning depends on, as kept in config.json."""

    rounds: int = 400
    teacher_rounds: int = 16
    updates: int = 25
    batch_size: int = 64
    memory: int = 60
    window: int = 100
    learning_rate: float = 1e-3
    clip: float = 0.5
    action_noise: float = 0.03
    teacher_gain: float = 1.0
    teacher_share: float = 0.0
    identify: float = 0.0
    dagger: bool = False
    seed: int = 0
    eval_every: int = 5
    patience: int = 40
    n_eval_episodes: int = 256
    max_megabytes: int = 1024
    teacher: str = ""
    init: str = "random"

    def __post_init__(self) -> None:
        for name in (
            "rounds", "teacher_rounds", "updates", "batch_size", "memory", "window", "eval_every", "patience",
            "n_eval_episodes", "max_megabytes",
        ):  # fmt: skip
            check_int(name, getattr(self, name), 1)
        for name in ("learning_rate", "clip", "teacher_gain"):
            check_positive(name, getattr(self, name))
        for name in ("action_noise", "teacher_share", "identify"):
            check_positive(name, getattr(self, name), allow_zero=True)
        if self.teacher_share > 1:
            raise InputError(f"teacher_share must be a number from 0 to 1, got {self.teacher_share}")
        check_seed(self.seed)


def clone(
    student: Policy,
    teacher: Teacher,
    task: Task,
    run_dir: PathLike,
    *,
    init: object = None,
    minutes: float | None = None,
    resume: bool = False,
    n_jobs: int = 1,
    executor: ExecutorLike = None,
    progress: bool | str = False,
    **settings: Any,
) -> CloneResult:
    """Train a student to act as a teacher does, by back-propagation through time.

    The teacher sees the task's own inputs; the student sees them through the task's perturbation, with the
    action before each step as one of its inputs, a little noise added. In the first `teacher_rounds` rounds a
    batch of episodes is collected in which the teacher acts; later, with `dagger`, ones in which the student
    acts and the teacher says what it would have done (Ross, Gordon and Bagnell, 2011). Each round then takes
    `updates` steps of descent, each on one batch, from the beginning of its episodes on. The best student on
    held-out episodes is kept.

    Args:
        student: the network to train.
        teacher: (policy, vector), or a function from observations (episode, feature) to actions (episode,
            action) in [-1, 1].
        task: what to do; its perturbation is for the student alone.
        run_dir: the run folder; it gets config.json, metrics.csv, checkpoint.npz, best.npz, and episodes/.
        init: the first vector (parameter,); random, uniform within 1/sqrt(inputs of a layer), if None.
        minutes: stop after this time, if the rounds are not done sooner.
        resume: go on with the run in `run_dir`, if there is one.
        n_jobs: processes that score the student; -1 for one a core.
        executor: where they are scored: "serial", "processes", "dask:ADDRESS", or an object with
            `map(function, items)`.
        progress: show a progress bar; a text stands before it.
        **settings: any of rounds (400), teacher_rounds (16), updates (25 a round), batch_size (64 episodes),
            memory (60 latest batches to choose from), window (100 steps, the shortest sequence),
            learning_rate (0.001, falling to a hundredth), clip (0.5, of the gradient's norm), action_noise
            (0.03), teacher_gain (1, a factor on the teacher's outputs before their tanh; below one, a teacher
            that steers by degrees and not by bangs, which is easier to copy), dagger (False), teacher_share (0,
            how much of the actions in a student's episodes is still the teacher's, spread evenly from none in
            the first episode of a batch to this much in the last), identify (0, the weight of a second loss that
            asks each LSTM of an invariant student which of the task's inputs it is fed), seed (0), eval_every (5
            rounds), patience (40 scores without a better one end the run), n_eval_episodes (256), max_megabytes
            (1024, of the latest blocks to use).

    Returns:
        The best student.

    Raises:
        InputError: for impossible settings, a teacher or student that does not fit the task, settings other
            than those of the run to resume, or a teacher that returns anything but numbers in [-1, 1].
        FileError: if the run folder is not one, or cannot be written.
        TrainingInterrupted: on Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    if minutes is not None:
        minutes = check_positive("minutes", minutes)
    check_fit(student, task)
    name = _check_teacher(teacher, task)
    unknown = set(settings) - {field.name for field in dataclasses.fields(Settings)}
    if unknown:
        raise InputError(f"clone has no setting {sorted(unknown)[0]!r}")
    chosen = Settings(**{**settings, "teacher": name, "init": _name_initial(init, run_dir, resume)})
    if chosen.identify and not student.state_size:
        raise InputError(
            f"identify is for an invariant student, whose inputs can be shuffled: leave it out, got {student}"
        )
    teacher = _soften(teacher, chosen.teacher_gain)
    generator = np.random.default_rng(np.random.SeedSequence((chosen.seed, _INIT)))
    initial = student.initial(generator) if init is None else check_params(init, student.n_params)
    with StopSignals() as signals, open_executor(executor, n_jobs) as opened:
        run = _Run(student, teacher, task, chosen, initial, Path(run_dir), resume, opened)
        with run.lock:
            return run.train(minutes, progress, signals)


def _check_teacher(teacher: Teacher, task: Task) -> str:
    """Return a name for the teacher that tells it from others; raise InputError if it does not fit the task."""
    if callable(teacher):
        return f"function:{getattr(teacher, '__qualname__', type(teacher).__name__)}"
    try:
        policy, params = teacher
    except TypeError:
        raise InputError(f"teacher must be (policy, vector) or a function, got {teacher!r}") from None
    check_fit(policy, task.plain)
    vector = check_params(params, policy.n_params)
    described = json.dumps(policy.config, sort_keys=True).encode() + vector.tobytes()
    return "sha256:" + hashlib.sha256(described).hexdigest()[:16]


def _soften(teacher: Teacher, gain: float) -> Teacher:
    """Return the teacher with its last layer multiplied by `gain`."""
    if gain == 1:
        return teacher
    if callable(teacher):
        raise InputError(f"teacher_gain is for policies, and the teacher is a function: leave it out, got {gain}")
    policy, params = teacher
    return policy, policy.soften(params, gain)


def _name_initial(init: object, run_dir: PathLike, resume: bool) -> str:
    config = Path(run_dir) / records.CONFIG
    if init is None and resume and config.exists():
        return str(records.read_config(run_dir)["training"].get("init"))
    return "random" if init is None else "sha256:" + hashlib.sha256(np.asarray(init).tobytes()).hexdigest()[:16]


class _Run:
    """One clone under way: the student, its optimizer, the folder, and how far it is."""

    def __init__(
        self,
        student: Policy,
        teacher: Teacher,
        task: Task,
        settings: Settings,
        initial: np.ndarray,
        run_dir: Path,
        resume: bool,
        executor: Executor,
    ) -> None:
        self.student, self.teacher, self.task, self.settings = student, teacher, task, settings
        self.executor = executor
        config = {"policy": student.config, "task": task.config, "training": dataclasses.asdict(settings)}
        self.folder, self.lock = records.open_run(run_dir, config, resume)
        teacher_name = [settings.teacher, settings.teacher_gain]
        about = json.dumps([student.config, task.config, teacher_name, settings.seed], sort_keys=True)
        self.store = EpisodeStore(self.folder / _EPISODE_FOLDER, about, settings.max_megabytes * 2**20)
        # A classifier has a row of bias and weights for each of the task's inputs, and one for noise.
        self._classifier_shape = (0, 1)
        if settings.identify:
            self._classifier_shape = (task.plain.n_features + 1, 1 + student.state_size)
        # All that is learnt: the student's parameters, then the classifier's.
        self.vector = np.concatenate([initial, np.zeros(math.prod(self._classifier_shape))])
        self.adam = Adam(np.zeros(len(self.vector)), np.zeros(len(self.vector)))
        self.best_params, self.best_score = initial, -np.inf
        self.round = self.env_steps = self.updates = self.stale = 0
        self.elapsed = 0.0
        self._held_out: Block | None = None
        if (self.folder / records.CHECKPOINT).exists():
            self._restore()
        else:
            self._write()

    @property
    def params(self) -> np.ndarray:
        """The student's vector (parameter,)."""
        return self.vector[: self.student.n_params]

    @property
    def classifier(self) -> np.ndarray:
        """What tells inputs apart (class, 1 + hidden); empty if nothing does."""
        return self.vector[self.student.n_params :].reshape(self._classifier_shape)

    def train(self, minutes: float | None, progress: bool | str, signals: StopSignals) -> CloneResult:
        deadline = np.inf if minutes is None else time.monotonic() + 60 * minutes
        metrics = records.Metrics(self.folder, self.round, COLUMNS)
        bar = Progress(self.settings.rounds, "round", self.round, progress)
        last_checkpoint = time.monotonic()
        try:
            while self.round < self.settings.rounds and self.stale < self.settings.patience:
                before = self._snapshot()
                try:
                    with signals.interruptible():
                        row = self._learn()
                except Stopped:
                    self._restore_snapshot(before)
                    break
                except PisensoryError:
                    self._restore_snapshot(before)
                    with contextlib.suppress(FileError):  # of a full disk: the last checkpoint stays
                        self._write()
                    raise
                metrics.write(row)
                bar.update(loss=f"{row['loss']:.3f}", held_out=f"{self.best_score:.1f}")
                over = time.monotonic() > deadline
                if over or self.store.is_full(self.round) or time.monotonic() - last_checkpoint > _CHECKPOINT_SECONDS:
                    self._write()
                    last_checkpoint = time.monotonic()
                if over:
                    break
            self._write()
        finally:
            bar.close()
            metrics.close()
        if signals.received is not None:
            raise TrainingInterrupted(
                f"stopped by {signal.Signals(signals.received).name} after round {self.round}; a checkpoint is in "
                f"{self.folder}: resume with the same settings and --resume (resume=True)",
                signals.received,
            )
        return CloneResult(
            self.student,
            self.best_params,
            float(self.best_score),
            self.round,
            self.env_steps,
            self.updates,
            self.folder,
        )

    def _learn(self) -> dict[str, Any]:
        """Do one round, and return its line for metrics.csv."""
        start = time.monotonic()
        settings = self.settings
        if self.round < settings.teacher_rounds or settings.dagger:
            driver = None if self.round < settings.teacher_rounds else (self.student, self.params)
            seed = (settings.seed, _EPISODES, self.round)
            block = collect(
                self.teacher, driver, self.task, settings.batch_size, seed, settings.teacher_share,
                with_sources=bool(settings.identify),
            )  # fmt: skip
            self.store.write(self.round, block)
            self.env_steps += int(block.alive.sum())
        generator = np.random.default_rng(np.random.SeedSequence((settings.seed, _ORDER, self.round)))
        rate = cosine_rate(settings.learning_rate, self.round / settings.rounds)
        numbers = self.store.numbers(self.round + 1)[-settings.memory :]
        losses = np.mean(
            [
                self._learn_from(self._choose_block(numbers, generator), rate, generator)
                for _ in range(settings.updates)
            ],
            axis=0,
        )
        held_out_loss = held_out = None
        if self.round % settings.eval_every == 0:
            held_out_loss, held_out = self._score()
        self.round += 1
        seconds = time.monotonic() - start
        self.elapsed += seconds
        return {
            "round": self.round, "env_steps": self.env_steps, "updates": self.updates, "loss": float(losses[0]),
            "identify_loss": float(losses[1]) if settings.identify else None, "held_out_loss": held_out_loss,
            "held_out": held_out, "learning_rate": rate, "seconds": round(seconds, 4),
            "elapsed": round(self.elapsed, 3),
        }  # fmt: skip

    def _learn_from(self, block: Block, rate: float, generator: np.random.Generator) -> tuple[float, float]:
        """Take one step of descent on a block, or on the beginning of it.

        Returns the mean squared error, and the cross-entropy of telling inputs apart.

        The beginning is where skill is won or lost, and short sequences are cheap: lengths are drawn
        log-uniformly, from `window` steps to the whole.
        """
        n_steps = len(block.alive)
        if n_steps > self.settings.window:
            n_steps = round(self.settings.window * (n_steps / self.settings.window) ** generator.random())
        block = Block(*(getattr(block, field.name)[:n_steps] for field in dataclasses.fields(Block)))
        noise = self.settings.action_noise * generator.standard_normal(block.previous_actions.shape)
        previous = np.clip(block.previous_actions + noise, -1, 1).astype(np.float32)
        unrolled = self.student.unroll(self.params, block.observations[:, :, None], previous)
        difference = (unrolled.actions - block.labels) * block.alive[:, None]
        n_actions = int(block.alive.sum()) * difference.shape[1]
        loss, d_hidden, d_classifier = 0.0, None, self.classifier
        if self.settings.identify and unrolled.hidden is not None:
            loss, d_classifier, d_hidden = identify(self.classifier, unrolled.hidden, block.sources, block.alive)
            d_classifier, d_hidden = self.settings.identify * d_classifier, self.settings.identify * d_hidden
        gradient = unrolled.gradient(2 * difference / n_actions, d_hidden)
        gradient = clip(np.concatenate([gradient, d_classifier.ravel()]), self.settings.clip)
        self.vector = self.adam.step(self.vector, gradient, rate)
        self.updates += 1
        return float((difference**2).sum()) / n_actions, loss

    def _choose_block(self, numbers: list[int], generator: np.random.Generator) -> Block:
        """Return the last of these blocks a third of the time, and else any of them.

        What the student did long ago is no longer what it does: all blocks alike would teach it to recover
        from mistakes that it has ceased to make.
        """
        latest = generator.random() < 1 / 3
        return self.store.read(numbers[-1] if latest else int(generator.choice(numbers)))

    def _score(self) -> tuple[float, float | None]:
        """Return the loss and the mean return on held-out episodes; keep the student if it is the best."""
        settings = self.settings
        if self._held_out is None:
            seed = (settings.seed, _HELD_OUT)
            self._held_out = collect(self.teacher, None, self.task, settings.batch_size, seed)
        loss = self._held_out_loss(self._held_out)
        result = rollout(
            self.student, self.params[None], self.task, settings.n_eval_episodes, HELD_OUT_SEED, executor=self.executor
        )
        score = float(result.returns.mean())
        self.stale += 1
        if np.isfinite(score) and score > self.best_score:
            self.best_score, self.best_params, self.stale = score, self.params, 0
            save_policy(
                self.folder / records.BEST, self.student, self.params, task=self.task.config, round=self.round + 1,
                held_out=score, training=dataclasses.asdict(settings),
            )  # fmt: skip
        return loss, score if np.isfinite(score) else None

    def _held_out_loss(self, block: Block) -> float:
        observations = block.observations[:, :, None]
        actions = self.student.unroll(self.params, observations, block.previous_actions).actions
        errors = ((actions - block.labels) * block.alive[:, None]) ** 2
        return float(errors.sum()) / (int(block.alive.sum()) * block.labels.shape[1])

    def _snapshot(self) -> tuple[Any, ...]:
        adam = Adam(self.adam.first, self.adam.second, self.adam.count)
        return (
            self.vector, adam, self.round, self.elapsed, self.env_steps, self.updates, self.stale, self.best_params,
            self.best_score,
        )  # fmt: skip

    def _restore_snapshot(self, snapshot: tuple[Any, ...]) -> None:
        (
            self.vector, self.adam, self.round, self.elapsed, self.env_steps, self.updates, self.stale,
            self.best_params, self.best_score,
        ) = snapshot  # fmt: skip

    def _write(self) -> None:
        arrays = {
            "params": self.vector, "best_params": self.best_params,
            "first": self.adam.first, "second": self.adam.second,
        }  # fmt: skip
        progress = {
            "round": self.round, "env_steps": self.env_steps, "updates": self.updates, "stale": self.stale,
            "count": self.adam.count, "elapsed": self.elapsed, "blocks": self.store.numbers(self.round),
            "best_score": self.best_score if np.isfinite(self.best_score) else None,
        }  # fmt: skip
        records.write_checkpoint(self.folder, arrays, progress)
        self.store.prune(self.round)

    def _restore(self) -> None:
        arrays, progress = records.read_checkpoint(self.folder)
        size = self.student.n_params
        try:
            self.vector, first, second = (
                check_params(arrays[name], len(self.vector)) for name in ("params", "first", "second")
            )
            self.best_params = check_params(arrays["best_params"], size)
            counts = {
                name: check_int(name, progress[name], 0) for name in ("round", "env_steps", "updates", "stale", "count")
            }
            self.round, self.env_steps = counts["round"], counts["env_steps"]
            self.updates, self.stale = counts["updates"], counts["stale"]
            self.adam = Adam(first, second, counts["count"])
            self.elapsed = check_positive("elapsed", progress["elapsed"], allow_zero=True)
            self.best_score = -np.inf if progress["best_score"] is None else float(progress["best_score"])
            blocks = [check_int("blocks", number, 0) for number in progress["blocks"]]
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{self.folder / records.CHECKPOINT} is damaged: {error}") from None
        for number in set(blocks) - set(self.store.numbers(self.round)):
            raise FileError(f"{self.store.path(number)} is missing, and the run needs it: clone in another folder")
