"""The tasks. They know no policy: each takes actions and gives observations and rewards."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .ant import AntTask
from .base import Task, TaskRun
from .cartpole import CartPoleSwingUp
from .gym_task import GymTask
from .gym_wrappers import perturb_env
from .perturbation import Perturbation

__all__ = [
    "TASKS",
    "AntTask",
    "CartPoleSwingUp",
    "GymTask",
    "Perturbation",
    "Task",
    "TaskRun",
    "perturb_env",
    "task_from_config",
]

TASKS: dict[str, type[Task]] = {task.kind: task for task in (CartPoleSwingUp, GymTask, AntTask)}


def task_from_config(config: Any) -> Task:
    """Return the task that `Task.config` describes.

    Raises InputError for an unknown kind, or a setting that is missing, unknown or impossible.
    """
    if not isinstance(config, dict) or config.get("kind") not in list(TASKS):
        raise InputError(f"a task must be one of the kinds {', '.join(TASKS)}, got {config!r}")
    settings = {name: value for name, value in config.items() if name != "kind"}
    try:
        settings["perturbation"] = Perturbation(**settings.get("perturbation", {}))
        return TASKS[config["kind"]](**settings)
    except TypeError as error:
        raise InputError(f"the settings of a task are not those of its kind: {error}") from None
