"""Arguments that commands share, and what they make: a policy, a task, a model.

Options default to None, so that a command can tell what was asked for from what was not: a resumed run, or
a model's file, has settings of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileError, InputError
from ..files import load_params, load_policy_about, read_npz
from ..models import model_names, model_path
from ..policies import InvariantPolicy, MLPPolicy, Policy
from ..tasks import AntTask, CartPoleSwingUp, GymTask, Task, task_from_config
from ..train.records import BEST, CONFIG

POLICY_KINDS = ("linear", "mlp", "invariant")

_PERTURBATION = {
    "shuffle": "shuffle", "reshuffle_every": "reshuffle_every", "n_noise": "noise_features",
    "noise_std": "noise_std", "n_copies": "copies",
}  # fmt: skip
_SIZES = ("n_embeddings", "proj_dim", "hidden_size", "head_sizes", "bias", "scale", "gain", "hidden_sizes")


class Model(NamedTuple):
    """What MODEL on a command line stands for."""

    policy: Policy
    params: np.ndarray  # (parameter,)
    task: Task  # the one it was trained on, without perturbations


def add_task(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the arguments that choose the task and perturb its inputs."""
    group = parser.add_argument_group("task and inputs")
    group.add_argument(
        "--task",
        metavar="TASK",
        help=f"harder, v0 or v1; ant; gym:ID or gymnasium:ID of an environment (default: {default})",
    )
    group.add_argument("--max-steps", type=int, metavar="N", help="longest episode (default: that of the task)")
    group.add_argument(
        "--shuffle-on-reset", "--shuffle", "-s", action="store_true", default=None, dest="shuffle",
        help="shuffle the inputs at the start of every episode",
    )  # fmt: skip
    group.add_argument("--reshuffle-every", type=int, metavar="K", help="shuffle again every K steps (default: never)")
    group.add_argument("--noise-features", "-n", type=int, metavar="N", help="add N inputs of noise (default: 0)")
    group.add_argument("--noise-std", type=float, metavar="S", help="their standard deviation (default: 0.1)")
    group.add_argument("--copies", type=int, metavar="C", help="give each input C times (default: 1)")


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that give the sizes of a network."""
    group = parser.add_argument_group("sizes of the network")
    group.add_argument("--n-embeddings", type=int, metavar="M", help="invariant: rows of queries (default: 16)")
    group.add_argument("--proj-dim", type=int, metavar="D", help="invariant: size of projections (default: 32)")
    group.add_argument("--hidden-size", type=int, metavar="H", help="invariant: size of the LSTM (default: 8)")
    group.add_argument(
        "--head-sizes", type=_sizes, metavar="A,B", help="invariant: hidden layers of the head (default: none)"
    )
    group.add_argument("--bias", action="store_true", default=None, help="invariant: projections have biases")
    group.add_argument("--scale", action="store_true", default=None, help="invariant: divide scores by sqrt(D)")
    group.add_argument("--gain", type=float, metavar="G", help="invariant: factor on the inputs' sum (default: 1)")
    group.add_argument("--hidden-sizes", type=_sizes, metavar="A,B", help="mlp: hidden layers, or none (default: 16)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say more of MODEL: the network of a bare vector, and the task and its inputs."""
    parser.add_argument(
        "--policy", choices=POLICY_KINDS, help="for a bare vector: its network (default: the one of its length)"
    )
    add_task(parser, default="that of the model, or harder")
    add_sizes(parser)


def _sizes(text: str) -> tuple[int, ...]:
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes such as 32,32, or none") from None


def given(options: argparse.Namespace, names: dict[str, str]) -> dict[str, Any]:
    """Return the options that were given, as {library's name: value} for `names` {library's: option's}."""
    values = {name: getattr(options, option) for name, option in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def make_task(options: argparse.Namespace, base: Task) -> Task:
    """Return the task `base` with what was given changed, or another task if one was given."""
    name = options.task
    if name is not None and ":" in name:
        library, env = name.split(":", 1)
        if not isinstance(base, GymTask) or (base.library, base.env) != (library, env):
            base = GymTask(env, library)
    elif name == AntTask.kind:
        base = base if isinstance(base, AntTask) else AntTask()
    elif name is not None:
        base = (
            CartPoleSwingUp(name) if not isinstance(base, CartPoleSwingUp) else dataclasses.replace(base, version=name)
        )
    changes = given(options, {"max_steps": "max_steps"})
    perturbation = dataclasses.replace(base.perturbation, **given(options, _PERTURBATION))
    return dataclasses.replace(base, perturbation=perturbation, **changes)  # type: ignore[type-var]


def make_plain_task(name: str | None, max_steps: int | None, base: Task) -> Task:
    """Return the task of this name and length, with its inputs as they are; those of `base` where there is none."""
    options = argparse.Namespace(task=name, max_steps=max_steps, **dict.fromkeys(_PERTURBATION.values()))
    return make_task(options, base)


def free_name(path: str, taken: Container[str]) -> str:
    """Return a name to show for what is at `path` that is not in `taken`."""
    resolved = Path(path).resolve()
    name = resolved.name if resolved.is_dir() else resolved.stem
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name} {number}", number + 1
    return unique


def default_policy(kind: str, task: Task) -> Policy:
    """Return the policy of this kind, as on the command line, in its default sizes for the task.

    They are the published ones for the cart-pole and the Ant, and those of the cart-pole for all others.
    """
    ant = isinstance(task, AntTask)
    if kind == "invariant" and ant:
        return InvariantPolicy(task.n_actions, n_embeddings=32, head_sizes=(32,), bias=True, scale=True)
    if kind == "invariant":
        return InvariantPolicy(task.n_actions)
    hidden_sizes = () if kind == "linear" else (32, 32) if ant else (16,)
    return MLPPolicy(task.n_features, task.n_actions, hidden_sizes)


def make_policy(options: argparse.Namespace, base: Policy) -> Policy:
    """Return the policy `base` with the sizes that were given changed.

    Raises InputError for a size that its kind does not have.
    """
    sizes = given(options, {name: name for name in _SIZES})
    for name in sizes:
        if not any(field.name == name for field in dataclasses.fields(base)):  # type: ignore[arg-type]
            option = "--" + name.replace("_", "-")
            raise InputError(f"a policy of kind {base.kind!r} has no {option}: leave it out")
    return dataclasses.replace(base, **sizes)  # type: ignore[type-var]


def load_model(options: argparse.Namespace) -> Model:
    """Return what options.model stands for: a shipped model, a policy file, a run folder, or a bare vector.

    Options named after sizes, and `policy`, describe a bare vector.

    Raises InputError or FileError if it is none of these, or options contradict it.
    """
    path = Path(options.model)
    if not path.exists() and options.model in model_names():
        path = model_path(options.model)
    if path.is_dir():
        if not (path / CONFIG).exists():
            raise FileError(f"{path} is a folder but not a run of pisensory")
        path = path / BEST
    if "header" not in read_npz(path):
        params = load_params(path)
        task = make_task(options, CartPoleSwingUp())
        return Model(_policy_of_vector(options, params, task), params, task.plain)
    policy, params, about = load_policy_about(path)
    others = [name for name in (*_SIZES, "policy") if name != "gain" and getattr(options, name) is not None]
    if others:
        option = "--" + others[0].replace("_", "-")
        raise InputError(f"{option} is for bare vectors, and {path} says what its network is: leave it out")
    try:
        task = task_from_config(about["task"]) if "task" in about else CartPoleSwingUp()
    except InputError as error:
        raise FileError(f"{path} is damaged: {error}") from None
    return Model(make_policy(options, policy), params, task.plain)


def load_file(path: str, task: str | None = None) -> Model:
    """Return what `path` stands for, with no more said about it than the `task` of a bare vector; as `load_model`."""
    names = ("policy", "max_steps", *_PERTURBATION.values(), *_SIZES)
    return load_model(argparse.Namespace(model=path, task=task, **dict.fromkeys(names)))


def _policy_of_vector(options: argparse.Namespace, params: np.ndarray, task: Task) -> Policy:
    """Return the network a bare vector is for: the one asked for, or the default one of its length."""
    kinds = POLICY_KINDS if options.policy is None else (options.policy,)
    if options.policy is None and any(getattr(options, name) is not None for name in _SIZES if name != "gain"):
        raise InputError("sizes need a kind to belong to: say which with --policy")
    candidates = [default_policy(kind, task) for kind in kinds]
    for policy in candidates:
        policy = make_policy(options, policy) if len(candidates) == 1 else policy
        if policy.n_params == len(params):
            return make_policy(options, policy)
    needed = ", ".join(f"{kind} {policy.n_params}" for kind, policy in zip(kinds, candidates))
    raise InputError(
        f"{options.model} holds {len(params)} numbers, which fits none of the networks tried ({needed}): "
        "say what it is for with --policy and its sizes"
    )
