"""What a model is scored on, in words: the task with its settings, and what is done to its inputs."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..tasks import Perturbation, Task
from .options import NAMED_SETTINGS


def describe_task(task: Task) -> str:
    """Return a task's name, its length, and those of its settings that are not the usual ones."""
    if task.part_names:
        return "; ".join((task.label, *task.part_names))
    usual = {field.name: field.default for field in dataclasses.fields(task)}
    settings = {name: value for name, value in task.config.items() if name in usual and name not in NAMED_SETTINGS}
    changed = [f"{name} {value}" for name, value in settings.items() if value != usual[name]]
    return ", ".join([task.label, f"at most {task.max_steps} steps", *changed])


def describe_inputs(task: Task) -> str:
    """Return what is done to the inputs of a task, and to its actions, on the way between it and a policy."""
    if task.part_names:
        return "as each part says"
    done, plain = task.perturbation, Perturbation()
    phrases = {
        "shuffle": "shuffled at the start of every episode",
        "reshuffle_every": f"shuffled every {_range(done.reshuffle_every)} steps",
        "n_noise": f"{_range(done.n_noise)} of {done.noise_kind} noise added, deviation {done.noise_std:g}",
        "n_copies": f"each given {done.n_copies} times",
        "dropped": f"{' and '.join(f'number {place}' for place in done.dropped)} dropped",
        "delay": f"number {done.delayed} late by {done.delay} steps",
        "push": f"actions pushed by {_range(done.push)} from step {_range(done.push_at)} for {done.push_steps} steps",
        "removed": f"a share of {done.removed:.4g} taken away",
    }
    return (
        ", ".join(text for name, text in phrases.items() if getattr(done, name) != getattr(plain, name)) or "in order"
    )


def _range(value: Any) -> str:
    return " to ".join(f"{end:g}" for end in value) if isinstance(value, tuple) else f"{value:g}" if value else "0"
