"""Score trained policies.

MODEL is a file written by pisensory, a run folder (its best.npz), a shipped model's name, or an .npz with a bare
parameter vector, such as the published weights. Inputs are perturbed if asked. Of several models each is scored on the
task it was trained on, or all on --task, in the same episodes; all are checked before the first is.
"""

from __future__ import annotations

import argparse
import contextlib
import json

from ..errors import InputError
from ..evaluate import Evaluation, evaluate, score_table
from ..executors import WouldRun, nothing_runs, open_executor
from ..rollout import check_fit
from .arguments import add_options, given
from .describe import describe_inputs, describe_task
from .options import add_model, load_model_and_task


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="shipped model, file, run folder, or bare vector")
    add_options(parser, "evaluate", {"": evaluate})
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each model instead of a table")
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Score the models and print a table, or JSON."""
    subjects = {path: load_model_and_task(path, options) for path in options.models}
    asked = given(options, "evaluate")
    for path, (model, task) in subjects.items():
        try:
            check_fit(model.policy, task)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        with nothing_runs(), contextlib.suppress(WouldRun):
            evaluate(model.policy, model.params, task, **asked)
    with open_executor(asked.pop("executor", None), asked.pop("n_jobs")) as executor:
        results = {
            path: evaluate(model.policy, model.params, task, executor=executor, **asked)
            for path, (model, task) in subjects.items()
        }
    seed = asked.get("seed", 0)
    tasks = {path: describe_task(task) for path, (_, task) in subjects.items()}
    inputs = {path: describe_inputs(task) for path, (_, task) in subjects.items()}
    if options.json:
        for path, (model, task) in subjects.items():
            about = {"model": path, "policy": model.policy.config, "task": task.config}
            told = {"scored_on": tasks[path], "inputs": inputs[path], "seed": seed}
            print(json.dumps({**about, **told, **results[path].as_dict()}))
    else:
        print(score_table(results))
        print(f"\n{_tell('task', tasks)}\n{_tell('inputs', inputs)}")
        print(f"{_count(results)} in {sum(result.seconds for result in results.values()):.2f} s, seed {seed}")
    return 0


def _tell(what: str, texts: dict[str, str]) -> str:
    """Return what the scores are of: a line for each text that there is, with its models where that is not all."""
    by_text: dict[str, list[str]] = {}
    for path, text in texts.items():
        by_text.setdefault(text, []).append(path)
    if len(by_text) > 1:
        by_text = {f"{text} ({', '.join(paths)})": paths for text, paths in by_text.items()}
    return "\n".join(f"{what}: {text}" for text in by_text)


def _count(results: dict[str, Evaluation]) -> str:
    episodes = len(next(iter(results.values())).returns)
    return f"{episodes} episodes" + (f" of each of {len(results)} models" if len(results) > 1 else "")
