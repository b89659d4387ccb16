"""Trained policies that ship with the package, each a policy file that says how it was made."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, show
from ..files import load_policy_about
from ..policies import Policy

_FOLDER = Path(__file__).parent


def model_names() -> list[str]:
    """Return the names of the shipped models, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def model_path(name: str) -> Path:
    """Return the file of a shipped model; raise InputError, with the names there are, for any other name."""
    if not isinstance(name, str) or name not in model_names():
        near = near_models(name) if isinstance(name, str) else ""
        raise InputError(f"name must be that of a model, got {show(name)}{near}; there are: {', '.join(model_names())}")
    return _FOLDER / f"{name}.npz"


def near_models(name: str) -> str:
    """Return a question that names the models spelt most like `name`, or nothing if none is."""
    near = difflib.get_close_matches(name, model_names(), 3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def load_model(name: str) -> tuple[Policy, np.ndarray]:
    """Return the policy and the flat vector (parameter,) of a shipped model.

    Raises InputError, with the names there are, for any other name.

    Examples:
        >>> policy, params = ps.load_model("cartpole-invariant-small")
        >>> policy.label, params.shape
        ('invariant', (913,))
    """
    policy, params, _ = load_policy_about(model_path(name))
    return policy, params


def describe_model(name: str) -> dict[str, Any]:
    """Return what a shipped model's file says of it: task, scores, and how it was trained.

    Raises InputError, with the names there are, for any other name.
    """
    policy, _, about = load_policy_about(model_path(name))
    return {"name": name, "policy": policy.config, "n_params": policy.n_params, **about}
