"""Write an agent as one C file, for a microcontroller.

Writes C99 without allocation and without dependencies, which any program can include. The file says how it is called
and compiled.
"""

from __future__ import annotations

import argparse

from ..c_code import export_c
from .arguments import check_output, given
from .options import add_model, choose_task, load_model, make_task


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="shipped model, file, run folder, or bare vector")
    parser.add_argument("--output", "-o", default="agent.c", metavar="FILE", help="to write (default: agent.c)")
    add_model(parser, "that of the model, or harder; for a bare vector it says how many inputs there are", inputs=False)


def run(options: argparse.Namespace) -> int:
    """Write the file, and say what it is."""
    output = check_output(options.output)
    guess = make_task(options, choose_task(options.task))
    model = load_model(options.model, guess, options.policy, given(options, "sizes"), options.task)
    export_c(output, model.policy, model.params)
    lines = len(output.read_text(encoding="utf-8").splitlines())
    print(f"wrote {options.output}: a {model.policy.label} policy of {model.policy.n_params} parameters, {lines} lines")
    return 0
