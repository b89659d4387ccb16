"""Make a page to play with trained cart-pole agents in the browser.

Writes one HTML file on which the agents run in any browser, from disk and without a network. The options on inputs say
how the page starts.
"""

from __future__ import annotations

import argparse
import webbrowser

import numpy as np

from ..errors import InputError
from ..page import PageSettings, write_page
from ..policies import Policy
from ..tasks import CartPoleSwingUp
from .arguments import add_options, check_output, given
from .options import add_model, free_name, load_model, make_task


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="shipped model, file, run folder, or bare vector")
    parser.add_argument("--output", "-o", default="page.html", metavar="FILE", help="to write (default: page.html)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    add_options(parser, "page", {"": PageSettings}, leave_out=("version",))
    add_model(parser, default="v1")


def run(options: argparse.Namespace) -> int:
    """Write the page, say so, and open it if asked."""
    output = check_output(options.output)
    task = make_task(options, CartPoleSwingUp("v1"))
    if task.kind != CartPoleSwingUp.kind:
        raise InputError(f"a page shows the cart-pole, not a task of kind {task.kind!r}: use v1, v0 or harder")
    if given(options, "task"):
        raise InputError("a run on the page goes on for as long as one likes: leave out --max-steps")
    models: dict[str, tuple[Policy, np.ndarray]] = {}
    for path in options.models:
        # What is done to the inputs on the page says nothing about what a bare vector was made for.
        model = load_model(path, kind=options.policy, sizes=given(options, "sizes"), asked=options.task)
        if model.task.kind != CartPoleSwingUp.kind:
            raise InputError(
                f"{path} was trained on a task of kind {model.task.kind!r}, but a page shows agents of the cart-pole: "
                "give it models trained on harder, v0 or v1"
            )
        models[free_name(path, models)] = (model.policy, model.params)
    write_page(output, models, PageSettings(task.label, perturbation=task.perturbation, **given(options, "page")))
    path = output.resolve()
    print(f"wrote {options.output} ({path.stat().st_size / 1000:.0f} kB): open it in a browser")
    if options.open:
        webbrowser.open(path.as_uri())
    return 0
