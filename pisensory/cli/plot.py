"""Draw the learning curves of runs.

Draws the scores of runs of train (mean, max and held out) and clone (held out, and the loss) over generations or rounds
(with --steps, environment steps), and over wall time. Runs may be going on.
"""

from __future__ import annotations

import argparse

from ..errors import import_extra
from ..figures import Curve, as_png, as_svg, learning_curves, read_curve
from ..files import atomic_write
from .arguments import check_output
from .options import free_name


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder of train or clone")
    parser.add_argument(
        "--steps", action="store_true", help="draw over environment steps, not over generations or rounds"
    )
    parser.add_argument(
        "--output", "-o", default="learning-curves.png", metavar="FILE",
        help="to write, .png or .svg (default: learning-curves.png)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Draw the curves and say where they are."""
    output = check_output(options.output, (".png", ".svg"))
    import_extra("matplotlib", "viz")
    curves: dict[str, Curve] = {}
    for path in options.runs:
        name = free_name(path, curves)
        curves[name] = read_curve(path, name)
    figure = learning_curves(list(curves.values()), options.steps)
    data = as_png(figure) if output.suffix.lower() == ".png" else as_svg(figure, output.stem).encode()
    with atomic_write(output) as file:
        file.write(data)
    print(f"wrote {output}")
    return 0
