"""The tasks. They know no policy: each takes actions and gives observations and rewards."""

from __future__ import annotations

from .ant import AntTask
from .base import Senses, Task, TaskRun
from .car_racing import CarRacingTask
from .cartpole import CartPoleSwingUp
from .environment import scale_action
from .gym_task import GymTask
from .gym_wrappers import perturb_env
from .mixture import Mixture, Part
from .perturbation import Perturbation
from .pong import PongTask
from .registry import TASKS, register, task_from_config, task_from_text

__all__ = [
    "TASKS",
    "AntTask",
    "CarRacingTask",
    "CartPoleSwingUp",
    "GymTask",
    "Mixture",
    "Part",
    "Perturbation",
    "PongTask",
    "Senses",
    "Task",
    "TaskRun",
    "perturb_env",
    "register",
    "scale_action",
    "task_from_config",
    "task_from_text",
]
