"""Completing the C code of a kind of policy, a file beside this one, by the numbers of a trained one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..errors import check_type
from ..files import PathLike, write_text
from ..parameters import Vector
from ..policies import Policy

_WIDTH = 120


def export_c(path: PathLike, policy: Policy, params: Vector) -> None:
    """Write an agent as a single C file: no allocation, no dependency but the C library's math.

    Its three names are `Agent`, `agent_reset` and `agent_act`; the file says how to call and compile it.

    Args:
        path: of the file; its folder must exist.
        policy: the network: an InvariantPolicy or an MLPPolicy.
        params: its flat vector (parameter,).

    Raises:
        InputError: for a vector that does not fit the policy, or a policy of another kind.
        FileError: if the file cannot be written; one that was there stays as it was.

    Examples:
        >>> ps.export_c("agent.c", *ps.load_model("cartpole-invariant-small"))
        >>> "agent_act" in open("agent.c").read()
        True
    """
    check_type("policy", policy, Policy, "ps.InvariantPolicy()")
    constants, arrays = policy.c_parts(params)
    parts = {
        "about": f"{policy.label} policy of {policy.n_params} parameters",
        "constants": "\n".join(f"#define {name} {_number(value)}" for name, value in constants.items()),
        "arrays": "\n\n".join(_array(name, array) for name, array in arrays.items()),
        "head": "\n".join(_head({name: array for name, array in arrays.items() if name.startswith("HEAD")})),
        "dense": _read("dense"),
        "main": _read("main"),
    }
    text = _read(policy.kind)
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    write_text(path, text + "\n")


def _read(name: str) -> str:
    return (Path(__file__).parent / f"{name}.c").read_text(encoding="utf-8").strip("\n")


def _number(value: float) -> str:
    """Return a number as C writes it: a float to its last bit, in nine digits."""
    if isinstance(value, int):
        return str(value)
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if set(text) & set(".e") else f"{text}.0f"


def _array(name: str, array: np.ndarray) -> str:
    lines = [f"static const float {name}[{array.shape[0]}][{array.shape[1]}] = {{"]
    for row in array.tolist():
        line = "    {"
        for place, value in enumerate(row):
            text = _number(value) + ("}," if place == len(row) - 1 else ",")
            if len(line) + len(text) >= _WIDTH:
                lines.append(line.rstrip())
                line = "     "
            line += text if text.endswith("},") else text + " "
        lines.append(line)
    return "\n".join([*lines, "};"])


def _head(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Yield the lines that lead from `latent` through the dense layers to `action`."""
    last = list(arrays)[-1]
    for name, array in arrays.items():
        if name != last:
            yield f"    float after_{name.lower()}[{len(array)}];"
    before = "latent"
    for name, array in arrays.items():
        after = "agent->action" if name == last else f"after_{name.lower()}"
        yield f"    dense(&{name}[0][0], {len(array)}, {array.shape[1] - 1}, {before}, {after});"
        before = after
