"""`pisensory video`: an episode as a video, with what the agent senses and attends to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..policies import Policy
from ..video import write_video
from .options import add_model, free_name, load_file, load_model, make_task


def add(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "video",
        help="make a video of an episode",
        description="Write a video of one episode: the task, a trace of each input in the colour of what it really is, "
        "and the attention. It is the episode that `pisensory evaluate --episodes 1` scores with the same seed.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="shipped model, file, run folder, or bare vector")
    parser.add_argument(
        "--output", "-o", default="video.mp4", metavar="FILE", help="to write, .mp4 or .gif (default: video.mp4)"
    )
    parser.add_argument(
        "--side-by-side", metavar="MODEL", help="show a second agent beside it: same start, same noise, same shuffles"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the episode (default: 0)")
    parser.add_argument(
        "--frames-per-second", type=float, default=25, metavar="F", help="how fast frames follow (default: 25)"
    )
    parser.add_argument(
        "--steps-per-frame", type=int, default=2, metavar="N", help="steps from frame to frame (default: 2)"
    )
    parser.add_argument("--width", type=int, metavar="W", help="in pixels (default: 1280 for .mp4, 960 for .gif)")
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Write the video, and say so."""
    model = load_model(options)
    task = make_task(options, model.task)
    models: dict[str, tuple[Policy, np.ndarray]] = {free_name(options.model, ()): (model.policy, model.params)}
    if options.side_by_side is not None:
        rival = load_file(options.side_by_side, options.task)
        models[free_name(options.side_by_side, models)] = (rival.policy, rival.params)
    scores = write_video(
        options.output, models, task, options.seed, options.frames_per_second, options.steps_per_frame, options.width,
        progress=True,
    )  # fmt: skip
    said = ", ".join(f"{name} {score:.1f}" for name, score in zip(models, scores))
    size = Path(options.output).stat().st_size
    print(f"wrote {options.output} ({size / 1e6:.1f} MB); scores: {said}")
    return 0
