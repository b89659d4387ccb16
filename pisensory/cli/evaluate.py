"""Score a trained policy.

MODEL is a file written by pisensory, a run folder (its best.npz), a shipped model's name, or an .npz with a bare
parameter vector, such as the published weights. Its inputs are perturbed if asked.
"""

from __future__ import annotations

import argparse
import json

from ..evaluate import evaluate, score_table
from .arguments import add_options, given
from .options import add_model, load_model_and_task


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="shipped model, file, run folder, or bare vector")
    add_options(parser, "evaluate", {"": evaluate})
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Score the model and print a table, or JSON."""
    model, task = load_model_and_task(options)
    asked = given(options, "evaluate")
    result = evaluate(model.policy, model.params, task, **asked)
    if options.json:
        about = {"model": str(options.model), "policy": model.policy.config, "task": task.config}
        print(json.dumps({**about, "seed": asked.get("seed", 0), **result.as_dict()}))
    else:
        print(score_table({str(options.model): result}))
        print(f"\n{len(result.returns)} episodes in {result.seconds:.2f} s")
    return 0
