"""What a student learns from: episodes with a teacher's actions, collected in blocks and kept on disk."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Union

import numpy as np

from ..errors import FileError, InputError
from ..files import MAX_BYTES, header_array, is_temporary, make_folder, read_header, read_npz, write_npz
from ..policies import Policy
from ..tasks import Task
from ..tasks.base import Seed

_FORMAT = "pisensory-episodes"
_BLOCK_NAME = re.compile(r"block-(\d{6,})\.npz")

TeacherFunction = Callable[[np.ndarray], np.ndarray]
Teacher = Union["tuple[Policy, np.ndarray]", TeacherFunction]


@dataclasses.dataclass(frozen=True)
class Block:
    """Episodes collected together.

    Attributes:
        observations: what the student saw (step, feature, episode), float32.
        previous_actions: the action before each step, as taken (step, action, episode), float32.
        labels: the teacher's actions (step, action, episode), float32.
        alive: whether the step was part of the episode (step, episode).
        sources: which of the task's inputs the student saw (step, feature, episode), int16; the number after the
            last one for an input of noise. Without features if it was not asked for.
    """

    observations: np.ndarray
    previous_actions: np.ndarray
    labels: np.ndarray
    alive: np.ndarray
    sources: np.ndarray


class _Actor(Protocol):
    """A teacher or student in the middle of episodes."""

    def act(self, observations: np.ndarray) -> np.ndarray: ...


class _PolicyActor:
    def __init__(self, policy: Policy, params: np.ndarray, n_features: int, n_episodes: int) -> None:
        self._run = policy.start(policy.prepare(params[None]), n_features, n_episodes)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return actions (action, episode) for observations (feature, episode)."""
        self._run.observations[0, :, 0] = observations
        self._run.step()
        return self._run.actions[0].copy()


class _FunctionActor:
    def __init__(self, function: TeacherFunction, n_actions: int) -> None:
        self._function, self._n_actions = function, n_actions

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return actions (action, episode) for observations (feature, episode)."""
        actions = np.asarray(self._function(observations.T.copy()), dtype=np.float32)
        expected = (observations.shape[1], self._n_actions)
        if actions.shape != expected:
            raise InputError(
                f"the teacher must return actions of shape (episode, action) = {expected}, got {actions.shape}"
            )
        return actions.T


def collect(
    teacher: Teacher,
    student: tuple[Policy, np.ndarray] | None,
    task: Task,
    n_episodes: int,
    seed: Seed,
    teacher_share: float = 0.0,
    with_sources: bool = False,
) -> Block:
    """Live through episodes and note the teacher's action at every step.

    The teacher sees the task's own inputs, the student what the task's perturbation makes of them.

    Args:
        teacher: a policy with its vector, or a function from observations (episode, feature) to actions
            (episode, action) in [-1, 1].
        student: whose actions are taken (DAgger: Ross, Gordon and Bagnell, 2011); the teacher's if None.
        task: what to do.
        n_episodes: how many.
        seed: of the episodes.
        teacher_share: how much of the student's actions is still the teacher's, from none in the first episode,
            evenly on, to this much in the last; it keeps a student that knows little near where its teacher goes.
        with_sources: whether to note which input is which.

    Raises:
        InputError: if the teacher's actions are of a wrong shape, not finite, or not in [-1, 1].
    """
    run = task.start(seed, np.arange(n_episodes)[None])
    plain, n_sources = run.plain, len(task.senses.names)
    taught = _start_teacher(teacher, n_sources, task.n_actions, n_episodes)
    learner = None if student is None else _PolicyActor(*student, task.n_features, n_episodes)
    shares = np.linspace(0, teacher_share, n_episodes, dtype=np.float32)
    steps: list[tuple[np.ndarray, ...]] = []
    alive = np.ones((1, n_episodes), bool)
    actions = np.zeros((task.n_actions, n_episodes), np.float32)
    sources = np.empty((0, n_episodes), np.int16)
    shown = np.empty((n_sources, 1, n_episodes), np.float32)
    seen = np.empty((task.n_features, 1, n_episodes), np.float32)
    while len(steps) < task.max_steps and alive.any():
        run.observe(seen.transpose(1, 0, 2)[:, :, None])
        plain.observe(shown.transpose(1, 0, 2)[:, :, None])
        label = _check_actions(taught.act(shown[:, 0]), len(steps))
        if with_sources:
            sources = np.minimum(run.sources[0], n_sources).astype(np.int16)
        steps.append((seen[:, 0].copy(), actions, label, alive[0].copy(), sources))
        actions = label if learner is None else (1 - shares) * learner.act(seen[:, 0]) + shares * label
        alive &= ~run.step(actions[None], alive)[1]
    return Block(*(np.stack(parts) for parts in zip(*steps)))


def _start_teacher(teacher: Teacher, n_features: int, n_actions: int, n_episodes: int) -> _Actor:
    if callable(teacher):
        return _FunctionActor(teacher, n_actions)
    return _PolicyActor(*teacher, n_features, n_episodes)


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
    """Blocks of episodes in a folder, of which only so many bytes are used, the latest.

    Which blocks are used depends on nothing but their number and size, so that a run that is resumed uses the
    same ones. Others are deleted by `prune`, once the run has a checkpoint from which they are not needed.

    Args:
        folder: for the files, one a block; made if it is missing.
        about: what the blocks were made of; a file that says otherwise is refused.
        max_bytes: how much to use; the latest block is always used.
    """

    def __init__(self, folder: Path, about: str, max_bytes: int) -> None:
        self.folder, self._about, self._max_bytes = make_folder(folder), about, max_bytes
        for path in filter(is_temporary, folder.iterdir()):  # of a process that was killed while it wrote
            _delete(path)

    def path(self, number: int) -> Path:
        """Return the file of a block."""
        return self.folder / f"block-{number:06d}.npz"

    def write(self, number: int, block: Block) -> None:
        """Write a block; raise InputError if it is too large to be read again."""
        arrays = dataclasses.asdict(block)
        size = sum(array.nbytes for array in arrays.values())
        if size > 0.99 * MAX_BYTES:
            raise InputError(
                f"{block.alive.shape[1]} episodes take {size >> 20} MB, and a file may have {MAX_BYTES >> 20}: "
                "lower batch_size (--batch-size)"
            )
        header = header_array({"format": _FORMAT, "version": 1, "about": self._about})
        write_npz(self.path(number), {"header": header, **arrays})

    def numbers(self, below: int) -> list[int]:
        """Return the numbers of the blocks in use, of those before the number `below`."""
        sizes = self._sizes(below)
        unused = self._unused(sizes)
        return [number for number in sizes if number not in unused]

    def is_full(self, below: int) -> bool:
        """Return whether blocks no longer in use take an eighth as much as may be used, or more."""
        sizes = self._sizes(below)
        return 8 * sum(sizes[number] for number in self._unused(sizes)) >= self._max_bytes

    def prune(self, below: int) -> None:
        """Delete the blocks before the number `below` that are no longer in use."""
        for number in self._unused(self._sizes(below)):
            _delete(self.path(number))

    def _unused(self, sizes: dict[int, int]) -> set[int]:
        """Return the numbers of the blocks, of these, before the latest that may be used together."""
        size = 0
        for place, number in enumerate(reversed(sizes)):
            size += sizes[number]
            if place and size > self._max_bytes:
                return {other for other in sizes if other <= number}
        return set()

    def _sizes(self, below: int) -> dict[int, int]:
        """Return the bytes that each block before the number `below` takes, in their order."""
        matches = (_BLOCK_NAME.fullmatch(path.name) for path in self.folder.glob("block-*.npz"))
        numbers = sorted(int(match[1]) for match in matches if match)
        try:
            return {number: self.path(number).stat().st_size for number in numbers if number < below}
        except OSError as error:
            raise FileError(f"cannot read {self.folder}: {error.strerror or error}") from error

    def read(self, number: int) -> Block:
        """Read a block; raise FileError if it is damaged, or of another task, teacher or student."""
        path = self.path(number)
        arrays = read_npz(path)
        if read_header(arrays, path, _FORMAT).get("about") != self._about:
            raise FileError(f"{path} holds episodes of another task, teacher or student: clone in another folder")
        try:
            return Block(*(arrays[field.name] for field in dataclasses.fields(Block)))
        except KeyError as error:
            raise FileError(f"{path} is damaged: it has no {error}") from None


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise FileError(f"cannot delete {path}: {error.strerror or error}") from error
