"""A step of descent on a batch: its gradient, worked out in parts that workers can share."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..executors import OpenExecutor
from ..policies import Policy
from ..policies.base import State
from .identify import identify

# The work of a step, as numbers that are seen times parameters they meet, from which it is halved: some 20 ms. Half of
# less would be done sooner than sent.
_WORTH_HALVING = 2**26


@functools.cache
def _keep_memory() -> None:
    """Have a process that studies keep the memory that it has freed.

    glibc hands freed memory back to the system, and a third of a step went into getting it again, page by page. Once
    a block has been freed that is nearly as large as its limit for that (32 MB, mallopt(3)), it keeps up to twice as
    much.
    """
    np.empty(31 * 2**20, np.uint8)


class Lesson(NamedTuple):
    """Sequences to learn from, and who learns: everything a worker needs for the gradient of their loss.

    Attributes:
        policy: the student.
        params: its vector (parameter,).
        classifier: what tells inputs apart (class, 1 + hidden).
        identify: the weight of that loss.
        observations: (step, feature, channel, episode).
        previous_actions, labels: (step, action, episode).
        alive: (step, episode).
        sources: (step, feature, episode).
        state: what the sequences begin with, arrays (feature, channel, episode); None at the beginning of episodes.
        n_alive: the steps in which episodes are alive, in this lesson and those it is a part with.
        matching: the weight of the loss of what a random layer does to the student's features.
        plain: the observations without that layer (step, feature, channel, episode); None if there is none.
        margin: how far at most the largest label's action is to be ahead of each other; 0 if actions are to be as the
            labels.
        tries: episodes side by side that are the same sequence with other inputs; the one is learnt from in which the
            student is most wrong.
    """

    policy: Policy
    params: np.ndarray
    classifier: np.ndarray
    identify: float
    observations: np.ndarray
    previous_actions: np.ndarray
    labels: np.ndarray
    alive: np.ndarray
    sources: np.ndarray
    state: State | None
    n_alive: int
    matching: float = 0.0
    plain: np.ndarray | None = None
    margin: float = 0.0
    tries: int = 1

    def parts(self) -> list[Lesson]:
        """Return what this lesson is worked out in: two halves of its episodes if it is long, and else itself.

        It depends on the lesson alone, so that the sum of their gradients has the same bits wherever they are worked
        out. Pictures and parameters of a single step would take as long to send.
        """
        n_steps, n_episodes = self.alive.shape
        work = self.observations.size * self.policy.n_params
        if n_steps == 1 or n_episodes == self.tries or work < _WORTH_HALVING:
            return [self]
        middle = n_episodes // self.tries // 2 * self.tries
        return [self._episodes(slice(None, middle)), self._episodes(slice(middle, None))]

    def _episodes(self, some: slice) -> Lesson:
        """Return the lesson of only some episodes."""

        def cut(array: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(array[..., some])  # as it will be once it was sent

        return self._replace(
            observations=cut(self.observations), previous_actions=cut(self.previous_actions), labels=cut(self.labels),
            alive=cut(self.alive), sources=cut(self.sources),
            state=None if self.state is None else tuple(cut(array) for array in self.state),
            plain=None if self.plain is None else cut(self.plain),
        )  # fmt: skip


class Outcome(NamedTuple):
    """What a lesson, or a part of it, comes to.

    Attributes:
        gradient: by the student's parameters, then the classifier's (parameter,).
        loss: the mean squared error of the actions, or of their margins.
        identify_loss: the mean cross-entropy of telling inputs apart.
    """

    gradient: np.ndarray
    loss: float
    identify_loss: float


def study(lesson: Lesson) -> Outcome:
    """Return a lesson's share of the losses of all it is a part with, and of their gradient."""
    _keep_memory()
    unrolled = lesson.policy.unroll(lesson.params, lesson.observations, lesson.previous_actions, lesson.state)
    squares, d_actions = _errors(lesson, unrolled.actions)
    alive = lesson.alive
    if lesson.tries > 1:
        chosen = _worst(squares.sum(axis=(0, 1)), lesson.tries)
        squares, d_actions, alive = squares * chosen, d_actions * chosen, alive & chosen
    n_actions = lesson.n_alive * d_actions.shape[1]
    loss, d_hidden, d_classifier = 0.0, None, lesson.classifier
    if lesson.identify and unrolled.hidden is not None:
        share = int(alive.sum()) / lesson.n_alive
        loss, d_classifier, d_hidden = identify(lesson.classifier, unrolled.hidden, lesson.sources, alive)
        loss, d_classifier, d_hidden = (
            share * loss, lesson.identify * share * d_classifier, lesson.identify * share * d_hidden
        )  # fmt: skip
    if lesson.matching and lesson.plain is not None and unrolled.hidden is not None:
        d_matching = _match(lesson, lesson.plain, unrolled.hidden)
        d_hidden = d_matching if d_hidden is None else d_hidden + d_matching
    gradient = unrolled.gradient(d_actions / n_actions, d_hidden)
    return Outcome(np.concatenate([gradient, d_classifier.ravel()]), float(squares.sum()) / n_actions, loss)


def _worst(errors: np.ndarray, tries: int) -> np.ndarray:
    """Return which have the largest errors (episode,) of each so many side by side, one of them: (episode,), bool."""
    by_sequence = errors.reshape(-1, tries)
    chosen = np.arange(tries) == np.argmax(by_sequence, axis=1)[:, None]
    return chosen.ravel()


def _errors(lesson: Lesson, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared errors of actions, and the gradient of their sum, each (step, action, episode).

    With a margin the error of each other action is what the one of the largest label lacks of being so far ahead of
    it, or as far as its label is: the squared hinge loss of Crammer and Singer's margin (2001), which is none where all
    are far enough behind. Of what costs less to be wrong in, less is asked for, as Taskar et al. (2003) scale it. Where
    several labels are the largest, any of their actions may be ahead of the others.
    """
    alive = lesson.alive[:, None]
    if not lesson.margin:
        difference = (actions - lesson.labels) * alive
        return difference**2, 2 * difference
    behind = lesson.labels.max(axis=1, keepdims=True) - lesson.labels
    best = np.argmax(np.where(behind, -np.inf, actions), axis=1)[:, None]
    ahead = np.take_along_axis(actions, best, axis=1)
    lacks = np.maximum(actions - ahead + np.minimum(lesson.margin, behind), 0) * (behind > 0) * alive
    d_actions = 2 * lacks
    np.put_along_axis(d_actions, best, -d_actions.sum(axis=1, keepdims=True), axis=1)
    return lacks**2, d_actions


def study_together(lesson: Lesson, executor: OpenExecutor) -> Outcome:
    """Return the outcome of a whole lesson, whose parts are shared by what is near: with the same bits as here."""
    parts = lesson.parts()
    shared = len(parts) > 1 and executor.n_near > 1
    return add(executor.map(study, parts) if shared else map(study, parts))


def _match(lesson: Lesson, plain: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return the gradient by the features (step, feature, hidden, episode) of their difference from those without.

    The mean squared difference, times its weight; the features without the random layer stand for what is right, so
    that there is no gradient through them. Source: Lee et al., 2020, equation 2, and the authors' own code.
    """
    right = lesson.policy.unroll(lesson.params, plain, lesson.previous_actions, lesson.state).hidden
    difference = (hidden - right) * lesson.alive[:, None, None]
    return 2 * lesson.matching / (lesson.n_alive * hidden.shape[1] * hidden.shape[2]) * difference


def add(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the sum of the outcomes of a lesson's parts, in their order."""
    total, *others = outcomes
    for other in others:
        total = Outcome(
            total.gradient + other.gradient, total.loss + other.loss, total.identify_loss + other.identify_loss
        )
    return total
