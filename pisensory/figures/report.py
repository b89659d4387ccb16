"""Which figures a report has: one function a figure, from the numbers of report.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import inside, scores
from .style import styled


class Drawing(NamedTuple):
    """A figure of a report."""

    study: str
    name: str  # of its files
    alt: str  # what it shows, for those who cannot see it
    canvas: Any  # matplotlib's figure


# Study -> what draws all models in one figure.
_ALL = {
    "reshuffling": scores.draw_reshuffling,
    "shuffling": scores.draw_shuffling,
    "noise-features": scores.draw_noise_features,
    "noise-inputs": scores.draw_noise_inputs,
}
# Study -> what draws one model.
_EACH = {
    "dropped": scores.draw_dropped,
    "delay": scores.draw_delay,
    "noise-kinds": scores.draw_noise_kinds,
}
_INSIDE = {
    "latent": inside.draw_latent,
    "attention": inside.draw_attention,
    "recovery": inside.draw_recovery,
}


def report_figures(report: Mapping[str, Any]) -> list[Drawing]:
    """Return the figures that there are numbers for."""
    drawings = []
    plain = {score["model"]: score["mean"] for score in report["scores"]["inputs"] if score["key"] == "plain"}
    with styled():
        for study, draw in _ALL.items():
            found = report["scores"].get(study)
            if found:
                drawings.append(Drawing(study, study, *draw(found)))
        for study, draw_one in _EACH.items():
            found = report["scores"].get(study, [])
            for model in dict.fromkeys(score["model"] for score in found):
                some = [score for score in found if score["model"] == model]
                drawings.append(Drawing(study, f"{study}-{_slug(model)}", *draw_one(some, plain[model])))
        for study, draw_inside in _INSIDE.items():
            for found in report["inside"]:
                if study != "recovery" or found["recovery"]["episodes"]:
                    name = f"{study}-{_slug(found['model'])}"
                    drawings.append(Drawing(study, name, *draw_inside(found["model"], found[study])))
    return drawings


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
