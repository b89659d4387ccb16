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


# Study -> what draws all models in one figure, one model's scores, and the inside of one.
_ALL = {
    "reshuffling": scores.draw_reshuffling,
    "shuffling": scores.draw_shuffling,
    "noise-features": scores.draw_noise_features,
    "noise-inputs": scores.draw_noise_inputs,
}
_EACH = {"dropped": scores.draw_dropped, "delay": scores.draw_delay, "noise-kinds": scores.draw_noise_kinds}
_INSIDE = {"latent": inside.draw_latent, "attention": inside.draw_attention, "recovery": inside.draw_recovery}


def report_figures(report: Mapping[str, Any]) -> list[Drawing]:
    """Return the figures that there are numbers for."""
    drawings = []
    found = report["scores"]
    plain = {score["model"]: score["mean"] for score in found["inputs"] if score["key"] == "plain"}
    with styled():
        for study, draw in _ALL.items():
            if study in found:
                drawings.append(Drawing(study, study, *draw(found[study])))
        for study, draw_one in _EACH.items():
            for model, some in scores.group(found.get(study, []), lambda score: score["model"]).items():
                drawings.append(Drawing(study, f"{study}-{_slug(model)}", *draw_one(some, plain[model])))
        for study, draw_inside in _INSIDE.items():
            for each in report["inside"]:
                if study != "recovery" or each["recovery"]["episodes"]:
                    name = f"{study}-{_slug(each['model'])}"
                    drawings.append(Drawing(study, name, *draw_inside(each["model"], each[study])))
    return drawings


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
