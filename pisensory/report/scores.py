"""The scores of a report, each found once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..evaluate import Evaluation, evaluate
from ..executors import Executor
from ..policies import Policy
from ..tasks import Task
from .published import published_facts
from .studies import Cell


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


class Scorer:
    """Finds scores, each distinct one once.

    Args:
        seed: of all episodes.
        executor: where they run.
    """

    def __init__(self, seed: int, executor: Executor) -> None:
        self._seed, self._executor = seed, executor
        self._found: dict[tuple[Any, ...], Evaluation] = {}

    def score(self, subject: Subject, cell: Cell) -> dict[str, Any]:
        """Return a policy's score, and what it is of, as plain numbers and text."""
        policy, (label, changes, gain, key) = subject.policy, cell.condition
        if gain != 1:
            policy = dataclasses.replace(policy, gain=policy.config["gain"] * gain)
        what = (subject.name, repr(cell.task), cell.n_episodes, gain)
        if what not in self._found:
            self._found[what] = evaluate(
                policy, subject.params, cell.task, cell.n_episodes, self._seed, executor=self._executor
            )
        found = self._found[what]
        facts = {} if cell.study.version else published_facts(subject.params, subject.task)
        return {
            "model": subject.name, "key": key or label, "label": label, **found.as_dict(), **changes, "gain": gain,
            "task": cell.task.config, "task_label": cell.task.label, "published": facts.get(key or label),
            **({"returns": found.returns.tolist()} if cell.study.keep_returns else {}),
        }  # fmt: skip
