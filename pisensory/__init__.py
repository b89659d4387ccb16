"""pisensory: the permutation-invariant AttentionNeuron agent in plain NumPy.

import pisensory as ps

policy, task = ps.InvariantPolicy(), ps.CartPoleSwingUp("harder")
result = ps.train(policy, task, "runs/first", generations=100, n_jobs=-1)
print(ps.evaluate(policy, result.params, task).mean)
"""

import sys

from .c_code import export_c
from .cloning import CloneResult, clone, train_with_teacher
from .errors import (
    DisplayError,
    DivergedError,
    ExecutorError,
    FileError,
    InputError,
    MissingExtraError,
    PisensoryError,
    TaskError,
)
from .evaluate import Evaluation, evaluate, score_table
from .executors import DaskExecutor, ProcessExecutor, SerialExecutor, rollout
from .files import load_params, load_policy, save_policy
from .layers.patches import Patches
from .models import load_model
from .policies import (
    AblatedPolicy,
    Agent,
    Agents,
    AttentionAgentPolicy,
    CNNPolicy,
    InvariantPolicy,
    LSTMPolicy,
    MLPPolicy,
    PatchPolicy,
    Policy,
)
from .recording import Recording, record
from .rollout import Rollout
from .runs import TrainingInterrupted
from .tasks import (
    AntTask,
    CarRacingTask,
    CartPoleSwingUp,
    GymTask,
    Mixture,
    Part,
    Perturbation,
    PongTask,
    Senses,
    Task,
    perturb_env,
    scale_action,
)
from .tasks.gym_env import register_envs
from .train import TrainResult, train

__version__ = "0.2.0"

__all__ = [
    "AblatedPolicy", "Agent", "Agents", "AntTask", "AttentionAgentPolicy", "CNNPolicy", "CarRacingTask",
    "CartPoleSwingUp", "CloneResult", "DaskExecutor", "DisplayError", "DivergedError", "Evaluation", "ExecutorError",
    "FileError", "GymTask", "InputError", "InvariantPolicy", "LSTMPolicy", "MLPPolicy", "MissingExtraError", "Mixture",
    "Part", "PatchPolicy", "Patches", "Perturbation", "PisensoryError", "Policy", "PongTask", "ProcessExecutor",
    "Recording", "Rollout", "Senses", "SerialExecutor", "Task", "TaskError", "TrainResult", "TrainingInterrupted",
    "clone", "evaluate", "export_c", "load_model", "load_params", "load_policy", "perturb_env", "record",
    "register_envs", "rollout", "save_policy", "scale_action", "score_table", "train", "train_with_teacher",
]  # fmt: skip

if "gymnasium" in sys.modules:
    register_envs()
