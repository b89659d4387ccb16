"""Episodes in a window: an agent as it lives, what it senses and attends to, and keys that shuffle and push."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import MAX_COUNT, check_int, check_positive
from ..policies import Policy
from ..recording import Recorder
from ..rollout import Step, live, single_chunk
from ..tasks import Task
from ..tasks.base import Seed, check_seed
from ..tasks.drawing import load_pillow
from ..tasks.window import CLOSED, Window
from .frames import WINDOW, Actor, Film
from .patches import PatchFilm
from .write import check_models, check_width

HINT = "space: shuffle    arrows: push    R: again    N: next    Q: quit"
_HOLD = 1.5  # seconds for which the end of an episode stands still
_PUSHES = {"left": -1.0, "right": 1.0}  # as hard as the policy can
_SHUFFLE, _AGAIN, _NEXT, _QUIT = "space", "r", "n", ("q", "escape", CLOSED)


@dataclasses.dataclass
class Watched:
    """An episode that was watched.

    Attributes:
        seed: of the episode.
        scores: the return of each model, as far as the episode went.
        n_steps: how long the longest was.
        n_shuffles: how often the inputs were shuffled by hand.
        n_pushes: how often the agents were pushed by hand.
    """

    seed: tuple[int, ...]
    scores: tuple[float, ...] = ()
    n_steps: int = 0
    n_shuffles: int = 0
    n_pushes: int = 0


def watch(
    models: Mapping[str, tuple[Policy, object]],
    task: Task,
    seed: Seed = 0,
    frames_per_second: float = 25,
    steps_per_frame: int = 2,
    width: int = 1280,
) -> list[Watched]:
    """Play episodes in a window until it is closed.

    The first is the episode that a rollout of one episode with this seed has, the next has the next seed. The space
    bar shuffles the inputs, the left and right arrows push for `push_steps` of the task's perturbation, R begins the
    episode again, N the next one, Q and Escape end.

    Args:
        models: name to show -> (policy, its flat vector (parameter,)); one, or two side by side, which meet the
            same start, the same noise and the same shuffles.
        task: a cart-pole, or an environment that can be drawn, with its perturbation.
        seed: a whole number or several, of the first episode.
        frames_per_second: how fast frames follow each other, 1 to 100, as far as the machine can.
        steps_per_frame: steps from one frame to the next; 25 frames a second of 2 steps show 50 steps a second.
        width: of the window in pixels, 320 to 3840.

    Returns:
        The episodes, in their order; the last as far as it went.

    Raises:
        InputError: for impossible numbers, no models or more than two, one that does not fit the task, or a task
            that cannot be drawn.
        DisplayError: if no window can be opened.
        MissingExtraError: if pygame or Pillow is not installed.
        TaskError: if an environment fails.
    """
    show = Show(models, task, seed, frames_per_second, steps_per_frame, width)
    try:
        while show.frame():
            pass
    finally:
        show.close()
    return show.watched


class Show:
    """A window of episodes; its arguments are those of `watch`.

    Attributes:
        moments: the step that each agent is at.
        watched: the episodes so far, the one at hand last.
    """

    def __init__(
        self,
        models: Mapping[str, tuple[Policy, object]],
        task: Task,
        seed: Seed = 0,
        frames_per_second: float = 25,
        steps_per_frame: int = 2,
        width: int = 1280,
    ) -> None:
        self._width = check_width(width)
        self._steps_per_frame = check_int("steps_per_frame", steps_per_frame, 1)
        self._hold = round(_HOLD * check_positive("frames_per_second", frames_per_second, maximum=100))
        self._task = task.with_pictures()
        self._models = check_models(models, self._task)
        # A run with nothing done to its inputs cannot be shuffled; one that is shuffled after all steps can.
        touched = {"reshuffle_every": MAX_COUNT} if task.perturbation.is_plain else {}
        self._played = task.altered(touched, {}).with_pictures() if touched else self._task
        self.moments: list[Step] = []
        self.watched: list[Watched] = []
        first = check_seed(seed)
        load_pillow()
        self._window = Window(frames_per_second, f"pisensory: {', '.join(self._models)}")
        self._begin(first)

    def _begin(self, seed: tuple[int, ...]) -> None:
        """Begin the episode of a seed."""
        self._episodes = [
            live(single_chunk(policy, params, self._played.seen_as(policy.n_channels), 1, seed))
            for policy, params in self._models.values()
        ]
        self.moments = [next(episode) for episode in self._episodes]
        self.watched.append(Watched(seed))
        said = seed[0] if len(seed) == 1 else seed
        film = PatchFilm if self._task.senses.grid is not None else LiveFilm
        self._film: PatchFilm | LiveFilm = film(self._models, self._task, said, self._width, HINT)
        self._film.note(self.moments)
        self._stood = 0

    def frame(self) -> bool:
        """Show where the episode is, do what keys ask for, and move on; return whether to go on."""
        self._window.show(np.asarray(self._film.frame(self.moments)))
        now = self.watched[-1]
        now.scores = tuple(float(step.totals.returns[0, 0]) for step in self.moments)
        now.n_steps = max(step.number for step in self.moments)
        for key in self._window.pressed():
            if key in _QUIT:
                return False
            self._press(key)
        if self.watched[-1] is not now:
            return True
        if any(_goes_on(step) for step in self.moments):
            self._advance()
        elif self._stood < self._hold:
            self._stood += 1
        else:
            self._begin_next()
        return True

    def _press(self, key: str) -> None:
        """Do what a key asks for."""
        now, alive = self.watched[-1], [step.task for step in self.moments if _goes_on(step)]
        if key == _SHUFFLE:
            now.n_shuffles += 1
            for run in alive:
                run.shuffle()
        elif key in _PUSHES:
            now.n_pushes += 1
            for run in alive:
                run.push(_PUSHES[key])
        elif key == _AGAIN:
            self._begin(now.seed)
        elif key == _NEXT:
            self._begin_next()

    def _begin_next(self) -> None:
        *before, last = self.watched[-1].seed
        self._begin((*before, last + 1))

    def _advance(self) -> None:
        for _ in range(self._steps_per_frame):
            pairs = zip(self.moments, self._episodes)
            self.moments = [next(episode) if _goes_on(step) else step for step, episode in pairs]
            self._film.note(self.moments)

    def close(self) -> None:
        """Close the window."""
        self._window.close()


def _goes_on(step: Step) -> bool:
    return bool(step.alive[0, 0])


class LiveFilm:
    """Draws episodes as they are lived through; arguments are those of `PatchFilm`."""

    def __init__(
        self, models: Mapping[str, tuple[Policy, np.ndarray]], task: Task, seed: object, width: int, hint: str
    ) -> None:
        self._models = models
        self._about = (task, seed, width, hint, min(WINDOW, task.max_steps))
        self._recorders = [Recorder(1, ("attention", "latent"), WINDOW) for _ in models]
        self._noted: list[Step | None] = [None] * len(models)
        self._film: Film | None = None
        self._scenes: list[Any] = [None] * len(models)

    def note(self, moments: Sequence[Step]) -> None:
        """Keep what there is to see of a moment of each agent's episode, unless it stands where it stood."""
        for number, step in enumerate(moments):
            if self._noted[number] is not step:
                self._recorders[number].note(step)
                self._noted[number] = step

    def frame(self, moments: Sequence[Step]) -> Any:
        """Return the picture of a moment of each agent's episode, an image of Pillow's."""
        actors = [
            Actor(name, policy, params, recorder.recording(), recorder.first, float(recorder.earned[0]))
            for (name, (policy, params)), recorder in zip(self._models.items(), self._recorders)
        ]
        if self._film is None:
            self._film = Film(actors, *self._about)
        self._film.follow(actors)
        for number, step in enumerate(moments):
            self._scenes[number] = self._film.draw_scene(step.task, step.actions[0, :, 0])
        return self._film.frame(max(step.number for step in moments), self._scenes)
