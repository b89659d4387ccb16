"""Watch episodes in a window, and disturb them.

The space bar shuffles the inputs, the left and right arrows push, R begins the episode again, N the next one, Q and
Escape end. Shows the task, a trace of each input in the colour of what it really is, and the attention.
"""

from __future__ import annotations

import argparse

from ..video import watch
from .arguments import add_options, given
from .options import add_model, add_side_by_side, load_side_by_side


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="shipped model, file, run folder, or bare vector")
    add_side_by_side(parser)
    add_options(parser, "watch", {"": watch})
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Play episodes until the window is closed, then say how they went."""
    models, task = load_side_by_side(options)
    for one in watch(models, task, **given(options, "watch")):
        scores = ", ".join(f"{name} {score:.1f}" for name, score in zip(models, one.scores))
        print(
            f"seed {','.join(map(str, one.seed))}, {one.n_steps} steps, {one.n_shuffles} shuffles, "
            f"{one.n_pushes} pushes; scores: {scores}"
        )
    return 0
