"""What a run was begun with: policy, task and settings, in config.json."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import FileError, InputError, check_int, check_positive
from ..files import VERSION, PathLike, read_json, write_json
from ..policies import Policy
from ..tasks import Task
from .folder import CONFIG

Settings = TypeVar("Settings")

_FORMAT = "pisensory-run"
_PARTS = ("policy", "task", "training")


def given(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are settings, as far as they were given."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in arguments.items() if name in names and value is not None}


def merge(kind: type[Settings], saved: Mapping[str, Any], asked: Mapping[str, Any]) -> Settings:
    """Return settings: those asked for, else those of the run to resume, else the defaults.

    Raises:
        FileError: if what was saved is of another kind.
    """
    unknown = sorted(set(saved) - {field.name for field in dataclasses.fields(kind)})  # type: ignore[arg-type]
    if unknown:
        raise FileError(f"the run has a setting {unknown[0]!r}, which is none here: it was begun by another command")
    return kind(**{**saved, **asked})


def check_settings(settings: Any, least: Mapping[str, int]) -> None:
    """Make each number of a dataclass of settings what its field says, a Python int, float or bool, in place.

    Args:
        settings: the dataclass, which may be frozen.
        least: the least numbers by name; whole numbers not in it are at least 1, others above 0.

    Raises:
        InputError: for what is no such number.
    """
    for field in dataclasses.fields(settings):
        value, lowest = getattr(settings, field.name), least.get(field.name)
        if field.type == "int":
            value = check_int(field.name, value, 1 if lowest is None else lowest)
        elif field.type == "float":
            value = check_positive(field.name, value, allow_zero=lowest == 0)
        elif field.type == "bool":
            if not isinstance(value, (bool, np.bool_)):
                raise InputError(f"{field.name} must be True or False, got {value!r}")
            value = bool(value)
        object.__setattr__(settings, field.name, value)


def make_config(policy: Policy, task: Task, settings: Any) -> dict[str, Any]:
    """Return what config.json says of a run, as JSON will give it back; raise InputError if JSON cannot hold it."""
    try:
        text = json.dumps([policy.config, task.config, dataclasses.asdict(settings)], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"sizes and settings must be plain numbers, text and sequences of them: {error}") from None
    return dict(zip(_PARTS, json.loads(text)))


def write_config(folder: Path, config: Mapping[str, Any], name: str = CONFIG) -> None:
    """Write a run's config."""
    write_json(folder / name, {"format": _FORMAT, "version": VERSION, **config})


def read_config(run_dir: PathLike, name: str = CONFIG) -> dict[str, Any]:
    """Return the config (policy, task, training) of a run folder; raise FileError if it is none."""
    path = Path(run_dir) / name
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != _FORMAT:
        raise FileError(f"{path} is not the configuration of a run")
    if config.get("version") != VERSION:
        raise FileError(f"{path} is of version {config.get('version')!r}; this pisensory reads {VERSION}")
    for part in _PARTS:
        if not isinstance(config.get(part), dict):
            raise FileError(f"{path} is damaged: it has no {part}")
    return {part: config[part] for part in _PARTS}


def name_bytes(data: bytes) -> str:
    """Return what config.json calls a vector, or a network with one, to tell it from others."""
    return "sha256:" + hashlib.sha256(data).hexdigest()[:16]


def digest(config: Mapping[str, Any]) -> str:
    """Return what tells a config from others."""
    return name_bytes(json.dumps(config, sort_keys=True).encode())


def refuse_differences(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise InputError, which shows them, if there are differences between two configs."""
    if old["policy"].get("kind") != new["policy"].get("kind"):
        old, new = ({**config, "policy": {"kind": config["policy"].get("kind")}} for config in (old, new))
    differences = [
        f"  {part} {name}: {old[part].get(name)!r} in {folder}, {new[part].get(name)!r} asked for"
        for part in _PARTS
        for name in sorted({*old[part], *new[part]})
        if old[part].get(name) != new[part].get(name)
    ]
    if differences:
        raise InputError(
            "this run was trained with other settings; resume it with its own, or train in another folder:\n"
            + "\n".join(differences)
        )
