"""Make a video of an episode.

Shows one episode: the task, a trace of each input in the colour of what it really is, and the attention. It is the
episode that `pisensory evaluate --episodes 1` scores with the same seed.
"""

from __future__ import annotations

import argparse

from ..video import write_video
from .arguments import add_options, check_output, given, shows_progress
from .options import add_model, add_side_by_side, load_side_by_side


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="shipped model, file, run folder, or bare vector")
    parser.add_argument(
        "--output", "-o", default="video.mp4", metavar="FILE", help="to write, .mp4 or .gif (default: video.mp4)"
    )
    add_side_by_side(parser)
    add_options(parser, "video", {"": write_video}, leave_out=("progress",))
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Write the video, and say so."""
    output = check_output(options.output, (".mp4", ".gif"))
    models, task = load_side_by_side(options)
    scores = write_video(output, models, task, progress=shows_progress(), **given(options, "video"))
    said = ", ".join(f"{name} {score:.1f}" for name, score in zip(models, scores))
    size = output.stat().st_size
    print(f"wrote {options.output} ({size / 1e6:.1f} MB); scores: {said}")
    return 0
