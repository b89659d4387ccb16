"""The networks. They know no task: each maps observations to actions, for one agent or a population."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .base import Agent, Policy, PolicyRun
from .invariant import InvariantPolicy
from .mlp import MLPPolicy

__all__ = ["POLICIES", "Agent", "InvariantPolicy", "MLPPolicy", "Policy", "PolicyRun", "policy_from_config"]

POLICIES: dict[str, type[Policy]] = {policy.kind: policy for policy in (InvariantPolicy, MLPPolicy)}


def policy_from_config(config: Any) -> Policy:
    """Return the policy that `Policy.config` describes.

    Raises InputError for an unknown kind, a size that is missing or unknown, or an impossible one.
    """
    if not isinstance(config, dict) or config.get("kind") not in list(POLICIES):
        raise InputError(f"a policy must be one of the kinds {', '.join(POLICIES)}, got {config!r}")
    sizes = {name: value for name, value in config.items() if name != "kind"}
    try:
        return POLICIES[config["kind"]](**sizes)
    except TypeError as error:
        raise InputError(f"the sizes of a policy are not those of its kind: {error}") from None
