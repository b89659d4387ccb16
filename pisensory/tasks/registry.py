"""The tasks by the names that files and people call them."""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import InputError, show
from .ant import AntTask
from .base import Task
from .car_racing import CarRacingTask
from .cartpole import CartPoleSwingUp
from .gym_task import GymTask
from .pong import PongTask

TASKS: dict[str, type[Task]] = {
    task.kind: task for task in (GymTask, CartPoleSwingUp, AntTask, CarRacingTask, PongTask)
}

TaskClass = TypeVar("TaskClass", bound="type[Task]")


def register(task: TaskClass) -> TaskClass:
    """Add a class of tasks to those that files and the command line know, by its `kind`; a decorator too.

    Worker processes know it if importing the module it stands in registers it.

    Raises InputError if another class has its kind.
    """
    if TASKS.setdefault(task.kind, task) is not task:
        raise InputError(f"kind must be a name of its own, and {task.kind!r} is that of {TASKS[task.kind].__name__}")
    return task


def task_from_config(config: Any) -> Task:
    """Return the task that `Task.config` describes, as files keep it.

    Raises InputError for an unknown kind, a setting that is missing, unknown or impossible, or one that would have
    code imported that the file names.
    """
    if not isinstance(config, dict) or config.get("kind") not in list(TASKS):
        raise InputError(f"a task must be one of the kinds {', '.join(TASKS)}, got {show(config)}")
    settings = {name: value for name, value in config.items() if name != "kind"}
    try:
        return TASKS[config["kind"]].from_settings(settings)
    except (KeyError, TypeError) as error:
        raise InputError(f"the settings of a task are not those of its kind: {error}") from None


def task_from_text(text: str, base: Task | None = None) -> Task:
    """Return the task that people call `text`: "harder", "ant", "gymnasium:Pendulum-v1".

    Args:
        text: its name, as on the command line.
        base: a task whose other settings it gets, if it is of the same name.

    Raises:
        InputError: for a name that no task has, or an environment that there is not.
    """
    for kind in reversed(list(TASKS.values())):  # those added later first
        task = kind.parse(text)
        if task is not None:
            return task if base is None else task.like(base)
    others = [kind for kind in TASKS if kind not in (CartPoleSwingUp.kind, GymTask.kind, "mixture")]
    raise InputError(
        f"a task must be one of harder, v0, v1, {', '.join(others)}, or gym:ID or gymnasium:ID of an environment, "
        f"or several behind mix:, got {text!r}"
    )
