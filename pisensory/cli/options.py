"""What commands share: options for a task and for the sizes of a network, and the models that they name."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileError, InputError, MissingExtraError
from ..files import as_path, load_params, load_policy_about, read_npz
from ..models import model_names, model_path, near_models
from ..policies import POLICIES, PatchPolicy, Policy, policy_from_config
from ..rollout import check_fit
from ..runs import BEST, CONFIG, RECIPE, read_config
from ..tasks import (
    TASKS,
    CartPoleSwingUp,
    GymTask,
    Mixture,
    Perturbation,
    Task,
    task_from_config,
    task_from_text,
)  # fmt: skip
from .arguments import add_options, flags, given

# Names on the command line of policies that files know as another kind in certain sizes.
_NAMED: dict[str, tuple[str, dict[str, Any]]] = {"linear": ("mlp", {"hidden_sizes": ()})}
# Sizes that a task decides.
_OF_TASK = ("n_features", "n_actions", "n_channels")
# Sizes as published, by kind of task and name of policy; the others' are those of the cart-pole.
_PUBLISHED: dict[tuple[str, str], dict[str, Any]] = {
    ("ant", "invariant"): {"n_embeddings": 32, "head_sizes": (32,), "bias": True, "scale": True},
    ("ant", "mlp"): {"hidden_sizes": (32, 32)},
}
_PUBLISHED["pong", "patches"] = {name: size for name, size in PatchPolicy.pong().config.items() if name != "kind"}
_DEFAULT_TASK = CartPoleSwingUp()
# What a task's name says of it, or a run: no options of their own.
NAMED_SETTINGS = ("version", "env", "library", "kwargs", "max_steps", "perturbation", "training")
# What may be changed of a network whose file says what it is.
_CHANGEABLE = ("gain",)


class Model(NamedTuple):
    """What MODEL on a command line stands for."""

    policy: Policy
    params: np.ndarray  # (parameter,)
    task: Task  # the one it was trained on, without perturbations


def policy_names() -> list[str]:
    """Return what policies can be asked for by."""
    return [*_NAMED, *POLICIES]


def add_task(parser: argparse.ArgumentParser, default: str, inputs: bool = True) -> None:
    """Add the options that choose the task and, with `inputs`, perturb what it shows."""
    group = parser.add_argument_group("task and inputs" if inputs else "task")
    others = "; ".join(kind for kind in TASKS if kind not in (CartPoleSwingUp.kind, GymTask.kind, Mixture.kind))
    named = (
        f"harder, v0 or v1; {others}; gym:ID or gymnasium:ID of an environment; or several, by their weights: 'mix: 2 "
        f"harder reshuffle_every=20..500; v1 n_noise=5 push=-1..1' (default: {default})"
    )
    group.add_argument("--task", metavar="TASK", help=named)
    group.add_argument(
        *flags("max_steps"), dest="task.max_steps", type=int, metavar="N",
        help="longest episode (default: that of the task)",
    )  # fmt: skip
    add_options(group, "task", TASKS, leave_out=NAMED_SETTINGS)
    if inputs:
        add_options(group, "inputs", {"": Perturbation})


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the options that give the sizes of a network: those that policies have, but for what a task decides."""
    group = parser.add_argument_group("sizes of the network")
    add_options(group, "sizes", POLICIES, leave_out=_OF_TASK)


def add_model(
    parser: argparse.ArgumentParser, default: str = "that of the model, or harder", inputs: bool = True
) -> None:
    """Add the options that say more of MODEL: the network of a bare vector, and the task and, with `inputs`, those."""
    parser.add_argument(
        "--policy", choices=policy_names(), help="for a bare vector: its network (default: the one of its length)"
    )
    add_task(parser, default, inputs)
    add_sizes(parser)


def make_task(options: argparse.Namespace, base: Task = _DEFAULT_TASK) -> Task:
    """Return the task `base`, or another if one was asked for, with what was asked of its settings and inputs.

    Raises InputError for a setting that the task does not have.
    """
    task = choose_task(options.task, base)
    settings = given(options, "task")
    for name in settings:
        if name not in task.setting_names and name != "max_steps":
            raise InputError(f"the task {task.label} has no {flags(name)[0]}: leave it out")
    return task.altered(given(options, "inputs"), settings)


def choose_task(text: str | None, base: Task = _DEFAULT_TASK) -> Task:
    """Return the task that a text names, or `base`, whose settings it has as far as the name leaves them open."""
    if text is None:
        return base
    try:
        return task_from_text(text, base)
    except InputError as error:
        raise InputError(f"--task: {error}") from None


def free_name(path: str, taken: Container[str]) -> str:
    """Return a name to show for what is at `path` that is not in `taken`."""
    resolved = as_path(path).resolve()
    name = resolved.name if resolved.is_dir() else resolved.stem
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name} {number}", number + 1
    return unique


def default_policy(name: str, task: Task) -> Policy:
    """Return the policy of a name on the command line, in its default sizes for the task."""
    kind, sizes = _NAMED.get(name, (name, {}))
    cls = POLICIES[kind]
    fields = {field.name for field in dataclasses.fields(cls)}
    of_task = {size: getattr(task, size) for size in _OF_TASK if size in fields}
    return cls(**{**_PUBLISHED.get((task.kind, name), {}), **sizes, **of_task})


def saved_task(config: Any, path: object, asked: str | None) -> Task:
    """Return the task that a file describes; where it cannot be made and another is asked for, any.

    Raises what keeps it from being made, and the way out, if no other is asked for.
    """
    try:
        return task_from_config(config)
    except (InputError, MissingExtraError) as error:
        if asked is not None:
            return _DEFAULT_TASK
        raise type(error)(
            f"the task that {path} is of cannot be made here: {error}; say which it is with --task"
        ) from None


def choose_run(
    options: argparse.Namespace,
    name: str,
    base: Task = _DEFAULT_TASK,
    default: Callable[[str, Task], Policy] = default_policy,
) -> tuple[Task, Policy, str | None]:
    """Return the task and the policy of a run: those of the one to resume, or new ones, with what was asked for.

    Args:
        options: of the command.
        name: of the policy.
        base: the task of a new run, if no other is asked for.
        default: gives the policy of a new run.

    Returns:
        Task, policy, and which file of the folder says so: RECIPE, CONFIG, or None for a new run.
    """
    files = (RECIPE, CONFIG) if given(options, "run").get("resume") else ()
    folder = as_path(options.run_dir, "RUN_DIR")
    begun = next((file for file in files if (folder / file).exists()), None)
    old = read_config(folder, begun) if begun else None
    task = make_task(options, base if old is None else saved_task(old["task"], folder, options.task))
    policy = default(name, task)
    before = policy if old is None else policy_from_config(old["policy"])
    if name == (before.label if before.label in _NAMED else before.kind):
        policy = before
    return task, make_policy(policy, given(options, "sizes")), begun


def make_policy(base: Policy, sizes: Mapping[str, Any]) -> Policy:
    """Return the policy `base` with some sizes changed.

    Raises InputError for a size that its kind does not have.
    """
    for name in sizes:
        if name not in base.config:
            raise InputError(f"a policy of kind {base.kind!r} has no {flags(name)[0]}: leave it out")
    return dataclasses.replace(base, **sizes)


def load_model(
    path: str,
    task: Task = _DEFAULT_TASK,
    kind: str | None = None,
    sizes: Mapping[str, Any] | None = None,
    asked: str | None = None,
) -> Model:
    """Return what a path or a name stands for: a shipped model, a policy file, a run folder, or a bare vector.

    Args:
        path: where it is.
        task: what a bare vector is for.
        kind: its policy, by its name on the command line; the one of its length if None.
        sizes: of that policy; of one in a file only the gain can be changed.
        asked: the task that was asked for, by its name on the command line: then that of a file need not be there.

    Raises:
        InputError, FileError: if it is none of these, or `kind` and `sizes` contradict it.
        MissingExtraError: if the package of the file's task is not installed, and no other is asked for.
    """
    sizes = sizes or {}
    file = _find_file(path)
    if "header" not in read_npz(file):
        params = load_params(file)
        policy = _policy_of_vector(path, params, task, kind, sizes)
        return Model(policy, params, task.seen_as(policy.n_channels).plain)
    policy, params, about = load_policy_about(file)
    others = [name for name in sizes if name not in _CHANGEABLE] + ["policy"] * (kind is not None)
    if others:
        option = flags(others[0])[0]
        raise InputError(f"{option} is for bare vectors, and {file} says what its network is: leave it out")
    task = saved_task(about["task"], file, asked) if "task" in about else _DEFAULT_TASK
    return Model(make_policy(policy, sizes), params, task.plain)


def load_model_and_task(path: str, options: argparse.Namespace) -> tuple[Model, Task]:
    """Return what a path or a name stands for by options of `add_model`, and the task as they perturb it."""
    guess = choose_task(options.task).altered(given(options, "inputs"), {})
    model = load_model(path, guess, options.policy, given(options, "sizes"), options.task)
    return model, make_task(options, model.task).seen_as(model.policy.n_channels)


def add_side_by_side(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a second model to be shown."""
    parser.add_argument(
        "--side-by-side", metavar="MODEL", help="show a second agent beside it: same start, same noise, same shuffles"
    )


def load_side_by_side(options: argparse.Namespace) -> tuple[dict[str, tuple[Policy, np.ndarray]], Task]:
    """Return the models that options of `add_model` and `add_side_by_side` stand for, by name, and the task."""
    if options.side_by_side is not None:
        as_path(options.side_by_side, "--side-by-side")
    model, task = load_model_and_task(options.model, options)
    models = {free_name(options.model, ()): (model.policy, model.params)}
    if options.side_by_side is not None:
        rival = load_model(options.side_by_side, choose_task(options.task), asked=options.task)
        models[free_name(options.side_by_side, models)] = (rival.policy, rival.params)
    return models, task


def _find_file(path: str) -> Path:
    file = as_path(path, "MODEL")
    if not file.exists() and path in model_names():
        return model_path(path)
    if not file.exists() and near_models(path):
        raise FileError(f"there is no file {path}, and no shipped model of that name{near_models(path)}")
    if file.is_dir():
        if not (file / CONFIG).exists():
            raise FileError(f"{file} is a folder but not a run of pisensory")
        return file / BEST
    return file


def _policy_of_vector(path: str, params: np.ndarray, task: Task, kind: str | None, sizes: Mapping[str, Any]) -> Policy:
    """Return the network a bare vector is for: the one asked for, or the default one of its length."""
    if kind is None and any(name not in _CHANGEABLE for name in sizes):
        raise InputError("sizes need a kind to belong to: say which with --policy")
    tried = {}
    for name in policy_names() if kind is None else [kind]:
        try:
            policy = default_policy(name, task)
            policy = make_policy(policy, sizes) if kind is not None else policy
            check_fit(policy, task.seen_as(policy.n_channels))
        except InputError:
            if kind is not None:
                raise
            continue
        if policy.n_params == len(params):
            return make_policy(policy, sizes)
        tried[name] = policy.n_params
    needed = ", ".join(f"{name} {n_params}" for name, n_params in tried.items())
    raise InputError(
        f"{path} holds {len(params)} numbers, which fits none of the networks tried ({needed}): "
        "say what it is for with --policy and its sizes"
    )
