"""Fill the page's template: folded weights, the constants of the physics and the settings to start with.

The page computes what `layers` does with the same folded float32 weights, in double precision.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, check_int
from ..files import PathLike, write_text
from ..parameters import Vector, check_params
from ..policies import Policy
from ..tasks import Perturbation, cartpole

MAX_NOISE = 50
MAX_COPIES = 4
MAX_MODELS = 12
MAX_BYTES = 200_000
# Steps that the page has gone through when it opens: by then a good agent holds the pole.
SKIPPED_STEPS = 300
# Of a perturbation.
_SHOWN = ("shuffle", "reshuffle_every", "n_noise", "noise_std", "n_copies")
# In the order in which they become one script: the later ones use the earlier.
_SCRIPTS = ("simulation.js", "drawing.js", "page.js")
_FITS = "a page shows agents of the cart-pole: invariant policies with one action, or mlp policies with 5 inputs or more and one action"  # noqa: E501


@dataclasses.dataclass(frozen=True)
class PageSettings:
    """How the page starts; all of it can be changed there.

    Args:
        version: of the cart-pole: "v1", "v0" or "harder".
        seed: of the first run.
        perturbation: what is done to the inputs; at most 50 noise inputs and 4 copies.
        eyes: address of the page of the agents that see, linked at the foot; None for no link.

    Raises:
        InputError: for an unknown version, a seed below 0 or above 2^32 - 1, more inputs than fit, or inputs at fault.
    """

    version: str = "v1"
    seed: int = 0
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    eyes: str | None = None

    def __post_init__(self) -> None:
        if self.version not in cartpole.VERSIONS:
            raise InputError(f"version must be one of {', '.join(cartpole.VERSIONS)}, got {self.version!r}")
        object.__setattr__(self, "seed", check_int("seed", self.seed, 0))
        if self.seed >= 2**32:
            raise InputError(f"seed must be below 2^32 for a page, got {self.seed}")
        for name, value, most in (
            ("n_noise", self.perturbation.noise_places, MAX_NOISE),
            ("n_copies", self.perturbation.n_copies, MAX_COPIES),
        ):
            if value > most:
                raise InputError(f"{name} must be at most {most} for a page, got {value}")
        done, plain = vars(self.perturbation), vars(Perturbation())
        others = [name for name in done if done[name] != plain[name] and name not in _SHOWN]
        ranges = [name for name in _SHOWN if isinstance(done[name], tuple)]
        if others or ranges:
            raise InputError(
                "a page starts with white noise and sound inputs, has no ranges, and is pushed by hand: leave out "
                f"{', '.join(others + ranges)}"
            )


def make_page(models: Mapping[str, tuple[Policy, Vector]], settings: PageSettings | None = None) -> str:
    """Return the page as HTML that needs no other file and no network.

    Args:
        models: name to show -> (policy, its flat vector (parameter,)); the first is shown first.
        settings: how the page starts.

    Raises:
        InputError: for no models, more than 12, one that is no cart-pole policy, a vector that does not fit its
            policy, or a page that would exceed 200 kB.
    """
    settings = settings or PageSettings()
    if not 1 <= len(models) <= MAX_MODELS:
        raise InputError(f"a page shows 1 to {MAX_MODELS} models, got {len(models)}")
    data = {
        "models": [_describe(name, policy, params) for name, (policy, params) in models.items()],
        "physics": {name.lower(): getattr(cartpole, name) for name in _CONSTANTS},
        "settings": {
            "version": settings.version,
            "seed": settings.seed,
            "model": 0,
            "rival": _rival(models),
            "divide": False,
            "skip": SKIPPED_STEPS,
            "unplugged": [],
            **_inputs(settings.perturbation),
        },
        "scenarios": _scenarios(),
        "claims": _claims(models),
        "limits": {"noise": MAX_NOISE, "copies": MAX_COPIES},
    }
    text = _fill(
        _read("page.html"),
        title=html.escape(" and ".join(models) if len(models) < 3 else f"{len(models)} agents"),
        style=_read("page.css"),
        # In a script, "</script>" and "<!--" must not appear, whatever a model is called.
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        eyes=f'<p><a href="{html.escape(settings.eyes)}">Shuffle what it sees</a>: agents with eyes, recorded.</p>'
        if settings.eyes
        else "",
        script="\n".join(_read(name) for name in _SCRIPTS),
    )
    size = len(text.encode("utf-8", "backslashreplace"))
    if size > MAX_BYTES:
        raise InputError(f"the page would have {size} bytes, more than {MAX_BYTES}: show fewer or smaller models")
    return text


def write_page(
    path: PathLike, models: Mapping[str, tuple[Policy, Vector]], settings: PageSettings | None = None
) -> None:
    """Write the page of `make_page` to `path`, atomically; raises FileError if that fails."""
    write_text(path, make_page(models, settings))


_CONSTANTS = (
    "GRAVITY", "CART_MASS", "POLE_MASS", "POLE_LENGTH", "FRICTION", "MAX_FORCE", "TIME_STEP", "TRACK_LIMIT",
)  # fmt: skip


def _describe(name: str, policy: Policy, params: Vector) -> dict[str, Any]:
    """Return what the page needs of a model, or raise InputError for one that is no cart-pole policy."""
    # What the page's script computes, and the sizes that it needs to know.
    names = {"invariant": ("n_embeddings", "hidden_size", "gain"), "mlp": ("n_features",)}.get(policy.kind)
    too_few = policy.n_features is not None and policy.n_features < len(cartpole.FEATURES)
    if names is None or policy.n_actions != 1 or too_few:
        takes = f"{policy.n_features} inputs and " if policy.n_features else ""
        actions = "one action" if policy.n_actions == 1 else f"{policy.n_actions} actions"
        raise InputError(f"{name} is a policy of kind {policy.kind!r} with {takes}{actions}, but {_FITS}")
    weights = policy.prepare(check_params(params, policy.n_params)[None])
    return {
        "name": name,
        "kind": policy.label,
        "n_params": policy.n_params,
        **{size: policy.config[size] for size in names},
        "weights": [_encode(array[0, 0]) for array in weights],
    }


def _rival(models: Mapping[str, tuple[Policy, Vector]]) -> int | None:
    """Return the number of the model that is shown beside the first: the first of another kind, or else the second."""
    kinds = [policy.kind for policy, _ in models.values()]
    others = [number for number, kind in enumerate(kinds) if kind != kinds[0]] + list(range(1, len(kinds)))
    return others[0] if others else None


def _scenarios() -> list[dict[str, Any]]:
    """Return what can be tried with one click, each with the whole of its settings but the seed and the models."""
    found = json.loads(_read("scenarios.json"))
    return [{**scenario, "settings": {**found["settings"], **scenario["settings"]}} for scenario in found["scenarios"]]


def _claims(models: Mapping[str, tuple[Policy, Vector]]) -> dict[str, Any] | None:
    """Return what the scenarios were measured to come to, or None unless both agents of it are here."""
    claims = json.loads(_read("claims.json"))
    here = [fingerprint(policy, params) for policy, params in models.values()]
    if not set(claims["fingerprints"]) <= set(here):
        return None
    numbers = [here.index(known) for known in claims["fingerprints"]]
    return {"models": numbers, "starts": claims["starts"], "outcomes": claims["outcomes"]}


def fingerprint(policy: Policy, params: Vector) -> str:
    """Return what tells an agent from all others: a hash of its sizes and of its parameters."""
    sizes = json.dumps(policy.config, sort_keys=True).encode()
    return hashlib.sha256(sizes + check_params(params, policy.n_params).astype("<f4").tobytes()).hexdigest()[:16]


def _encode(matrix: np.ndarray) -> dict[str, Any]:
    """Return a matrix (row, column) as base64 of little-endian float32, row by row."""
    rows, columns = matrix.shape
    return {"rows": rows, "columns": columns, "data": base64.b64encode(matrix.astype("<f4").tobytes()).decode()}


def _inputs(perturbation: Perturbation) -> dict[str, Any]:
    return {
        "shuffle": perturbation.shuffle,
        "every": perturbation.reshuffle_every or 0,
        "noise": perturbation.n_noise,
        "noise_std": perturbation.noise_std,
        "copies": perturbation.n_copies,
    }


def _fill(template: str, **values: str) -> str:
    """Replace each {{name}} of the template once; what is put in is not looked at again."""
    pieces = []
    for piece in template.split("{{"):
        name, found, rest = piece.partition("}}")
        pieces.append(values[name] + rest if found else piece)
    return "".join(pieces)


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
