"""What a student learns from: episodes with a teacher's actions, collected in batches and kept on disk."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Union

import numpy as np

from ..errors import FileError, InputError
from ..executors import OpenExecutor, SerialExecutor
from ..files import MAX_BYTES, header_array, is_temporary, make_folder, map_npz, read_header, write_npz
from ..policies import Policy
from ..policies.base import State
from ..rollout import Chunk, Step, live, single_chunk
from ..tasks import Task
from ..tasks.base import Seed
from ..tasks.perturbation import count_left
from ..teachers import Teacher

_FORMAT = "pisensory-episodes"
_LEAST_ROWS = 4  # of a batch, as far as there are episodes, for workers to share, however many of them there are
_MOST_HELD = 512  # batches whose files are open
_TOLD = ("previous_actions", "labels", "alive", "sources")  # of a batch, of each step beside what was seen
_FILE_NAME = re.compile(r"block-(\d{6,})\.npz")

TeacherFunction = Callable[[np.ndarray], np.ndarray]
AnyTeacher = Union["tuple[Policy, np.ndarray]", TeacherFunction, Teacher]


def _no_pictures() -> np.ndarray:
    return np.empty((0, 0, 0, 0), np.uint8)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Episodes collected together.

    Attributes:
        observations: what the student saw (step, feature, channel, episode), float32; without features if it is made
            of `newest` and `sources`.
        previous_actions: the action before each step, as taken (step, action, episode), float32.
        labels: the teacher's actions (step, action, episode), float32.
        alive: whether the step was part of the episode (step, episode).
        sources: which of the task's inputs the student saw (step, feature, episode), int16; the number after the
            last one for an input of noise. Without features if it was not asked for.
        states: what the student remembered before some steps, the first and every so many on (mark, array, feature,
            channel, episode), float32. Without marks if it was not asked for.
        newest: what the task itself showed in its last frame (step, episode, feature, channel), uint8, the episode
            before the feature, so that a frame lies in one piece; of pictures that the student sees but in another
            order. Without steps otherwise.
    """

    observations: np.ndarray
    previous_actions: np.ndarray
    labels: np.ndarray
    alive: np.ndarray
    sources: np.ndarray
    states: np.ndarray
    newest: np.ndarray = dataclasses.field(default_factory=_no_pictures)

    def beginning(self, n_steps: int) -> Batch:
        """Return the first steps of the episodes."""
        return Batch(*(getattr(self, field.name)[:n_steps] for field in dataclasses.fields(self)))

    def look(self, steps: np.ndarray, episodes: np.ndarray, n_frames: int) -> np.ndarray:
        """Return what the student saw at some moments (step, feature, channel, sequence), float32.

        Args:
            steps: of the moments (step, sequence).
            episodes: of the sequences (sequence,).
            n_frames: steps that the channels of the task tell of, where they are made of `newest`.
        """
        if not len(self.newest):
            return _cut(self.observations, steps, episodes)
        # As `PerturbedRun` has it: each frame shows what its place heard in its step, and at the start the first.
        frames = []
        for ago in reversed(range(n_frames)):
            at = np.maximum(steps - ago, 0)
            places = self.sources[at, :, episodes]
            frames.append(self.newest[at[..., None], np.expand_dims(episodes, -1), places])
        seen = np.concatenate(frames, axis=-1, dtype=np.float32)
        return np.moveaxis(seen, 1, -1)


def _cut(array: np.ndarray, steps: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """Return an array (step, ..., episode) at moments (step, sequence) of episodes (sequence,), contiguous."""
    return np.ascontiguousarray(np.moveaxis(array[steps, ..., episodes], 1, -1))


def draw_windows(
    batch: Batch,
    n_windows: int,
    length: int,
    stride: int,
    beginnings: float,
    generator: np.random.Generator,
    n_frames: int = 1,
    stakes: float = 0.0,
) -> tuple[Batch, State | None]:
    """Return sequences of `length` steps, each from a random mark of a random episode that is alive there, as a batch.

    A part of them, `beginnings`, are the beginnings of episodes, where skill is won or lost; but none of sequences of
    one step, which are for students without memory. A part of them, `stakes`, are from marks drawn by how far the
    largest label is ahead of the next there.

    Returns:
        The sequences, and the states that the student began them with, each (feature, channel, sequence).
    """
    marks, episodes = np.nonzero(batch.alive[::stride])
    chosen = generator.integers(len(marks), size=n_windows)
    if stakes:
        *_, next_label, largest = np.sort(batch.labels[::stride], axis=1).swapaxes(0, 1).astype(float)
        ahead = (largest - next_label)[marks, episodes]
        if ahead.any():
            n_drawn = round(stakes * n_windows)
            chosen[:n_drawn] = generator.choice(len(marks), n_drawn, p=ahead / ahead.sum())
    marks, episodes = marks[chosen], episodes[chosen]
    first = generator.random(n_windows) < (beginnings if length > 1 else 0)
    marks[first] = 0
    episodes[first] = generator.integers(batch.alive.shape[1], size=int(first.sum()))
    steps = marks * stride + np.arange(length)[:, None]
    inside, steps = steps < len(batch.alive), np.minimum(steps, len(batch.alive) - 1)
    cut = {name: _cut(getattr(batch, name), steps, episodes) for name in _TOLD}
    window = Batch(batch.look(steps, episodes, n_frames), states=batch.states[:0], **cut)
    window.alive[~inside] = False
    if not len(batch.states):
        return window, None
    states = np.moveaxis(batch.states[marks, ..., episodes], 0, -1)
    return window, tuple(np.ascontiguousarray(state) for state in states) or None


def occlude(
    batch: Batch, state: State | None, share: float, generator: np.random.Generator, tries: int = 1
) -> tuple[Batch, State | None]:
    """Return sequences without a share of their features, others in each, with what the student remembers of the rest.

    Args:
        batch: the sequences, with what the student saw in them.
        state: at their beginning, each (feature, channel, sequence).
        share: to leave out; one feature is always left.
        generator: draws which.
        tries: how often of each sequence; these stand side by side.
    """
    seen = np.moveaxis(batch.observations, -1, 1)  # pictures lie in memory like that
    _, n_sequences, n_features, _ = seen.shape
    n_left = count_left(n_features, share)
    order = np.argsort(generator.random((tries, n_sequences, n_features)), axis=-1)
    kept = np.sort(order[..., :n_left], axis=-1).swapaxes(0, 1).reshape(-1, n_left)
    chosen = np.repeat(np.arange(n_sequences), tries)
    rest = {name: np.ascontiguousarray(getattr(batch, name)[..., chosen]) for name in _TOLD}
    if batch.sources.shape[1]:
        rest["sources"] = np.take_along_axis(rest["sources"], kept.T[None], axis=1)
    if state is not None:
        state = tuple(np.take_along_axis(array[..., chosen], kept.T[:, None], axis=0) for array in state)
    seen = seen[:, chosen[:, None], kept]  # whole patches: several times as fast as number by number
    return dataclasses.replace(batch, observations=np.moveaxis(seen, 1, -1), **rest), state


def collect(
    teacher: AnyTeacher,
    student: tuple[Policy, np.ndarray],
    task: Task,
    n_episodes: int,
    seed: Seed,
    shares: tuple[float, float] = (1.0, 1.0),
    with_sources: bool = False,
    state_every: int = 0,
    executor: OpenExecutor | None = None,
    with_removed: bool = False,
) -> Batch:
    """Live through episodes and note the teacher's action at every step.

    The teacher sees the task's own inputs, or more, the student what the task's perturbation makes of them. Of whole
    numbers that it only orders, the task's own are noted, and in what order the student saw them.

    Args:
        teacher: a policy with its vector, or a function from observations (episode, feature), or (episode, feature,
            channel) where there are several channels, to actions (episode, action) in [-1, 1], or a `Teacher`, which
            sees the simulator.
        student: a policy with its vector, which sees and, as far as it may, acts (DAgger: Ross, Gordon and
            Bagnell, 2011).
        task: what to do.
        n_episodes: how many.
        seed: of the episodes.
        shares: how much of the actions is the teacher's, in the first episode and, evenly on, in the last; the rest
            is the student's.
        with_sources: whether to note which input is which.
        state_every: after how many steps, again and again, to note what the student remembers; 0 for never.
        executor: whose workers on this machine share the episodes; the batch is the same for any number of them.
        with_removed: whether to note of pictures what the perturbation removed as well, after what the student saw.

    Raises:
        InputError: if the teacher's actions are of a wrong shape, not finite, or not in [-1, 1].
    """
    executor = executor or SerialExecutor()
    chunk = single_chunk(*student, task, n_episodes, seed, _LEAST_ROWS)
    share = np.linspace(*shares, n_episodes, dtype=np.float32)
    # A function is asked about all episodes at once, and perhaps could not be sent.
    shared = executor.n_near > 1 and (isinstance(teacher, Teacher) or not callable(teacher))
    jobs, first = [], 0
    for part in chunk.split(executor.n_near if shared else 1):
        last = first + np.count_nonzero(part.episodes >= 0)
        jobs.append((teacher, part, share[first:last], with_sources, state_every, with_removed))
        first = last
    return _join(list(executor.map(_collect, jobs) if len(jobs) > 1 else map(_collect, jobs)))


def _collect(job: tuple[AnyTeacher, Chunk, np.ndarray, bool, int, bool]) -> Batch:
    """Live through the episodes of a chunk, whose `share` (episode,) of the actions is the teacher's.

    What is noted of an episode that is over is zero.
    """
    teacher, chunk, share, with_sources, state_every, with_removed = job
    task, n_episodes = chunk.task, len(share)
    there, teach = chunk.episodes >= 0, _start_teacher(teacher, chunk)
    n_sources = len(task.senses.names)
    previous = np.zeros((task.n_actions, n_episodes), np.float32)
    sources = np.empty((0, n_episodes), np.int16)
    has_pictures = task.senses.whole and task.perturbation.only_orders
    whole = with_removed and task.perturbation.n_copies == 1
    shown = np.empty((*chunk.episodes.shape[:1], n_sources, task.n_channels, chunk.episodes.shape[1]), np.float32)
    nothing = np.empty((0, task.n_channels, n_episodes), np.float32)
    n_newest = task.n_channels // task.senses.n_frames
    steps, states, pictures = [], [], []
    for step in live(chunk):
        if not step.alive.any():
            break
        label = _check_actions(teach(step), step.number)
        alive = chunk.in_order(step.alive)
        if with_sources or has_pictures:
            sources = np.minimum(chunk.in_order(step.task.sources), n_sources).astype(np.int16) * alive
        if has_pictures:
            if not step.number:  # what was removed is so for the whole episode
                removed = _not_among(sources, n_sources if whole else 0)
            sources = np.concatenate([sources, removed * alive])
            step.task.plain.observe(shown)
            newest = chunk.in_order(shown)[:, -n_newest:] * alive
            pictures.append(np.moveaxis(newest, -1, 0).astype(np.uint8))
        seen = nothing if has_pictures else chunk.in_order(step.observations) * alive
        # What says no more than which action is best may be any number.
        steps.append((seen, np.clip(previous, -1, 1) * alive, label * alive, alive, sources))
        if state_every and not step.number:
            states.append(np.zeros_like(_remembered(chunk, step)))
        if state_every and (step.number + 1) % state_every == 0:
            states.append(_remembered(chunk, step) * alive)
        previous = (1 - share) * chunk.in_order(step.actions) + share * label
        step.actions.swapaxes(1, 2)[there] = previous.T
    noted = np.stack(states) if states else np.empty((0, 0, 0, 0, n_episodes), np.float32)
    newest = np.stack(pictures) if pictures else _no_pictures()
    return Batch(*[*(np.stack(parts) for parts in zip(*steps)), noted, newest])


def _not_among(sources: np.ndarray, n_sources: int) -> np.ndarray:
    """Return which of so many sources are not among those seen (feature, episode), each once: (feature, episode)."""
    missing = np.ones((n_sources, sources.shape[1]), bool)
    if n_sources:
        np.put_along_axis(missing, sources.astype(np.intp), False, axis=0)
    return np.nonzero(missing.T)[1].reshape(sources.shape[1], -1).T.astype(np.int16)


def _join(parts: list[Batch]) -> Batch:
    """Return batches of the same task side by side; those that are over sooner are filled up with zeros."""
    if len(parts) == 1:
        return parts[0]

    def together(name: str) -> np.ndarray:
        arrays = [getattr(part, name) for part in parts]
        length = max(len(array) for array in arrays)
        for number, array in enumerate(arrays):
            if len(array) < length:
                arrays[number] = np.pad(array, [(0, length - len(array))] + [(0, 0)] * (array.ndim - 1))
        return np.concatenate(arrays, axis=1 if name == "newest" else -1)

    return Batch(**{field.name: together(field.name) for field in dataclasses.fields(Batch)})


def _remembered(chunk: Chunk, step: Step) -> np.ndarray:
    """Return what the student remembers after a step (array, feature, channel, episode)."""
    state = [chunk.in_order(part) for part in step.policy.state()]
    return np.stack(state) if state else np.empty((0, 0, 0, np.count_nonzero(chunk.episodes >= 0)), np.float32)


def _start_teacher(teacher: AnyTeacher, chunk: Chunk) -> Callable[[Step], np.ndarray]:
    """Return what gives the teacher's actions (action, episode) at each step of the chunk, to be asked in order."""
    senses, n_actions = chunk.task.senses, chunk.task.n_actions
    n_rows, width = chunk.episodes.shape
    if isinstance(teacher, Teacher):
        return _guide(teacher, chunk)
    if callable(teacher):
        shown = np.empty((n_rows, len(senses.names), senses.n_channels, width), np.float32)

        def ask(step: Step) -> np.ndarray:
            step.task.plain.observe(shown)
            inputs = np.moveaxis(chunk.in_order(shown), -1, 0).copy()
            actions = np.asarray(teacher(inputs if senses.n_channels > 1 else inputs[:, :, 0]), dtype=np.float32)
            if actions.shape != (len(inputs), n_actions):
                raise InputError(
                    "the teacher must return actions of shape (episode, action) = "
                    f"{len(inputs), n_actions}, got {actions.shape}"
                )
            return actions.T

        return ask
    policy, params = teacher
    weights = policy.prepare(np.repeat(np.asarray(params)[None], n_rows, axis=0))
    run = policy.start(weights, len(senses.names), width)

    def act(step: Step) -> np.ndarray:
        step.task.plain.observe(run.observations)
        with np.errstate(over="ignore", under="ignore"):  # as in a rollout
            run.step()
        return chunk.in_order(run.actions)

    return act


def _guide(teacher: Teacher, chunk: Chunk) -> Callable[[Step], np.ndarray]:
    """Return what asks a teacher that sees the simulator; of episodes that are over it gives zeros."""
    guides: dict[tuple[int, int], Callable[[], np.ndarray]] = {}

    def ask(step: Step) -> np.ndarray:
        actions = np.zeros((len(chunk.episodes), chunk.task.n_actions, chunk.episodes.shape[1]), np.float32)
        for row, column in np.argwhere(step.alive).tolist():
            if not step.number:
                guides[row, column] = teacher(step.task.plain.world((row, column)))
            actions[row, :, column] = guides[row, column]()
        return chunk.in_order(actions)

    return ask


def _check_actions(actions: np.ndarray, step: int) -> np.ndarray:
    bad = ~(np.abs(actions) <= 1)
    if bad.any():
        episode = int(np.argwhere(bad)[0][1])
        raise InputError(
            f"the teacher's action at step {step} of episode {episode} is {actions[:, episode]}: "
            "actions must be numbers in [-1, 1]"
        )
    return actions


class EpisodeStore:
    """Batches of episodes in a folder, of which only so many bytes are used, the latest.

    Which are used depends on nothing but their number and size, so that a run that is resumed uses the same ones.
    Others are deleted by `prune`, once the run has a checkpoint from which they are not needed.

    Args:
        folder: for the files, one a batch; made when the first is written.
        about: what the batches were made of; a file that says otherwise is refused.
        max_bytes: how much to use; the latest batch is always used.
        n_sources: how many inputs of its own the task has.
    """

    def __init__(self, folder: Path, about: str, max_bytes: int, n_sources: int) -> None:
        self.folder, self._about, self._max_bytes, self._n_sources = folder, about, max_bytes, n_sources
        self._sizes: dict[int, int] = {}  # the bytes of each batch, in their order
        self._latest: dict[int, Batch] = {}  # those that were read last: their files, looked into where it is asked for

    def path(self, number: int) -> Path:
        """Return the file of a batch."""
        return self.folder / f"block-{number:06d}.npz"

    def write(self, number: int, batch: Batch) -> None:
        """Write a batch, later than those before; raise InputError if it is too large to be read again."""
        arrays = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        size = sum(array.nbytes for array in arrays.values())
        if size > 0.99 * MAX_BYTES:
            raise InputError(
                f"{batch.alive.shape[1]} episodes take {size >> 20} MB, and a file may have {MAX_BYTES >> 20}: "
                "lower batch_size (--batch-size)"
            )
        header = header_array({"format": _FORMAT, "version": 1, "about": self._about})
        make_folder(self.folder)
        write_npz(self.path(number), {"header": header, **arrays})
        self._sizes[number] = self._measure(number)

    def _hold(self, number: int, batch: Batch) -> Batch:
        self._latest.pop(number, None)
        self._latest[number] = batch
        while len(self._latest) > _MOST_HELD:
            del self._latest[next(iter(self._latest))]
        return batch

    def restore(self, numbers: list[int]) -> None:
        """Take on the batches of these numbers; delete all others, which are of after or long before them.

        Raises FileError, naming it, if one is missing.
        """
        self._latest = {}
        self._sizes = {number: self._measure(number) for number in sorted(numbers)}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            match = _FILE_NAME.fullmatch(path.name)
            if is_temporary(path) or (match and int(match[1]) not in self._sizes):
                _delete(path)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the batches in use."""
        unused = self._unused()
        return [number for number in self._sizes if number not in unused]

    @property
    def is_full(self) -> bool:
        """Whether batches no longer in use take an eighth as much as may be used, or more."""
        return 8 * sum(self._sizes[number] for number in self._unused()) >= self._max_bytes

    def prune(self) -> None:
        """Delete the batches that are no longer in use."""
        for number in self._unused():
            self._latest.pop(number, None)
            _delete(self.path(number))
            del self._sizes[number]

    def _unused(self) -> set[int]:
        """Return the numbers of the batches before the latest that may be used together."""
        size = 0
        for place, number in enumerate(reversed(self._sizes)):
            size += self._sizes[number]
            if place and size > self._max_bytes:
                return {other for other in self._sizes if other <= number}
        return set()

    def _measure(self, number: int) -> int:
        path = self.path(number)
        try:
            return path.stat().st_size
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise FileError(f"cannot read {path}: {error.strerror or error}") from error

    def read(self, number: int) -> Batch:
        """Return a batch, in memory only as far as it is looked at.

        Raises FileError if it is missing, damaged, or of another task, teacher or student.
        """
        path = self.path(number)
        if not path.exists():
            raise _missing(path)
        if number in self._latest:
            return self._hold(number, self._latest[number])
        arrays = map_npz(path)
        if read_header(arrays, path, _FORMAT).get("about") != self._about:
            raise FileError(f"{path} holds episodes of another task, teacher or student: clone in another folder")
        try:
            batch = Batch(*(arrays[field.name] for field in dataclasses.fields(Batch)))
            return self._hold(number, _check(batch, self._n_sources))
        except KeyError as error:
            raise FileError(f"{path} is damaged: it has no {error}") from None
        except ValueError as error:
            raise FileError(f"{path} is damaged: {error}") from None


def _check(batch: Batch, n_sources: int) -> Batch:
    """Return a batch; raise ValueError for shapes that do not fit each other, or what no episodes are."""
    n_steps, n_features, _, n_episodes = batch.observations.shape
    n_actions = batch.labels.shape[1]
    if batch.newest.size:
        n_features = batch.sources.shape[1]
        if batch.newest.ndim != 4 or batch.newest.shape[:3] != (n_steps, n_episodes, n_sources):
            raise ValueError(f"its newest are of the shape {batch.newest.shape}")
        if batch.newest.dtype != np.uint8 or not n_features or (batch.sources >= n_sources).any():
            raise ValueError("its newest are no pictures that its sources show")
    for name, shapes in (
        ("labels", [(n_steps, n_actions, n_episodes)]),
        ("previous_actions", [(n_steps, n_actions, n_episodes)]),
        ("alive", [(n_steps, n_episodes)]),
        ("sources", [(n_steps, n_features, n_episodes), (n_steps, 0, n_episodes)]),
    ):
        if getattr(batch, name).shape not in shapes:
            raise ValueError(f"its {name} are of the shape {getattr(batch, name).shape}")
    if batch.states.ndim != 5 or len(batch.states) > n_steps + 1 or batch.states.shape[4] != n_episodes:
        raise ValueError(f"its states are of the shape {batch.states.shape}")
    if batch.alive.dtype != bool or not batch.alive[0].any():
        raise ValueError("no episode in it is alive")
    for name in ("labels", "previous_actions"):
        if not (np.abs(getattr(batch, name)) <= 1).all():
            raise ValueError(f"its {name} are not all numbers in [-1, 1]")
    if batch.sources.dtype.kind != "i" or not ((batch.sources >= 0) & (batch.sources <= n_sources)).all():
        raise ValueError(f"its sources are not all inputs, 0 to {n_sources}")
    for name in ("observations", "states"):
        if not np.isfinite(getattr(batch, name)).all():
            raise ValueError(f"its {name} are not all finite")
    return batch


def _missing(path: Path) -> FileError:
    return FileError(f"{path} is missing, and the run needs it: put it back, or clone in another folder")


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise FileError(f"cannot delete {path}: {error.strerror or error}") from error
