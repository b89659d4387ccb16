"""Score policies under shuffles, noise, lost and late inputs.

Scores policies under all that can be done to their inputs, and looks inside them. Writes report.html, which needs no
other file, report.json with every number, and the figures as PNG and SVG.
"""

from __future__ import annotations

import argparse

from ..report import Subject, write_report
from .arguments import add_options, check_output, given, shows_progress
from .options import add_task, choose_task, free_name, load_model, make_task


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="shipped model, file, run folder, or bare vector")
    parser.add_argument("--output", "-o", default="report", metavar="DIR", help="folder to write to (default: report)")
    add_options(parser, "report", {"": write_report}, leave_out=("command", "progress"))
    add_task(parser, default="that of each model", inputs=False)


def run(options: argparse.Namespace) -> int:
    """Make the report, and say where it is."""
    output = check_output(options.output)
    subjects: dict[str, Subject] = {}
    for path in options.models:
        model = load_model(path, choose_task(options.task), asked=options.task)
        name = free_name(path, subjects)
        task = make_task(options, model.task)
        subjects[name] = Subject(name, model.policy, model.params, task)
    asked = given(options, "report")
    report = write_report(list(subjects.values()), output, progress=shows_progress(), command=options.command, **asked)
    page = output / "report.html"
    print(f"wrote {page} and the figures beside it in {report['seconds']:.0f} s")
    return 0
