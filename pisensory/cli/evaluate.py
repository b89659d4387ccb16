"""`pisensory evaluate`: score a policy, with its inputs perturbed if asked."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..evaluate import evaluate, score_table
from .options import add_model, load_model, make_task


def add(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "evaluate",
        help="score a trained policy",
        description="Score a policy: a file written by pisensory, a run folder (its best.npz), or an .npz with "
        "a bare parameter vector, such as the published weights.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="shipped model, file, run folder, or bare vector")
    parser.add_argument("--episodes", "-e", type=int, default=1000, metavar="N", help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the episodes (default: 0)")
    parser.add_argument("--executor", metavar="E", help="serial, processes or dask:ADDRESS (default: by --jobs)")
    parser.add_argument(
        "--jobs", "-j", type=int, default=1, metavar="N", help="worker processes, -1 for one a core (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Score the model and print a table, or JSON."""
    model = load_model(options)
    task = make_task(options, model.task)
    result = evaluate(model.policy, model.params, task, options.episodes, options.seed, options.jobs, options.executor)
    if options.json:
        about = {"model": str(options.model), "policy": model.policy.config, "task": task.config}
        print(json.dumps({**about, "seed": options.seed, **result.as_dict()}))
    else:
        print(score_table({str(options.model): result}))
        print(f"\n{len(result.returns)} episodes in {result.seconds:.2f} s")
    return 0
