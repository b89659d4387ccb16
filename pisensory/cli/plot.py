"""Draw the learning curves of runs.

Draws the scores of runs of train (mean, max and held out) and clone (held out, and the losses) over generations or
rounds (with --steps, environment steps), and over wall time. Stages of one training, such as a recipe's teacher, clone
and evolution, stand end to end. Runs may be going on.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from ..errors import import_extra
from ..figures import as_png, as_svg, join_stages, learning_curves, read_stages, settings_but_seed
from ..figures.learning import DEFAULT_METRICS
from ..files import as_path, atomic_write
from .arguments import check_output


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder of train or clone")
    parser.add_argument(
        "--steps", action="store_true", help="draw over environment steps, not over generations or rounds"
    )
    parser.add_argument(
        "--metrics", dest="plot.metrics", metavar="A,B",
        help=f"columns of metrics.csv to draw (default: {','.join(DEFAULT_METRICS)}, as far as they are there)",
    )  # fmt: skip
    parser.add_argument(
        "--over-seeds", action="store_true",
        help="draw runs that differ in nothing but their seeds as one: their mean, as far as all have got, and a band "
        "from the lowest to the highest",
    )  # fmt: skip
    parser.add_argument(
        "--output", "-o", default="learning-curves.png", metavar="FILE",
        help="to write, .png or .svg (default: learning-curves.png)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Draw the curves and say where they are."""
    output = check_output(options.output, (".png", ".svg"))
    import_extra("matplotlib", "viz")
    folders = {as_path(path, "RUN").resolve(): as_path(path, "RUN") for path in options.runs}
    stages = {place: read_stages(folder) for place, folder in folders.items()}
    groups: dict[object, list[Path]] = {}
    for place in folders:
        groups.setdefault(settings_but_seed(place) if options.over_seeds else place, []).append(place)
    names = distinct_names(list(folders))
    curves = []
    for group in groups.values():
        runs = [stages[place] for place in group]
        alone = len(groups) == 1 and len(runs) == 1 and len(runs[0]) > 1  # then its stages' names are enough
        curves += join_stages(runs, "" if alone else group_name([names[place] for place in group]))
    asked = getattr(options, "plot.metrics")
    metrics = DEFAULT_METRICS if asked is None else tuple(name.strip() for name in asked.split(","))
    figure = learning_curves(curves, options.steps, metrics)
    data = as_png(figure) if output.suffix.lower() == ".png" else as_svg(figure, output.stem).encode()
    with atomic_write(output) as file:
        file.write(data)
    print(f"wrote {output}")
    return 0


def distinct_names(places: list[Path]) -> dict[Path, str]:
    """Return a name for each of some different paths: as many of its last parts as tell them all apart."""
    for count in range(1, max(len(place.parts) for place in places) + 1):
        names = {place: Path(*place.parts[-count:]).as_posix() for place in places}
        if len(set(names.values())) == len(places):
            break
    return names


def group_name(names: list[str]) -> str:
    """Return what to call runs together: what their names begin and end with, and how many they are."""
    if len(names) == 1:
        return names[0]
    start = _beginning(names)
    end = _beginning([name[len(start) :][::-1] for name in names])[::-1]
    common = f"{start}*{end}" if start + end else ", ".join(names)
    return f"{common} ({len(names)} runs)"


def _beginning(names: list[str]) -> str:
    """Return what all names begin with."""
    return "".join(letters[0] for letters in itertools.takewhile(lambda letters: len({*letters}) == 1, zip(*names)))
