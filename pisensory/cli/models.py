"""List the trained policies that ship.

Tells their task, size, mean scores with the inputs in order and shuffled (10,000 episodes; 100 of CarRacing), and what
training them cost. Every command takes their names for MODEL.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import MissingExtraError
from ..models import describe_model, model_names
from ..policies import policy_from_config
from ..tasks import task_from_config


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true", help="print all that is known of them as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    models = [describe_model(name) for name in model_names()]
    if options.json:
        print(json.dumps(models, indent=2))
        return 0
    width = max(len(model["name"]) for model in models)
    head = f"{'name':{width}}  task              {'network':>9}  params   score  shuffled    steps  minutes"
    print(head)
    print("-" * len(head))
    for model in models:
        scores, cost = model["scores"], model["training"]
        network, task = policy_from_config(model["policy"]).label, _label(model["task"])
        print(
            f"{model['name']:{width}}  {task:16}  {network:>9}  {model['n_params']:6d}  "
            f"{scores['plain']['mean']:6.1f}  {scores['shuffled']['mean']:8.1f}  {cost['env_steps'] / 1e6:6.1f}M  "
            f"{cost['seconds'] / 60:7.1f}"
        )
    return 0


def _label(config: dict[str, Any]) -> str:
    """Return what people call a task, which need not be installed: then its kind."""
    try:
        return task_from_config(config).label
    except MissingExtraError:
        return str(config["kind"])
