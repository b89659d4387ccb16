"""The page of a report: one HTML file with its style, tables and figures inside."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tasks.cartpole import FEATURES
from .inside import REGRESSION_EPISODES
from .published import SOURCE

Drawn = Mapping[str, Sequence[tuple[str, str, str]]]

# Colours of the figures -> variables of the page, which has others in the dark.
_COLOURS = {
    "#1d1c1a": "--ink", "#5e5b55": "--soft", "#dedad1": "--line", "#ffffff": "--card", "#0072b2": "--blue",
    "#d55e00": "--red", "#009e73": "--green", "#cc79a7": "--pink", "#e69f00": "--yellow", "#56b4e9": "--sky",
}  # fmt: skip

# Study, title, what it shows.
_SECTIONS = (
    (
        "inputs",
        "Inputs",
        "The return with the inputs as they are, in a random order drawn for each episode, each given twice, and with "
        "as many inputs of noise beside them. <em>Gain</em> is a factor on the weighted sum of the inputs: half of it "
        "where there are twice as many, as in the paper. All rows meet the same episodes.",
    ),
    (
        "reshuffling",
        "Reshuffling",
        "The inputs get a new random order every so many steps of an episode, and the policy is not told.",
    ),
    (
        "shuffling",
        "Models and shuffling",
        "The distribution of returns on <code>v1</code>: above each line with the inputs in order, below it shuffled.",
    ),
    (
        "noise-features",
        "Noise features",
        "The return on <code>v1</code> with noise inputs beside the five. Crosses are the same with all inputs "
        "shuffled; for an invariant policy they lie on the line.",
    ),
    (
        "latent",
        "The latent code does not change",
        "What the policy makes of its inputs before it acts: the channels of the latent code over one episode, the "
        "same episode with the inputs in order and shuffled. Where no bit depends on the "
        "order, the largest difference is 0, not nearly 0.",
    ),
    (
        "attention",
        "Attention",
        "How much each input counts: the absolute attention, averaged over the channels of the latent code and five "
        "steps, and all of it at the step of the dotted line.",
    ),
    (
        "recovery",
        "Recovery after a reshuffle",
        "What a reshuffle in the middle of an episode does. The latent code is averaged over episodes and 25 steps; "
        "its distance is that from the same episodes left alone, in per cent of the code's root mean square. It is "
        "back when it stays within 5 % for 100 steps.",
    ),
    (
        "regression",
        "What the latent code knows",
        "The part of the variance of each input (R²) that a linear function of the latent code of the shuffled inputs "
        "gives back: fitted on half of the episodes, measured on the other half.",
    ),
    (
        "noise-inputs",
        "Beyond: a thousand inputs of noise",
        "How the return falls with the number of noise inputs. From 64 inputs on there are fewer episodes, as the "
        "table says: inputs times episodes are at most 64,000.",
    ),
    (
        "dropped",
        "Beyond: lost inputs",
        "One input, or two, read 0 for the whole episode. To an invariant policy that is as if they were not there.",
    ),
    (
        "delay",
        "Beyond: a late input",
        "One of the inputs arrives some steps late.",
    ),
    (
        "noise-kinds",
        "Beyond: noise that is harder to tell",
        "White noise is easy to know as noise. Five noise inputs of other sizes and kinds: one draw that stays for the "
        "episode, a slow random walk (a correlation of 1/e after 100 steps), and white noise on top of a copy of each "
        "input.",
    ),
)  # fmt: skip


def make_html(report: Mapping[str, Any], drawn: Drawn) -> str:
    """Return the page.

    Args:
        report: what report.json holds.
        drawn: study -> [(name of the figure's files, alternative text, SVG), ...].
    """
    sections = [("models", "Models", _models(report))]
    for study, title, text in _SECTIONS:
        tables = _tables(report, study)
        figures = "".join(_figure(*figure) for figure in drawn.get(study, []))
        if tables or figures:
            sections.append((study, title, f"<p>{text}</p>\n{figures}{tables}"))
    sections.append(("made", "How it was made", _made(report)))
    names = [model["name"] for model in report["models"]]
    title = f"Robustness of {names[0]}" if len(names) == 1 else f"Robustness of {len(names)} policies"
    links = "".join(f'<li><a href="#{key}">{html.escape(heading)}</a></li>' for key, heading, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{html.escape(heading)}</h2>\n'
        f"{content}</section>\n"
        for key, heading, content in sections
    )
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{html.escape(title)}</h1>\n<p>{_summary(report)}</p></header>\n"
        f'<nav aria-label="Contents"><h2>Contents</h2><ol>{links}</ol></nav>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


def _summary(report: Mapping[str, Any]) -> str:
    """Return the report in a sentence or two: what shuffling costs each policy."""
    plain, shuffled = (
        {score["model"]: score["mean"] for score in report["scores"]["inputs"] if score["key"] == key}
        for key in ("plain", "shuffled")
    )
    same = [name for name in plain if plain[name] == shuffled[name]]
    others = [name for name in plain if plain[name] != shuffled[name]]
    parts = []
    if same:
        verb = "scores" if len(same) == 1 else "score"
        parts.append(f"{_join(same)} {verb} the same, to the last bit, whatever the order of the inputs.")
    if others:
        changes = _join([f"{name} ({_number(plain[name])} to {_number(shuffled[name])})" for name in others])
        parts.append(f"Shuffling changes {changes}.")
    return html.escape(" ".join(parts))


def _join(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _number(value: float | None, digits: int = 0) -> str:
    return "not finite" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def _figure(name: str, alt: str, svg: str) -> str:
    """Return a figure with its drawing inside, in the page's own colours."""
    drawing = svg[svg.index("<svg") :]
    for colour, variable in _COLOURS.items():
        drawing = re.sub(rf"(?<=: ){colour}\b", f"var({variable})", drawing, flags=re.IGNORECASE)
    drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)
    return (
        f'<figure><div class="scroll" tabindex="0" role="group" aria-label="Figure {name}">{drawing}</div>'
        f"<figcaption>{html.escape(alt)}. Files: {name}.png, {name}.svg.</figcaption></figure>\n"
    )


def _table(caption: str, columns: Iterable[str], groups: Iterable[tuple[str, Iterable[Sequence[str]]]]) -> str:
    """Return a table of text; each group of rows has a heading, each row its name in the first column."""
    columns = list(columns)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    parts = []
    for heading, rows in groups:
        title = f'<tr class="group"><th colspan="{len(columns)}" scope="rowgroup">{html.escape(heading)}</th></tr>'
        lines = [
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(value)}</td>" for value in row[1:])
            + "</tr>"
            for row in rows
        ]
        parts.append(f"<tbody>{title if heading else ''}{''.join(lines)}</tbody>")
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{html.escape(caption)}"><table>'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>{''.join(parts)}</table></div>\n"
    )


def _models(report: Mapping[str, Any]) -> str:
    rows = []
    for model in report["models"]:
        policy, task = model["policy"], model["task"]
        kind = "linear" if policy.get("hidden_sizes") in ((), []) else policy["kind"]
        name = task.get("version") or task.get("env") or task["kind"]
        rows.append((model["name"], kind, f"{model['n_params']:,}", name, f"{model['episodes']:,}"))
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in report["notes"])
    columns = ("model", "network", "parameters", "task", "episodes a score")
    return _table("The policies of this report", columns, [("", rows)]) + notes


def _tables(report: Mapping[str, Any], study: str) -> str:
    if study == "regression":
        return _regression(report)
    scores = report["scores"].get(study, [])
    if not scores:
        return ""
    published = any(score["published"] for score in scores)
    columns = ["condition", "mean ± deviation", "95 % interval of the mean", "steps", "episodes"]
    columns += [f"published, {SOURCE}"] if published else []
    groups = [
        (model, [_score_row(score, published) for score in scores if score["model"] == model])
        for model in dict.fromkeys(score["model"] for score in scores)
    ]
    title = next(title for key, title, _ in _SECTIONS if key == study)
    table = _table(f"{title}: return of an episode", columns, groups)
    if len(scores) <= 24:
        return table
    return f"<details><summary>All {len(scores)} numbers</summary>{table}</details>\n"


def _score_row(score: Mapping[str, Any], published: bool) -> list[str]:
    interval = f"{_number(score['interval_low'], 1)} to {_number(score['interval_high'], 1)}"
    row = [
        score["label"], f"{_number(score['mean'], 1)} ± {_number(score['std'], 1)}", interval,
        _number(score["mean_length"]), f"{score['episodes']:,}",
    ]  # fmt: skip
    if published:
        facts = score["published"]
        row.append(f"{facts[0]:,} ± {facts[1]:,}" if facts else "")
    return row


def _regression(report: Mapping[str, Any]) -> str:
    if not report["inside"]:
        return ""
    rows = [
        (found["model"], *(_number(found["regression"]["r2"][name], 3) for name in FEATURES))
        for found in report["inside"]
    ]
    caption = f"R² of each input, at most {REGRESSION_EPISODES} episodes"
    return _table(caption, ("model", *FEATURES), [("", rows)])


def _made(report: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    command = f"<pre><code>{html.escape(report['command'])}</code></pre>" if report["command"] else ""
    return (
        f"{command}<p>Seed {report['seed']} for every score, so all meet the same episodes. {html.escape(versions)}. "
        f"{report['seconds']:.0f} seconds. Intervals are percentile bootstrap intervals of the mean. All numbers are "
        "in report.json beside this page.</p>"
    )
