"""Behavioural cloning: collect episodes, learn from them, score the student."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, check_int, show
from ..executors import ExecutorLike, OpenExecutor
from ..files import PathLike
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
from ..teachers import Teacher
from .adam import Adam, clip, cosine_rate
from .episodes import AnyTeacher, Batch, EpisodeStore, collect, draw_windows, occlude
from .lesson import Lesson, study_together
from .settings import CloneSettings

# Third part of the seed of a clone: what random numbers are for.
_INIT, _EPISODES, _ORDER, _HELD_OUT, _PART = range(5)
_EPISODE_FOLDER = "episodes"
_HELD_OUT_STEPS = 512  # on which the loss on held-out episodes is, of pictures


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

    Examples:
        >>> task = ps.CartPoleSwingUp(max_steps=50)
        >>> few = {"rounds": 1, "teacher_rounds": 1, "updates": 1, "batch_size": 4, "n_eval_episodes": 4}
        >>> result = ps.clone(ps.InvariantPolicy(), ps.load_model("cartpole-mlp"), task, "runs/clone", **few)
        >>> result.rounds, result.params.shape
        (1, (913,))
    """

    policy: Policy
    params: np.ndarray
    score: float
    rounds: int
    env_steps: int
    updates: int
    run_dir: Path


def clone(
    student: Policy,
    teacher: AnyTeacher,
    task: Task,
    run_dir: PathLike,
    *,
    rounds: int | None = None,
    teacher_rounds: int | None = None,
    updates: int | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
    window: int | None = None,
    windows: int | None = None,
    beginnings: float | None = None,
    occlusion: float | None = None,
    least_occlusion: float | None = None,
    tries: int | None = None,
    margin: float | None = None,
    stakes: float | None = None,
    learning_rate: float | None = None,
    clip: float | None = None,
    average: float | None = None,
    action_noise: float | None = None,
    teacher_gain: float | None = None,
    dagger: bool | None = None,
    teacher_share: float | None = None,
    identify: float | None = None,
    matching: float | None = None,
    seed: int | None = None,
    eval_every: int | None = None,
    patience: int | None = None,
    n_eval_episodes: int | None = None,
    max_megabytes: int | None = None,
    init: Vector | None = None,
    minutes: float | None = None,
    resume: bool = False,
    n_jobs: int = 1,
    executor: ExecutorLike = None,
    progress: bool | str = False,
) -> CloneResult:
    """Train a student to act as a teacher does, by back-propagation through time.

    The teacher sees the task's own inputs; the student sees them through the task's perturbation, with the
    action before each step as one of its inputs, a little noise added. In the first `teacher_rounds` rounds a
    batch of episodes is collected in which the teacher acts; later, with `dagger`, ones in which the student
    acts and the teacher says what it would have done (Ross, Gordon and Bagnell, 2011). Each round then takes
    `updates` steps of descent, each on one batch, from the beginning of its episodes on, or with `windows` on
    sequences from anywhere in them. The best student on held-out episodes is kept. Of a mixture of tasks, each round
    collects episodes of one part, drawn by its weight.

    A setting that is not given is that of the run to resume, and else the default in brackets.

    Args:
        student: the network to train.
        teacher: (policy, vector), or a function from observations (episode, feature), or (episode, feature, channel)
            where there are several channels, to actions (episode, action) in [-1, 1]; or one of `pisensory.teachers`,
            which sees the task's simulator.
        task: what to do; its perturbation is for the student alone.
        run_dir: the run folder; it gets config.json, metrics.csv, checkpoint.npz, best.npz, policy.npz, and episodes/.
        rounds: of collecting and learning (400).
        teacher_rounds: in which the teacher acts (16).
        updates: steps of descent a round (25).
        batch_size: episodes a batch (64; of pictures 8).
        memory: latest batches to choose from (60).
        window: the shortest sequence, in steps (100; 30 for a student with a memory that sees pictures).
        windows: how many sequences a step of descent takes, each of just `window` steps, that begin anywhere in the
            episodes of a batch, with the state that the student had there; 0 for whole episodes from their beginning,
            of lengths from `window` on (0; 64 of one step for a student without memory that sees pictures, 16
            for one with a memory).
        beginnings: the part of them that are beginnings of episodes all the same, where skill is won or lost (0.2).
        occlusion: the largest share of the inputs that a step of descent leaves out: each draws a share up to this,
            and each of its sequences which; for a student of any number of inputs. One without memory that sees
            pictures learns from what the task's perturbation removed too: that was for it to act without (0).
        least_occlusion: the smallest share that it draws (0).
        tries: with occlusion, how often each sequence draws which inputs it leaves out; the draw that the student is
            most wrong with is learnt from (1).
        margin: for tasks in which the largest output is what is done: how far the teacher's is to be ahead of each
            other one of the student's, or as far as among the teacher's own, if that is less. It then learns from what
            is not as far ahead, and no longer to put out what the teacher does. 0 for that (0).
        stakes: for such tasks, and with windows: the part of the sequences that begin where what is done matters, drawn
            by how far the largest of the teacher's outputs is ahead of the next there; the others anywhere (0).
        learning_rate: at first; it falls to a hundredth (0.001).
        clip: the longest gradient (0.5).
        average: how much of a running average of the student is that of the step before, such as 0.995; the average is
            what is scored and kept, and the student that acts and learns stays what it is. 0 for no average (0).
        action_noise: added to the previous actions (0.03).
        teacher_gain: a factor on the teacher's outputs before their tanh; below one, a teacher that steers by degrees
            and not by bangs, which is easier to copy (1).
        dagger: whether the student acts after the first rounds (False).
        teacher_share: how much of the actions in its episodes is still the teacher's, spread evenly from none in the
            first episode of a batch to this much in the last (0).
        identify: the weight of a second loss that asks each LSTM of a student which of the task's inputs it is fed (0).
        matching: the weight of another, where the task has a random layer: the mean squared difference of what the
            student's last layer sees, or its LSTMs remember, with the layer and without (0.002).
        seed: of everything random (0).
        eval_every: rounds between held-out scores (5).
        patience: scores without a better one that end the run (40).
        n_eval_episodes: held-out episodes (256).
        max_megabytes: of the latest batches are used (1024).
        init: the first vector (parameter,) (random, uniform within 1/sqrt(inputs of a layer)).
        minutes: stop after this time, if the rounds are not done sooner.
        resume: go on with the run in `run_dir`, if there is one.
        n_jobs: processes that live through episodes and score the student, and of which two share each long step of
            descent; -1 for one a core.
        executor: where it is scored: "serial", "processes", "dask:ADDRESS", or an object with
            `map(function, items)`.
        progress: show a progress bar; a text stands before it.

    Returns:
        The best student.

    Raises:
        InputError: for impossible settings, a teacher or student that does not fit the task, settings other
            than those of the run to resume, or a teacher that returns anything but numbers in [-1, 1].
        FileError: if the run folder is not one, is in use, or cannot be written.
        TrainingInterrupted: on Ctrl-C or SIGTERM, once a checkpoint is written.

    Examples:
        >>> task = ps.CartPoleSwingUp("harder", max_steps=50, perturbation=ps.Perturbation(shuffle=True))
        >>> few = {"rounds": 2, "teacher_rounds": 1, "updates": 2, "batch_size": 4, "n_eval_episodes": 4}
        >>> teacher = ps.load_model("cartpole-mlp")
        >>> result = ps.clone(ps.InvariantPolicy(), teacher, task, "runs/clone", dagger=True, **few)
        >>> result.rounds
        2
    """
    asked = given(CloneSettings, locals())
    deadline, progress = Deadline(minutes), check_progress(progress)
    check_fit(student, task, "student")
    asked["teacher"] = _name_teacher(teacher, task)
    start = None if init is None else check_params(init, student.n_params)
    if start is not None:
        asked["init"] = name_bytes(start.tobytes())

    def settle(saved: dict[str, Any]) -> CloneSettings:
        merged = merge(CloneSettings, saved or _usual(student, task), asked)
        task.check_episodes("n_eval_episodes", merged.n_eval_episodes)
        _check_student(student, task, merged)
        soften(teacher, merged.teacher_gain)
        return merged

    with open_run(run_dir, student, task, settle, resume=resume, n_jobs=n_jobs, executor=executor) as run:
        learner = Cloning(student, teacher, task, run.settings, start, run.executor, run.folder / _EPISODE_FOLDER)
        run.lead(learner, deadline, progress)
        return CloneResult(
            student, run.best_params, run.best_score, learner.done, learner.env_steps, learner.updates, run.folder
        )


def _usual(student: Policy, task: Task) -> dict[str, int]:
    """Return the settings that are not the usual ones for such a student of such a task."""
    pictures = task.senses.whole
    steps = {"windows": 16, "window": 30} if student.state_size else {"windows": 64, "window": 1}
    return {"batch_size": 8, **steps} if pictures else {}


def _check_student(student: Policy, task: Task, settings: CloneSettings) -> None:
    """Raise InputError if a student cannot be taught like that."""
    params = np.zeros(student.n_params)
    student.unroll(params, np.zeros((1, task.n_features, task.n_channels, 1)))
    for one in task.tasks:
        one.randomized(np.zeros((1, one.n_features, one.n_channels, 1)), np.random.default_rng(0))
    if settings.occlusion:
        try:
            student.unroll(params, np.zeros((1, max(1, task.n_features - 1), task.n_channels, 1)))
        except InputError as error:
            raise InputError(f"with occlusion, inputs are left out: {error}") from None
    if settings.least_occlusion > settings.occlusion:
        raise InputError(
            f"least_occlusion must be at most occlusion, which is {settings.occlusion}, got {settings.least_occlusion}"
        )
    if settings.tries > 1 and not settings.occlusion:
        raise InputError(f"tries is for occlusion, which is 0: leave it out, got {settings.tries}")
    for name in ("margin", "stakes"):
        value = getattr(settings, name)
        if value and not all(one.takes_largest for one in task.tasks):
            raise InputError(
                f"{name} is for tasks in which the largest output is what is done: leave it out, got {value}"
            )
    if settings.stakes and not settings.windows:
        raise InputError(f"stakes is for windows, which is 0: leave it out, got {settings.stakes}")
    if settings.identify and not student.state_size:
        raise InputError(f"identify is for a student with a state for each of its inputs: leave it out, got {student}")


def _name_teacher(teacher: AnyTeacher, task: Task) -> str:
    """Return a name for the teacher that tells it from others; raise InputError if it does not fit the task."""
    if isinstance(teacher, Teacher):
        for one in task.tasks:
            if one.kind != teacher.task:
                raise InputError(f"the teacher {teacher.kind!r} is for the task {teacher.task!r}, got {one.label!r}")
        return json.dumps(teacher.config, sort_keys=True)
    if callable(teacher):
        return f"function:{getattr(teacher, '__qualname__', type(teacher).__name__)}"
    if not isinstance(teacher, (tuple, list)) or len(teacher) != 2:
        raise InputError(
            f"teacher must be (policy, vector), a function, or one of pisensory.teachers, got {show(teacher)}"
        )
    policy, params = teacher
    check_fit(policy, task.plain, "the teacher's policy")
    vector = check_params(params, policy.n_params)
    return name_bytes(json.dumps(policy.config, sort_keys=True).encode() + vector.tobytes())


def soften(teacher: AnyTeacher, gain: float) -> AnyTeacher:
    """Return the teacher with its last layer multiplied by `gain`."""
    if gain == 1:
        return teacher
    if callable(teacher):
        raise InputError(f"teacher_gain is for policies, and the teacher is a function: leave it out, got {gain}")
    policy, params = teacher
    return policy, policy.soften(params, gain)


class Cloning(Learner):
    """A student under a teacher: its vector, the optimizer of that, and the episodes it learns from."""

    unit = "round"
    shown = ("loss",)

    def __init__(
        self,
        student: Policy,
        teacher: AnyTeacher,
        task: Task,
        settings: CloneSettings,
        start: np.ndarray | None,
        executor: OpenExecutor,
        folder: Path,
    ) -> None:
        self.policy, self.task, self.settings, self.executor = student, task, settings, executor
        self.teacher = soften(teacher, settings.teacher_gain)
        self.total, self.patience = settings.rounds, settings.patience
        n_sources = len(task.senses.names)
        about = [student.config, task.config, [settings.teacher, settings.teacher_gain], settings.seed]
        self.store = EpisodeStore(folder, json.dumps(about, sort_keys=True), settings.max_megabytes * 2**20, n_sources)
        # A classifier has a row of bias and weights for each of the task's inputs, and one for noise.
        self._classifier_shape = (n_sources + 1, 1 + student.state_size) if settings.identify else (0, 1)
        if start is None:
            start = student.initial(np.random.default_rng(np.random.SeedSequence((settings.seed, _INIT))))
        # All that is learnt: the student's parameters, then the classifier's.
        self.vector = np.concatenate([start, np.zeros(math.prod(self._classifier_shape))])
        self.mean = self.vector[: student.n_params]
        self.adam = Adam(np.zeros(len(self.vector)), np.zeros(len(self.vector)))
        self.updates = 0
        self._held_out: Batch | None = None

    @property
    def params(self) -> np.ndarray:
        """The student's vector (parameter,), averaged."""
        return self.mean

    @property
    def student(self) -> np.ndarray:
        """The vector (parameter,) of the student that acts and learns."""
        return self.vector[: self.policy.n_params]

    @property
    def classifier(self) -> np.ndarray:
        """What tells inputs apart (class, 1 + hidden); empty if nothing does."""
        return self.vector[self.policy.n_params :].reshape(self._classifier_shape)

    @property
    def needs_checkpoint(self) -> bool:
        """Whether episodes that are no longer used fill the disk."""
        return self.store.is_full

    def advance(self) -> dict[str, Any]:
        """Collect, learn, and score the student if it is time."""
        settings = self.settings
        if self.done < settings.teacher_rounds or settings.dagger:
            shares = (1.0, 1.0) if self.done < settings.teacher_rounds else (0.0, settings.teacher_share)
            part = np.random.default_rng(np.random.SeedSequence((settings.seed, _PART, self.done))).random()
            batch = collect(
                self.teacher, (self.policy, self.student), self.task.choose(part), settings.batch_size,
                (settings.seed, _EPISODES, self.done), shares, bool(settings.identify),
                self._stride if settings.windows else 0, self.executor, self._learns_from_removed,
            )  # fmt: skip
            self.store.write(self.done, batch)
            self.env_steps += int(batch.alive.sum())
        generator = np.random.default_rng(np.random.SeedSequence((settings.seed, _ORDER, self.done)))
        rate = cosine_rate(settings.learning_rate, self.done / settings.rounds)
        numbers = self.store.numbers[-settings.memory :]
        losses = np.mean(
            [
                self._learn_from(self._choose_batch(numbers, generator), rate, generator)
                for _ in range(settings.updates)
            ],
            axis=0,
        )
        held_out_loss, held_out = None, {"held_out": None}
        if self.done % settings.eval_every == 0:
            held_out_loss = self._held_out_loss()
            held_out = score_held_out(self.policy, self.params, self.task, settings.n_eval_episodes, self.executor)
        self.done += 1
        return {
            "updates": self.updates,
            "loss": float(losses[0]),
            "identify_loss": float(losses[1]) if settings.identify else None,
            "held_out_loss": held_out_loss,
            **held_out,
            "learning_rate": rate,
        }

    @property
    def _stride(self) -> int:
        """After how many steps a window may begin, and again."""
        return max(1, self.settings.window // 2)

    @property
    def _learns_from_removed(self) -> bool:
        """Whether occlusion chooses anew from all inputs, with those that were removed as the student acted."""
        return self.settings.occlusion > 0 and not self.policy.state_size

    def _choose_batch(self, numbers: list[int], generator: np.random.Generator) -> Batch:
        """Return the last of these batches a third of the time, and else any of them.

        What the student did long ago is no longer what it does: all batches alike would teach it to recover
        from mistakes that it has ceased to make.
        """
        latest = generator.random() < 1 / 3
        return self.store.read(numbers[-1] if latest else int(generator.choice(numbers)))

    def _learn_from(self, batch: Batch, rate: float, generator: np.random.Generator) -> tuple[float, float]:
        """Take one step of descent on a batch, or on the beginning of it.

        Returns the mean squared error, and the cross-entropy of telling inputs apart.

        The beginning is where skill is won or lost, and short sequences are cheap: lengths are drawn
        log-uniformly, from `window` steps to the whole. Where sequences may begin anywhere, a part of them does there.
        """
        n_steps, state = len(batch.alive), None
        if self.settings.windows:
            batch, state = draw_windows(
                batch,
                self.settings.windows,
                self.settings.window,
                self._stride,
                self.settings.beginnings,
                generator,
                self.task.senses.n_frames,
                self.settings.stakes,
            )
        elif n_steps > self.settings.window:
            batch = batch.beginning(
                round(self.settings.window * (n_steps / self.settings.window) ** generator.random())
            )
        plain, shown = None, self.task.randomized(batch.observations, generator)
        if shown is not None:
            plain, batch = batch.observations, dataclasses.replace(batch, observations=shown)
        if self.settings.occlusion:
            plain = None
            share = generator.uniform(self.settings.least_occlusion, self.settings.occlusion)
            batch, state = occlude(batch, state, share, generator, self.settings.tries)
        noise = self.settings.action_noise * generator.standard_normal(batch.previous_actions.shape)
        previous = np.clip(batch.previous_actions + noise, -1, 1).astype(np.float32)
        lesson = Lesson(
            self.policy, self.student, self.classifier, self.settings.identify, batch.observations, previous,
            batch.labels, batch.alive, batch.sources, state, int(batch.alive.sum()) // self.settings.tries,
            self.settings.matching, plain, self.settings.margin, self.settings.tries,
        )  # fmt: skip
        outcome = study_together(lesson, self.executor)
        gradient = clip(outcome.gradient, self.settings.clip)
        self.vector = self.adam.step(self.vector, gradient, rate)
        self.mean = self.student + self.settings.average * (self.mean - self.student)
        self.updates += 1
        return outcome.loss, outcome.identify_loss

    def _held_out_loss(self) -> float:
        """Return the loss on episodes of the teacher's from which nothing is learnt."""
        if self._held_out is None:
            self._held_out = collect(
                self.teacher, (self.policy, self.params), self.task.choose(0), self.settings.batch_size,
                (self.settings.seed, _HELD_OUT),
            )  # fmt: skip
        batch = self._held_out
        if len(batch.newest) and self.policy.state_size:
            actions = self._watch(batch)
        else:
            if len(batch.newest):
                generator = np.random.default_rng(np.random.SeedSequence((self.settings.seed, _HELD_OUT)))
                batch, _ = draw_windows(batch, _HELD_OUT_STEPS, 1, 1, 0.0, generator, self.task.senses.n_frames)
            actions = self.policy.unroll(self.params, batch.observations, batch.previous_actions).actions
        errors = ((actions - batch.labels) * batch.alive[:, None]) ** 2
        return float(errors.sum()) / (int(batch.alive.sum()) * batch.labels.shape[1])

    def _watch(self, batch: Batch) -> np.ndarray:
        """Return what the student answers (step, action, episode) to whole episodes of pictures, a window at a time."""
        n_steps, n_episodes = batch.alive.shape
        episodes, state, answers = np.arange(n_episodes), None, []
        for start in range(0, n_steps, self.settings.window):
            steps = np.arange(start, min(start + self.settings.window, n_steps))
            seen = batch.look(np.repeat(steps[:, None], n_episodes, axis=1), episodes, self.task.senses.n_frames)
            unrolled = self.policy.unroll(self.params, seen, batch.previous_actions[steps], state)
            answers.append(unrolled.actions)
            state = unrolled.state
        return np.concatenate(answers)

    def state(self) -> State:
        """Return all that is learnt, the optimizer's moments, and which batches are in use."""
        arrays = {"params": self.vector, "mean": self.mean, "first": self.adam.first, "second": self.adam.second}
        return arrays, {"updates": self.updates, "count": self.adam.count, "blocks": self.store.numbers}

    def restore(self, arrays: dict[str, np.ndarray], progress: dict[str, Any]) -> None:
        """Take on a state."""
        self.vector, first, second = (
            check_params(arrays[name], len(self.vector)) for name in ("params", "first", "second")
        )
        self.mean = check_params(arrays["mean"], self.policy.n_params)
        self.adam = Adam(first, second, check_int("count", progress["count"], 0))
        self.updates = check_int("updates", progress["updates"], 0)
        if self.done and not progress["blocks"]:
            raise ValueError("it names no episodes to learn from")
        self.store.restore([check_int("blocks", number, 0) for number in progress["blocks"]])

    def saved(self) -> None:
        """Delete the episodes that are no longer in use."""
        self.store.prune()
