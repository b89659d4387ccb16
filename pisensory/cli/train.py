"""`pisensory train`: train a policy in a run folder, and show that shuffling its inputs changes nothing."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from ..cloning import TAUGHT_POLICY, train_with_teacher
from ..errors import InputError
from ..evaluate import evaluate, score_table
from ..files import load_params
from ..policies import Policy, policy_from_config
from ..runs import BEST, CONFIG, RECIPE, read_config
from ..tasks import CartPoleSwingUp, task_from_config
from ..train import TrainResult, train
from ..train.settings import PRESETS
from .options import POLICY_KINDS, add_sizes, add_task, default_policy, given, make_policy, make_task

# Settings that a resumed run takes from its folder: the library's name, and the option's.
_SETTINGS = {
    "population_size": "population_size", "n_episodes": "episodes", "sigma0": "sigma0", "sigma_max": "sigma_max",
    "sigma_min": "sigma_min", "diagonal": "diagonal", "seed": "seed", "eval_every": "eval_every",
    "n_eval_episodes": "eval_episodes",
}  # fmt: skip


def add(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "train",
        help="train a policy with CMA-ES",
        description="Train a policy with CMA-ES, in a run folder that can be resumed. "
        "With --resume, options that are not given are those of the run.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("policy", choices=POLICY_KINDS, help="the network to train")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder for settings, metrics, checkpoint and policies")
    group = parser.add_argument_group("training")
    group.add_argument(
        "--preset", choices=PRESETS, default="best",
        help="best: for mlp and linear -p 128 -e 32 --sigma0 0.25 --sigma-max 0.25; for invariant on the cart-pole a "
        "teacher, its clone with --n-embeddings 32 --hidden-size 16 --head-sizes 32, and the clone evolved with -p 64 "
        "-e 64 --sigma0 0.01 --sigma-min 0.002 --diagonal. paper, and invariant elsewhere: -p 256 -e 16 --sigma0 0.1 "
        "from zeros. Options that are given go first (default: best)",
    )  # fmt: skip
    group.add_argument("--generations", "-m", type=int, default=1000, metavar="N", help="in all (default: 1000)")
    group.add_argument("--episodes", "-e", type=int, metavar="N", help="episodes a candidate (default: by preset)")
    group.add_argument("--population-size", "-p", type=int, metavar="N", help="candidates (default: by preset)")
    group.add_argument("--sigma0", type=float, metavar="S", help="first standard deviation (default: by preset)")
    group.add_argument("--sigma-max", type=float, metavar="S", help="largest step size (default: no bound)")
    group.add_argument("--sigma-min", type=float, metavar="S", help="smallest step size (default: no bound)")
    group.add_argument(
        "--diagonal", action="store_true", default=None, help="learn variances, no covariances: for many parameters"
    )
    group.add_argument("--seed", type=int, metavar="N", help="seed of everything random (default: 0)")
    group.add_argument(
        "--eval-every", type=int, metavar="N", help="generations between scores on held-out episodes (default: 10)"
    )
    group.add_argument("--eval-episodes", type=int, metavar="N", help="held-out episodes (default: 256)")
    group.add_argument("--init-from", metavar="FILE", help="start from the parameters in this .npz (default: zeros)")
    group.add_argument("--minutes", type=float, metavar="M", help="stop after M minutes (default: no limit)")
    group.add_argument("--resume", action="store_true", help="go on with the run in RUN_DIR")
    group.add_argument("--tensorboard", action="store_true", help="write TensorBoard event files to RUN_DIR too")
    group.add_argument("--executor", metavar="E", help="serial, processes or dask:ADDRESS (default: by --jobs)")
    group.add_argument(
        "--jobs", "-j", type=int, default=-1, metavar="N", help="worker processes, -1 for one a core (default: -1)"
    )
    add_task(parser, default="harder")
    add_sizes(parser)


def run(options: argparse.Namespace) -> int:
    """Train, then print the scores with the inputs in order and shuffled."""
    folder = Path(options.run_dir)
    begun = [name for name in (RECIPE, CONFIG) if options.resume and (folder / name).exists()]
    old = read_config(folder, begun[0]) if begun else None
    task = make_task(options, CartPoleSwingUp() if old is None else task_from_config(old["task"]))
    cart_pole = options.policy == "invariant" and isinstance(task, CartPoleSwingUp)
    taught = RECIPE in begun or (not begun and cart_pole and options.preset == "best" and options.init_from is None)
    if RECIPE in begun and options.init_from is not None:
        raise InputError(f"--init-from is not for {folder}, which begins with a teacher: leave it out")
    policy = TAUGHT_POLICY if taught else default_policy(options.policy, task)
    if old is not None and _kind(policy_from_config(old["policy"])) == options.policy:
        policy = policy_from_config(old["policy"])
    policy = make_policy(options, policy)
    common = {
        "generations": options.generations,
        "minutes": options.minutes,
        "resume": options.resume,
        "n_jobs": options.jobs,
        "executor": options.executor,
        "progress": True,
        "tensorboard": options.tensorboard,
    }
    chosen = given(options, _SETTINGS)
    if taught:
        result = train_with_teacher(policy, task, folder, **common, **chosen)
    else:
        init = None if options.init_from is None else load_params(options.init_from)
        preset = PRESETS["paper" if options.policy == "invariant" else options.preset]
        result = train(policy, task, folder, init=init, **common, **{**({} if begun else preset), **chosen})
    _print_result(result, task, options.jobs, options.executor)
    return 0


def _kind(policy: Policy) -> str:
    return "linear" if getattr(policy, "hidden_sizes", None) == () else policy.kind


def _print_result(result: TrainResult, task: Any, n_jobs: int, executor: str | None) -> None:
    print(
        f"{result.generations} generations, {result.env_steps:,} environment steps. The best mean scored "
        f"{result.score:.1f} on held-out episodes: {result.run_dir / BEST}\n"
    )
    scores = {}
    for name, shuffle in (("inputs in order", False), ("inputs shuffled", True)):
        changed = dataclasses.replace(task, perturbation=dataclasses.replace(task.perturbation, shuffle=shuffle))
        scores[name] = evaluate(result.policy, result.params, changed, task.score_episodes, 0, n_jobs, executor)
    print(score_table(scores))
