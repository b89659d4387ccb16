"""The networks. They know no task: each maps observations to actions, for one agent or a population."""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import InputError, show
from .ablated import AblatedPolicy
from .agents import Agents
from .attention_agent import AttentionAgentPolicy
from .base import Agent, Policy, PolicyRun, Unrolled
from .cnn import CNNPolicy
from .invariant import InvariantPolicy
from .lstm import LSTMPolicy
from .mlp import MLPPolicy
from .patches import PatchPolicy

P = TypeVar("P", bound=Policy)

__all__ = [
    "POLICIES",
    "AblatedPolicy",
    "Agent",
    "Agents",
    "AttentionAgentPolicy",
    "CNNPolicy",
    "InvariantPolicy",
    "LSTMPolicy",
    "MLPPolicy",
    "PatchPolicy",
    "Policy",
    "PolicyRun",
    "Unrolled",
    "policy_from_config",
    "register",
]  # fmt: skip

POLICIES: dict[str, type[Policy]] = {
    policy.kind: policy
    for policy in (InvariantPolicy, MLPPolicy, LSTMPolicy, AblatedPolicy, PatchPolicy, AttentionAgentPolicy, CNNPolicy)
}


def register(policy: type[P]) -> type[P]:
    """Add a class of policies by its `kind`, so that files and the command line know it; return it.

    May be used as a decorator. A class that is defined again, as in a notebook, takes the place of the first.

    Raises InputError for a kind that is another policy's.
    """
    known = POLICIES.get(policy.kind, policy)
    if (known.__module__, known.__qualname__) != (policy.__module__, policy.__qualname__):
        raise InputError(f"the kind {policy.kind!r} is {known.__qualname__}'s: give {policy.__qualname__} another")
    POLICIES[policy.kind] = policy
    return policy


def policy_from_config(config: Any) -> Policy:
    """Return the policy that `Policy.config` describes.

    Raises InputError for an unknown kind, a size that is missing or unknown, or an impossible one.
    """
    if not isinstance(config, dict) or config.get("kind") not in list(POLICIES):
        raise InputError(f"a policy must be one of the kinds {', '.join(POLICIES)}, got {show(config)}")
    sizes = {name: value for name, value in config.items() if name != "kind"}
    try:
        return POLICIES[config["kind"]](**sizes)
    except TypeError as error:
        raise InputError(f"the sizes of a policy are not those of its kind: {error}") from None
