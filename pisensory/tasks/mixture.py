"""Several tasks as one: what an agent that is to be good at all of them is trained on."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import MAX_FACTOR, InputError, check_list, check_positive, show
from .base import Perturbation, Senses, Share, Task, TaskRun
from .registry import register, task_from_config, task_from_text

_MOST_PARTS = 100
_PREFIX = "mix:"
_NO_SETTINGS = ("kind", "perturbation")  # of a task's `config`
_UNTOLD = (*_NO_SETTINGS, "max_steps")


@dataclasses.dataclass(frozen=True)
class Part:
    """A task in a mixture.

    Args:
        task: what it is, with its perturbation.
        weight: how much of the mixture's score, and of its episodes, is of this part.
        reference: a score of the task that counts as one, so that tasks of large rewards do not outweigh others.

    Raises:
        InputError: for a weight or reference that is not above 0, or a mixture as a part.

    Examples:
        >>> part = ps.Part(ps.CartPoleSwingUp("v1"), weight=0.5, reference=930.0)
        >>> part.weight
        0.5
    """

    task: Task
    weight: float = 1.0
    reference: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.task, Task) or isinstance(self.task, Mixture):
            raise InputError(f"task must be a task, and no mixture itself, got {show(self.task)}")
        object.__setattr__(self, "weight", check_positive("weight", self.weight, maximum=MAX_FACTOR))
        object.__setattr__(self, "reference", check_positive("reference", self.reference, maximum=MAX_FACTOR))

    @property
    def label(self) -> str:
        """The task and what is done to it, in words that `Mixture.parse` reads."""
        plain, perturbation = Perturbation(), self.task.perturbation
        names = [field.name for field in dataclasses.fields(Perturbation)]
        changed = [name for name in names if getattr(perturbation, name) != getattr(plain, name)]
        words = [f"{name}={_write(name, getattr(perturbation, name))}" for name in changed]
        usual, own = task_from_text(self.task.label).config, self.task.config
        of_task = [f"{name}={own[name]}" for name in own if name not in _UNTOLD and own[name] != usual.get(name)]
        return " ".join([self.task.label, *of_task, *words])


@dataclasses.dataclass(frozen=True)
class Mixture(Task):
    """Tasks of the same senses and actions, each with its own perturbation: their weighted score is to be raised.

    Episodes are shared out in proportion to the weights. Returns are divided by the part's reference, so that their
    mean over all episodes is the weighted mean of the parts' scores; `scores` has each part's own. What trains on a
    mixture takes its parts: it has no episodes of its own.

    On the command line: `--task "mix: 2 harder reshuffle_every=20..500 reference=600; v1 n_noise=0..5 push=-1..1"`. A
    weight may stand before each name, `reference`, the task's own settings and what a perturbation has behind it.

    Args:
        parts: the tasks; those given without weight and reference get a weight and a reference of 1.

    Raises:
        InputError: for no parts, or parts that differ in their senses or actions.

    Examples:
        >>> task = ps.Mixture((
        ...     ps.Part(ps.CartPoleSwingUp("harder"), weight=2.0), ps.Part(ps.CartPoleSwingUp("v1"), reference=930.0)
        ... ))
        >>> task.n_features
        5
    """

    parts: tuple[Part, ...]

    kind: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        listed = check_list("parts", self.parts, "(ps.Part(task),)", _MOST_PARTS)
        for part in listed:
            if not isinstance(part, (Part, Task)):
                raise InputError(f"each of parts must be a ps.Part, or a task, got {show(part)}")
        parts = tuple(part if isinstance(part, Part) else Part(part) for part in listed)
        object.__setattr__(self, "parts", parts)
        if len({(part.task.senses, part.task.n_actions) for part in parts}) != 1:
            raise InputError(f"parts must be tasks of the same inputs and actions, got {show(parts)}")

    @classmethod
    def parse(cls, text: str) -> Mixture | None:
        """Return the mixture that a text describes; None if it does not begin with "mix:"."""
        if not text.startswith(_PREFIX):
            return None
        return cls(tuple(_parse_part(part) for part in text[len(_PREFIX) :].split(";")))

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Mixture:
        """Return the mixture of a `config` without its kind."""
        return cls(tuple(Part(**{**part, "task": task_from_config(part["task"])}) for part in settings["parts"]))

    @property
    def config(self) -> dict[str, Any]:
        """Each part's settings."""
        parts = [{**dataclasses.asdict(part), "task": part.task.config} for part in self.parts]
        return {"kind": self.kind, "parts": parts}

    @property
    def senses(self) -> Senses:
        """What all parts show."""
        return self.parts[0].task.senses

    @property
    def n_actions(self) -> int:  # type: ignore[override]
        """The actions of all parts."""
        return self.parts[0].task.n_actions

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """The length of the longest episodes."""
        return max(task.max_steps for task in self.tasks)

    @property
    def score_episodes(self) -> int:  # type: ignore[override]
        """As many as of the part that has most of them, and one of each part at least."""
        return max(len(self.parts), *(task.score_episodes for task in self.tasks))

    @property
    def n_features(self) -> int:
        """The most inputs that a part shows."""
        return max(task.n_features for task in self.tasks)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the parts."""
        return tuple(part.task for part in self.parts)

    @property
    def plain(self) -> Mixture:
        """The mixture with nothing done to the inputs of its parts."""
        return self._of([task.plain for task in self.tasks])

    @property
    def for_training(self) -> Mixture:
        """The mixture of the parts' tasks for training."""
        return self._of([task.for_training for task in self.tasks])

    def randomized(self, observations: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
        """Return observations as the first part shows them in training that changes any; None if there is none."""
        shown = (task.randomized(observations, generator) for task in self.tasks)
        return next((array for array in shown if array is not None), None)

    def altered(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> Mixture:
        """Return the mixture; raise InputError if anything is to be changed."""
        if inputs or settings:
            names = ", ".join([*inputs, *settings])
            raise InputError(f"a mixture says of each part what is done to it: leave out {names}, or write it there")
        return self

    def like(self, other: Task) -> Mixture:
        """Return the mixture: its text says all there is to say."""
        return self

    def _of(self, tasks: list[Task]) -> Mixture:
        return Mixture(tuple(dataclasses.replace(part, task=task) for part, task in zip(self.parts, tasks)))

    def shares(self, n_episodes: int) -> list[Share]:
        """Share out episodes in proportion to the weights, at least one for each part."""
        n_episodes = self.check_episodes("n_episodes", n_episodes)
        weights = self._weights
        bounds = np.round(np.cumsum(weights) * (n_episodes - len(weights))).astype(int) + 1 + np.arange(len(weights))
        counts = np.diff(bounds, prepend=0).tolist()
        return [
            Share(part.task, count, weight * n_episodes / (count * part.reference))
            for part, count, weight in zip(self.parts, counts, weights.tolist())
        ]

    def choose(self, uniform: float) -> Task:
        """Return a part by its weight, for a number drawn evenly from 0 to 1."""
        return self.tasks[min(int(np.searchsorted(np.cumsum(self._weights), uniform, "right")), len(self.parts) - 1)]

    @property
    def part_names(self) -> tuple[str, ...]:
        """The parts in words, numbered; without commas, which part columns."""
        return tuple(f"{number}: {part.label}".replace(",", "+") for number, part in enumerate(self.parts, 1))

    def scores(self, returns: np.ndarray) -> dict[str, float]:
        """Return each part's own mean return, of returns (candidate, episode) as a rollout of the mixture has them."""
        shares = self.shares(returns.shape[1])
        of_parts = np.split(returns, np.cumsum([share.n_episodes for share in shares])[:-1], axis=1)
        means = [float(values.mean() / share.factor) for values, share in zip(of_parts, shares)]
        return dict(zip(self.part_names, means))

    @property
    def _weights(self) -> np.ndarray:
        weights = np.array([part.weight for part in self.parts])
        return weights / weights.sum()

    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> TaskRun:
        raise InputError("a mixture has no episodes of its own: choose one of its parts (--task)")


register(Mixture)


def _parse_part(text: str) -> Part:
    """Return the part that words describe: `2 harder shuffle reshuffle_every=20..500 reference=600`."""
    words = text.split()
    weight = words.pop(0) if len(words) > 1 and _is_number(words[0]) else "1"
    if not words:
        raise InputError("a part of a mixture must be a weight, if any, the name of a task, and settings; got nothing")
    task = task_from_text(words[0])
    settings: dict[str, Any] = {}
    for word in words[1:]:
        name, _, value = word.partition("=")
        settings[name] = _read(value) if value else True
    reference, perturbing = settings.pop("reference", 1.0), {field.name for field in dataclasses.fields(Perturbation)}
    own = [name for name in settings if name in task.setting_names and name not in _NO_SETTINGS]
    of_task = {name: settings.pop(name) for name in own}
    unknown = set(settings) - perturbing
    if unknown:
        raise InputError(f"a part of a mixture has no setting {sorted(unknown)[0]!r}: {text.strip()!r}")
    return Part(dataclasses.replace(task, perturbation=Perturbation(**settings), **of_task), float(weight), reference)


def _read(text: str) -> Any:
    """Return the number, range (20..500), list (0,2) or word that a text is."""
    if ".." in text:
        return tuple(_read(end) for end in text.split("..", 1))
    if "," in text:
        return tuple(_read(one) for one in text.split(",") if one)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _write(name: str, value: Any) -> str:
    """Return what `_read` makes a setting's value of."""
    if not isinstance(value, tuple):
        return str(value)
    return "".join(f"{one}," for one in value) if name == "dropped" else "..".join(map(str, value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
