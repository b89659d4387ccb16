"""Train a policy by evolution.

Trains with CMA-ES, in a run folder that can be resumed: with --resume, options that are not given are those of the run.
Shows at the end that shuffling the inputs of an invariant policy changes nothing.
"""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from ..cloning import TAUGHT_POLICY, train_with_teacher
from ..errors import InputError
from ..evaluate import evaluate, score_table
from ..files import as_path, load_params
from ..policies import Policy
from ..runs import BEST, RECIPE
from ..tasks import Task
from ..train import TrainResult, train
from ..train.settings import PRESETS
from .arguments import add_options, flags, given, shows_progress
from .options import add_sizes, add_task, choose_run, default_policy, policy_names

# What is trained by a teacher if nothing else is asked for: kind of task, and policy.
_TAUGHT = ("cartpole", "invariant")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("policy", choices=policy_names(), help="the network to train")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder for settings, metrics, checkpoint and policies")
    group = parser.add_argument_group("training")
    group.add_argument(
        "--preset", choices=PRESETS, default="best",
        help="best: for mlp and linear -p 128 -e 32 --sigma0 0.25 --sigma-max 0.25; for invariant on the cart-pole a "
        "teacher, its clone with --n-embeddings 32 --hidden-size 24 --head-sizes 32, and the clone evolved with -p 64 "
        "-e 64 --sigma0 0.01 --sigma-min 0.002 --diagonal. paper, and all others: -p 256 -e 16 --sigma0 0.1 "
        "from zeros. Options that are given go first (default: best)",
    )  # fmt: skip
    by_preset = dict.fromkeys(("population_size", "n_episodes", "sigma0"), "by preset")
    add_options(group, "run", {"": train}, **by_preset)
    # Of the stages before the last.
    add_options(group, "recipe", {"": train_with_teacher}, leave_out=inspect.signature(train).parameters)
    group.add_argument("--init-from", metavar="FILE", help="start from the parameters in this .npz (default: zeros)")
    add_task(parser, default="harder")
    add_sizes(parser)


def run(options: argparse.Namespace) -> int:
    """Train, then print the scores with the inputs in order and shuffled."""
    asked, of_recipe = {"progress": shows_progress(), **given(options, "run")}, given(options, "recipe")
    fresh = options.preset == "best" and options.init_from is None

    def default(name: str, task: Task) -> Policy:
        return TAUGHT_POLICY if fresh and (task.kind, name) == _TAUGHT else default_policy(name, task)

    task, policy, begun = choose_run(options, options.policy, default=default)
    if begun == RECIPE or (begun is None and fresh and (task.kind, options.policy) == _TAUGHT):
        if options.init_from is not None:
            raise InputError(f"--init-from is not for {options.run_dir}, which begins with a teacher: leave it out")
        result = train_with_teacher(policy, task, options.run_dir, **asked, **of_recipe)
    else:
        for name in of_recipe:
            raise InputError(f"{flags(name)[0]} is for runs that begin with a teacher, as this does not: leave it out")
        # What is best is known of networks that see a fixed number of inputs.
        preset = PRESETS["paper" if policy.n_features is None else options.preset] if begun is None else {}
        init = None if options.init_from is None else load_params(as_path(options.init_from, "--init-from"))
        result = train(policy, task, options.run_dir, init=init, **{**preset, **asked})
    _print_result(result, task, {name: asked[name] for name in ("n_jobs", "executor") if name in asked})
    return 0


def _print_result(result: TrainResult, task: Task, where: dict[str, Any]) -> None:
    print(
        f"{result.generations} generations, {result.env_steps:,} environment steps. The best mean scored "
        f"{result.score:.1f} on held-out episodes: {result.run_dir / BEST}\n"
    )
    scores = {}
    for one, part in zip(task.tasks, task.part_names or ("",)):
        for name, shuffle in (("inputs in order", False), ("inputs shuffled", True)):
            changed = one.altered({"shuffle": shuffle}, {})
            scores[f"{part}, {name}".lstrip(", ")] = evaluate(
                result.policy, result.params, changed, task.score_episodes, **where
            )
    print(score_table(scores))
