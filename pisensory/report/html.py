"""The page of a report: one HTML file with its style, tables and figures inside."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..figures.style import INK, LINE, PALETTE, PAPER, SOFT
from .inside import REGRESSION_EPISODES
from .published import SOURCE

Drawn = Mapping[str, Sequence[tuple[str, str, str]]]
Scores = Sequence[Mapping[str, Any]]

# Colours of the figures -> variables of the page, which has others in the dark.
_NAMES = ("ink", "soft", "line", "card", "blue", "red", "green", "pink", "yellow", "sky")
_COLOURS = dict(zip((INK, SOFT, LINE, PAPER, *PALETTE), _NAMES))
_MOST_ROWS = 24  # of a table that is shown at once


def make_html(report: Mapping[str, Any], drawn: Drawn) -> str:
    """Return the page.

    Args:
        report: what report.json holds.
        drawn: study -> [(name of the figure's files, alternative text, SVG), ...].
    """
    page, _, texts = _read("report.html").partition("</html>\n")
    sections = [("models", "Models", _models(report))]
    for study, title, text in re.findall(r'<section id="(.*?)" title="(.*?)">\n(.*?)</section>', texts, re.DOTALL):
        figures = "".join(_figure(*figure) for figure in drawn.get(study, []))
        tables = _regression(report) if study == "regression" else _scores(title, report["scores"].get(study, []))
        if tables or figures:
            sections.append((study, title, f"<p>{text}</p>\n{figures}{tables}"))
    sections.append(("made", "How it was made", _made(report)))
    names = [model["name"] for model in report["models"]]
    return string.Template(page + "</html>\n").substitute(
        title=escape(f"Robustness of {names[0] if len(names) == 1 else f'{len(names)} policies'}"),
        style=_read("report.css"),
        summary=escape(_summary(report["scores"]["inputs"])),
        links="".join(f'<li><a href="#{key}">{escape(heading)}</a></li>' for key, heading, _ in sections),
        sections="".join(
            f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{escape(heading)}</h2>\n'
            f"{content}</section>\n"
            for key, heading, content in sections
        ),
    )


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _summary(scores: Scores) -> str:
    """Return the report in a sentence or two: what shuffling costs each policy."""
    plain, shuffled = (
        {score["model"]: score["mean"] for score in scores if score["key"] == key} for key in ("plain", "shuffled")
    )
    same = [name for name in plain if plain[name] == shuffled[name]]
    changes = [f"{name} ({_number(plain[name])} to {_number(shuffled[name])})" for name in plain if name not in same]
    parts = []
    if same:
        verb = "scores" if len(same) == 1 else "score"
        parts.append(f"{_join(same)} {verb} the same, to the last bit, whatever the order of the inputs.")
    if changes:
        parts.append(f"Shuffling changes {_join(changes)}.")
    return " ".join(parts)


def _join(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _number(value: float | None, digits: int = 0) -> str:
    return "not finite" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def _figure(name: str, alt: str, svg: str) -> str:
    """Return a figure with its drawing inside, in the page's own colours."""
    drawing = svg[svg.index("<svg") :]
    for colour, variable in _COLOURS.items():
        drawing = re.sub(rf"(?<=: ){colour}\b", f"var(--{variable})", drawing, flags=re.IGNORECASE)
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
    return (
        f'<figure><div class="scroll" tabindex="0" role="group" aria-label="Figure {name}">{drawing}</div>'
        f"<figcaption>{escape(alt)}. Files: {name}.png, {name}.svg.</figcaption></figure>\n"
    )


def _table(caption: str, columns: Sequence[str], groups: Mapping[str, Iterable[Sequence[str]]]) -> str:
    """Return a table of text; each group of rows has a heading, each row its name in the first column."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = ""
    for heading, rows in groups.items():
        title = f'<tr class="group"><th colspan="{len(columns)}" scope="rowgroup">{escape(heading)}</th></tr>'
        lines = "".join(
            f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(value)}</td>" for value in values)}</tr>'
            for name, *values in rows
        )
        body += f"<tbody>{title if heading else ''}{lines}</tbody>"
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>{body}</table></div>\n"
    )


def _models(report: Mapping[str, Any]) -> str:
    rows = [
        (model["name"], model["network"], f"{model['n_params']:,}", model["task_label"], f"{model['episodes']:,}")
        for model in report["models"]
    ]
    notes = "".join(f"<p>{escape(note)}</p>" for note in report["notes"])
    columns = ("model", "network", "parameters", "task", "episodes a score")
    return _table("The policies of this report", columns, {"": rows}) + notes


def _scores(title: str, scores: Scores) -> str:
    """Return the table of a study's scores, folded away if it is long."""
    published = any(score["published"] for score in scores)
    columns = ["condition", "mean ± deviation", "95 % interval of the mean", "steps", "episodes"]
    columns += [f"published, {SOURCE}"] * published
    groups: dict[str, list[Sequence[str]]] = {}
    for score in scores:
        row = (
            score["label"], f"{_number(score['mean'], 1)} ± {_number(score['std'], 1)}",
            f"{_number(score['interval_low'], 1)} to {_number(score['interval_high'], 1)}",
            _number(score["mean_length"]), f"{score['episodes']:,}",
        )  # fmt: skip
        mean, deviation = score["published"] or (None, None)
        facts = "" if mean is None else f"{mean:,} ± {deviation:,}"
        groups.setdefault(score["model"], []).append((*row, facts) if published else row)
    table = _table(f"{title}: return of an episode", columns, groups) if scores else ""
    if len(scores) <= _MOST_ROWS:
        return table
    return f"<details><summary>All {len(scores)} numbers</summary>{table}</details>\n"


def _regression(report: Mapping[str, Any]) -> str:
    rows = [(found["model"], found["regression"]["r2"]) for found in report["inside"]]
    if not rows:
        return ""
    inputs = list(rows[0][1])
    lines = [(model, *(_number(r2[name], 3) for name in inputs)) for model, r2 in rows]
    return _table(f"R² of each input, at most {REGRESSION_EPISODES} episodes", ("model", *inputs), {"": lines})


def _made(report: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    command = f"<pre><code>{escape(report['command'])}</code></pre>" if report["command"] else ""
    return (
        f"{command}<p>Seed {report['seed']} for every score, so all meet the same episodes. {escape(versions)}. "
        f"{report['seconds']:.0f} seconds. Intervals are percentile bootstrap intervals of the mean. All numbers are "
        "in report.json beside this page.</p>"
    )
