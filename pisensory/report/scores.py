"""The scores of a report: which policy meets which perturbation, for how many episodes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..evaluate import Evaluation, evaluate
from ..executors import Executor
from ..policies import InvariantPolicy, Policy
from ..tasks import CartPoleSwingUp, Perturbation, Task
from ..tasks.cartpole import FEATURES
from ..tasks.perturbation import NOISE_KINDS
from .published import published_facts

PERIODS = (25, 50, 100, 200, 500)
NOISE_FEATURES = (0, 5, 10, 15, 20, 25)
NOISE_INPUTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
NOISE_SIZES = (0.05, 0.1, 0.2, 0.5, 1.0)
DELAYS = range(1, 11)
FEW_EPISODES = 200  # of the figures that the video made from so many
# Inputs times episodes of one score: beyond, fewer episodes are run.
_MAX_INPUTS = 64_000


@dataclasses.dataclass(frozen=True)
class Subject:
    """One policy of a report.

    Attributes:
        name: what the report calls it.
        policy: the network.
        params: its vector (parameter,).
        task: the one it is scored on, with nothing done to its inputs.
    """

    name: str
    policy: Policy
    params: np.ndarray
    task: Task

    @property
    def is_cartpole(self) -> bool:
        """Whether the studies that are of the cart-pole alone apply."""
        return isinstance(self.task, CartPoleSwingUp)

    @property
    def is_invariant(self) -> bool:
        """Whether it takes any number of inputs, in any order."""
        return isinstance(self.policy, InvariantPolicy)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One score to find.

    Attributes:
        study: where it belongs.
        subject: whose it is.
        key: which of the subject's scores in the study it is.
        label: the key for people.
        task: what to do, with its perturbation.
        n_episodes: how often.
        gain: a factor on the policy's weighted sum of inputs.
        about: numbers for figures, by name.
        keep_returns: whether the return of each episode is wanted.
    """

    study: str
    subject: Subject
    key: str
    label: str
    task: Task
    n_episodes: int
    gain: float = 1.0
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    keep_returns: bool = False

    @property
    def fits(self) -> bool:
        """Whether the policy takes as many inputs as the perturbed task gives."""
        return self.subject.policy.n_features in (None, self.task.n_features)


def plan_scores(subject: Subject, n_episodes: int) -> list[Cell]:
    """Return the scores of a report on one policy: those that it has the inputs for."""
    cells = [*_inputs(subject, n_episodes), *_reshuffling(subject, n_episodes)]
    if subject.is_cartpole:
        few = min(n_episodes, FEW_EPISODES)
        for study in (_shuffling, _noise_features):
            cells += study(subject, few)
        for study in (_noise_inputs, _dropped, _delay, _noise_kinds):
            cells += study(subject, n_episodes)
    return [cell for cell in cells if cell.fits]


def _perturbed(task: Task, **changes: Any) -> Task:
    return dataclasses.replace(task, perturbation=Perturbation(**changes))  # type: ignore[type-var]


def _v1(subject: Subject) -> Task:
    """Return the environment of the video, with episodes as long as the subject's."""
    return CartPoleSwingUp("v1", subject.task.max_steps)


def _inputs(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    n = subject.task.n_features
    conditions: list[tuple[str, str, dict[str, Any], float]] = [
        ("plain", f"{n} inputs, in order", {}, 1.0),
        ("shuffled", f"{n} inputs, shuffled", {"shuffle": True}, 1.0),
        ("twice, gain 0.5", f"{2 * n} inputs (each twice), gain 0.5", {"n_copies": 2}, 0.5),
        ("noise, gain 0.5", f"{n} inputs + {n} of noise, gain 0.5", {"n_noise": n}, 0.5),
        ("noise, gain 1", f"{n} inputs + {n} of noise, gain 1", {"n_noise": n}, 1.0),
    ]
    for key, label, changes, gain in conditions:
        yield Cell("inputs", subject, key, label, _perturbed(subject.task, **changes), n_episodes, gain)


def _reshuffling(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    for period in PERIODS:
        task = _perturbed(subject.task, reshuffle_every=period)
        yield Cell("reshuffling", subject, f"every {period}", f"every {period} steps", task, n_episodes)
    yield Cell("reshuffling", subject, "never", "never", subject.task, n_episodes)


def _shuffling(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    for key, shuffle in (("plain", False), ("shuffled", True)):
        task = _perturbed(_v1(subject), shuffle=shuffle)
        yield Cell("shuffling", subject, key, key, task, n_episodes, keep_returns=True)


def _noise_features(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    if not subject.is_invariant:
        return
    for count, shuffle in itertools.product(NOISE_FEATURES, (False, True)):
        task = _perturbed(_v1(subject), shuffle=shuffle, n_noise=count)
        label = f"{count} of noise, {'shuffled' if shuffle else 'in order'}"
        about = {"n_noise": count, "shuffle": shuffle}
        yield Cell("noise-features", subject, label, label, task, n_episodes, about=about)


def _noise_inputs(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    if not subject.is_invariant:
        return
    for count in NOISE_INPUTS:
        task = _perturbed(subject.task, n_noise=count)
        episodes = min(n_episodes, max(1, _MAX_INPUTS // task.n_features))
        yield Cell("noise-inputs", subject, str(count), f"{count:,}", task, episodes, about={"n_noise": count})


def _dropped(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    numbers = range(len(FEATURES))
    for dropped in [(number,) for number in numbers] + list(itertools.combinations(numbers, 2)):
        label = " and ".join(FEATURES[number] for number in dropped)
        about = {"dropped": list(dropped)}
        yield Cell("dropped", subject, label, label, _perturbed(subject.task, dropped=dropped), n_episodes, about=about)


def _delay(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    for number, delay in itertools.product(range(len(FEATURES)), DELAYS):
        label = f"{FEATURES[number]}, {delay} {'step' if delay == 1 else 'steps'}"
        task = _perturbed(subject.task, delay=delay, delayed=number)
        yield Cell("delay", subject, label, label, task, n_episodes, about={"input": FEATURES[number], "delay": delay})


def _noise_kinds(subject: Subject, n_episodes: int) -> Iterator[Cell]:
    n = len(FEATURES)
    for kind, size in itertools.product(NOISE_KINDS, NOISE_SIZES):
        task = _perturbed(subject.task, n_noise=n, noise_std=size, noise_kind=kind)
        label = f"{kind}, {size:g}"
        yield Cell("noise-kinds", subject, label, label, task, n_episodes, about={"kind": kind, "noise_std": size})


class Scorer:
    """Finds scores, each distinct one once.

    Args:
        seed: of all episodes.
        executor: where they run.
    """

    def __init__(self, seed: int, executor: Executor) -> None:
        self._seed, self._executor = seed, executor
        self._found: dict[tuple[Any, ...], Evaluation] = {}

    def score(self, cell: Cell) -> dict[str, Any]:
        """Return a cell's score and what it is of, as plain numbers and text."""
        subject = cell.subject
        policy = subject.policy
        if cell.gain != 1:
            policy = dataclasses.replace(policy, gain=policy.gain * cell.gain)  # type: ignore[type-var, attr-defined]
        what = (subject.name, repr(cell.task), cell.n_episodes, cell.gain)
        if what not in self._found:
            self._found[what] = evaluate(
                policy, subject.params, cell.task, cell.n_episodes, self._seed, executor=self._executor
            )
        found = self._found[what]
        facts = published_facts(subject.params, subject.task) if cell.study in ("inputs", "reshuffling") else {}
        score = {
            "model": subject.name, "key": cell.key, "label": cell.label, **found.as_dict(), **cell.about,
            "gain": cell.gain, "task": cell.task.config, "published": facts.get(cell.key),
        }  # fmt: skip
        return {**score, "returns": found.returns.tolist()} if cell.keep_returns else score
