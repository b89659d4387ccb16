"""The scores of a report: what is done to the inputs, of which policies and tasks, and for how many episodes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..policies import Policy
from ..tasks import Perturbation, Task
from ..tasks.perturbation import NOISE_KINDS

PERIODS = (25, 50, 100, 200, 500)
NOISE_FEATURES = (0, 5, 10, 15, 20, 25)
NOISE_INPUTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
NOISE_SIZES = (0.05, 0.1, 0.2, 0.5, 1.0)
DELAYS = range(1, 11)
FEW_EPISODES = 200  # of the figures that the video made from so many


class Condition(NamedTuple):
    """One thing that is done to the inputs.

    Attributes:
        label: what people call it.
        changes: the settings of the perturbation that do it.
        gain: a factor on the policy's weighted sum of inputs.
        key: what the report calls it; the label if empty.
    """

    label: str
    changes: dict[str, Any]
    gain: float = 1.0
    key: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """Scores of a report; report.html says what each of them shows.

    Attributes:
        key: its name there, in report.json, and in those of its figures.
        conditions: gives what is done to the inputs of a task.
        kind: of the tasks it is of; None for all.
        version: of the task, if it is that of one version alone.
        any_number: whether it is of policies for any number of inputs alone.
        episodes: the most of a score.
        inputs: the most of a score, times its episodes: beyond, fewer episodes are run.
        keep_returns: whether the return of each episode is kept.
    """

    key: str
    conditions: Callable[[Task], Iterator[Condition]]
    kind: str | None = None
    version: str | None = None
    any_number: bool = False
    episodes: float = math.inf
    inputs: float = math.inf
    keep_returns: bool = False


def _inputs(task: Task) -> Iterator[Condition]:
    n = task.n_features
    yield Condition(f"{n} inputs, in order", {}, key="plain")
    yield Condition(f"{n} inputs, shuffled", {"shuffle": True}, key="shuffled")
    yield Condition(f"{2 * n} inputs (each twice), gain 0.5", {"n_copies": 2}, 0.5, "twice, gain 0.5")
    for gain in (0.5, 1.0):
        key = f"noise, gain {gain:g}"
        yield Condition(f"{n} inputs + {n} of noise, gain {gain:g}", {"n_noise": n}, gain, key)


def _reshuffling(task: Task) -> Iterator[Condition]:
    for period in PERIODS:
        yield Condition(f"every {period} steps", {"reshuffle_every": period}, key=f"every {period}")
    yield Condition("never", {})


def _shuffling(task: Task) -> Iterator[Condition]:
    yield Condition("plain", {})
    yield Condition("shuffled", {"shuffle": True})


def _noise_features(task: Task) -> Iterator[Condition]:
    for count, shuffle in itertools.product(NOISE_FEATURES, (False, True)):
        label = f"{count} of noise, {'shuffled' if shuffle else 'in order'}"
        yield Condition(label, {"n_noise": count, "shuffle": shuffle})


def _noise_inputs(task: Task) -> Iterator[Condition]:
    for count in NOISE_INPUTS:
        yield Condition(f"{count:,}", {"n_noise": count}, key=str(count))


def _dropped(task: Task) -> Iterator[Condition]:
    numbers = range(task.n_features)
    for dropped in [*((number,) for number in numbers), *itertools.combinations(numbers, 2)]:
        yield Condition(" and ".join(task.senses.names[number] for number in dropped), {"dropped": dropped})


def _delay(task: Task) -> Iterator[Condition]:
    for number, delay in itertools.product(range(task.n_features), DELAYS):
        label = f"{task.senses.names[number]}, {delay} {'step' if delay == 1 else 'steps'}"
        yield Condition(label, {"delay": delay, "delayed": number})


def _noise_kinds(task: Task) -> Iterator[Condition]:
    for kind, size in itertools.product(NOISE_KINDS, NOISE_SIZES):
        yield Condition(f"{kind}, {size:g}", {"n_noise": task.n_features, "noise_std": size, "noise_kind": kind})


STUDIES = (
    Study("inputs", _inputs),
    Study("reshuffling", _reshuffling),
    Study("shuffling", _shuffling, "cartpole", "v1", episodes=FEW_EPISODES, keep_returns=True),
    Study(
        "noise-features", _noise_features, "cartpole", "v1", any_number=True, episodes=FEW_EPISODES, keep_returns=True
    ),
    Study("noise-inputs", _noise_inputs, "cartpole", any_number=True, inputs=64_000),
    Study("dropped", _dropped, "cartpole"),
    Study("delay", _delay, "cartpole"),
    Study("noise-kinds", _noise_kinds, "cartpole"),
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One score to find: a condition of a study, of a task and for so many episodes."""

    study: Study
    condition: Condition
    task: Task
    n_episodes: int


def plan(policy: Policy, task: Task, n_episodes: int) -> Iterator[Cell]:
    """Yield the scores of a report on a policy and its task: those of studies that suit both."""
    for study in STUDIES:
        suits = study.kind in (None, task.kind) and not (study.any_number and policy.n_features is not None)
        if not suits:
            continue
        # In the version of the study, with episodes as long as the task's own.
        base = task if study.version is None else dataclasses.replace(task, version=study.version)
        for condition in study.conditions(base):
            perturbed = dataclasses.replace(base, perturbation=Perturbation(**condition.changes))
            episodes = int(min(n_episodes, study.episodes, max(1, study.inputs / perturbed.n_features)))
            if policy.n_features in (None, perturbed.n_features) and (condition.gain == 1 or "gain" in policy.config):
                yield Cell(study, condition, perturbed, episodes)
