"""The studies of a report: what is done to the inputs in each, of which policies and tasks, and what it shows."""

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
    """A section of a report.

    Attributes:
        key: its name in report.json, and in those of its figures.
        title: its heading.
        text: what it shows, as HTML.
        conditions: gives what is done to the inputs of a task; None for what is read inside a policy.
        kind: of the tasks it is of; None for all.
        version: of the task, if it is that of one version alone.
        any_number: whether it is of policies for any number of inputs alone.
        episodes: the most of a score.
        inputs: the most of a score, times its episodes: beyond, fewer episodes are run.
        keep_returns: whether the return of each episode is kept.
    """

    key: str
    title: str
    text: str
    conditions: Callable[[Task], Iterator[Condition]] | None = None
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
    Study(
        "inputs",
        "Inputs",
        "The return with the inputs as they are, in a random order drawn for each episode, each given twice, and with "
        "as many inputs of noise beside them. <em>Gain</em> is a factor on the weighted sum of the inputs: half of it "
        "where there are twice as many, as in the paper. All rows meet the same episodes.",
        _inputs,
    ),
    Study(
        "reshuffling",
        "Reshuffling",
        "The inputs get a new random order every so many steps of an episode, and the policy is not told.",
        _reshuffling,
    ),
    Study(
        "shuffling",
        "Models and shuffling",
        "The distribution of returns on <code>v1</code>: above each line with the inputs in order, below it shuffled.",
        _shuffling, "cartpole", "v1", episodes=FEW_EPISODES, keep_returns=True,
    ),
    Study(
        "noise-features",
        "Noise features",
        "The return on <code>v1</code> with noise inputs beside the five. Crosses are the same with all inputs "
        "shuffled; for an invariant policy they lie on the line.",
        _noise_features, "cartpole", "v1", any_number=True, episodes=FEW_EPISODES,
    ),
    Study(
        "latent",
        "The latent code does not change",
        "What the policy makes of its inputs before it acts: the channels of the latent code over one episode, the "
        "same episode with the inputs in order and shuffled. Where no bit depends on the "
        "order, the largest difference is 0, not nearly 0.",
        kind="cartpole",
    ),
    Study(
        "attention",
        "Attention",
        "How much each input counts: the absolute attention, averaged over the channels of the latent code and five "
        "steps, and all of it at the step of the dotted line.",
        kind="cartpole",
    ),
    Study(
        "recovery",
        "Recovery after a reshuffle",
        "What a reshuffle in the middle of an episode does. The latent code is averaged over episodes and 25 steps; "
        "its distance is that from the same episodes left alone, in per cent of the code's root mean square. It is "
        "back when it stays within 5 % for 100 steps.",
        kind="cartpole",
    ),
    Study(
        "regression",
        "What the latent code knows",
        "The part of the variance of each input (R²) that a linear function of the latent code of the shuffled inputs "
        "gives back: fitted on half of the episodes, measured on the other half.",
        kind="cartpole",
    ),
    Study(
        "noise-inputs",
        "Beyond: a thousand inputs of noise",
        "How the return falls with the number of noise inputs. From 64 inputs on there are fewer episodes, as the "
        "table says: inputs times episodes are at most 64,000.",
        _noise_inputs, "cartpole", any_number=True, inputs=64_000,
    ),
    Study(
        "dropped",
        "Beyond: lost inputs",
        "One input, or two, read 0 for the whole episode. To an invariant policy that is as if they were not there.",
        _dropped, "cartpole",
    ),
    Study(
        "delay",
        "Beyond: a late input",
        "One of the inputs arrives some steps late.",
        _delay, "cartpole",
    ),
    Study(
        "noise-kinds",
        "Beyond: noise that is harder to tell",
        "White noise is easy to know as noise. Five noise inputs of other sizes and kinds: one draw that stays for the "
        "episode, a slow random walk (a correlation of 1/e after 100 steps), and white noise on top of a copy of each "
        "input.",
        _noise_kinds, "cartpole",
    ),
)  # fmt: skip


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
        if study.conditions is None or not suits:
            continue
        # In the version of the study, with episodes as long as the task's own.
        base = task if study.version is None else dataclasses.replace(task, version=study.version)
        for condition in study.conditions(base):
            perturbed = dataclasses.replace(base, perturbation=Perturbation(**condition.changes))
            episodes = int(min(n_episodes, study.episodes, max(1, study.inputs / perturbed.n_features)))
            if policy.n_features in (None, perturbed.n_features) and (condition.gain == 1 or "gain" in policy.config):
                yield Cell(study, condition, perturbed, episodes)
