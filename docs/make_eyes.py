"""Records the agents that see, and builds the page of these docs that shows them, eyes.html.

    python docs/make_eyes.py --driver carracing_pi.npz --attention-agent carracing.npz [--pong MODEL]
    python docs/make_eyes.py          # only the page, of the recordings that there are

The drivers are the published weights. MODEL is a policy file that plays Pong; without one a network of the published
sizes with random weights plays, and the page says so. Writes docs/recordings/ and docs/eyes.html.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image

import pisensory as ps
from pisensory.files import write_text
from pisensory.video import write_video
from pisensory.video.patches import PatchFilm

DOCS = Path(__file__).parent
RECORDINGS = DOCS / "recordings"
ENDINGS = (".mp4", ".webm", ".png")
CARD = "eyes.json"  # what the recordings are of
SEED, STEPS, WIDTH, STEPS_PER_FRAME, POSTER = 3, 300, 640, 4, 40  # the poster is the picture of that frame


def main() -> None:
    """Record what is given, and build the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--driver", help="the published weights of the invariant driver")
    parser.add_argument("--attention-agent", help="those of AttentionAgent")
    parser.add_argument("--pong", metavar="MODEL", help="a policy file that plays Pong (default: an untrained network)")
    options = parser.parse_args()
    if options.driver and options.attention_agent:
        record(options.driver, options.attention_agent, options.pong)
    elif options.driver or options.attention_agent or options.pong:
        parser.error("to record, give both --driver and --attention-agent")
    write_text(DOCS / "eyes.html", build())


def shuffled_task(name: str) -> ps.Task:
    """Return the task of a recording, its patches shuffled."""
    kind = ps.PongTask if name == "pong" else ps.CarRacingTask
    return kind(max_steps=STEPS, perturbation=ps.Perturbation(shuffle=True)).with_pictures()


def untrained() -> tuple[ps.Policy, np.ndarray]:
    """Return the published network for Pong with random weights."""
    policy = ps.PatchPolicy.pong()
    return policy, policy.initial(np.random.default_rng(0))


def draw(models: dict[str, Any], task: ps.Task) -> Iterator[Any]:
    """Yield the pictures of a recording."""
    return PatchFilm(models, task, SEED, WIDTH).frames(STEPS_PER_FRAME, 0, False)


def record(driver: str, attention_agent: str, pong: str | None) -> None:
    """Film each agent, and note what it was."""
    models = {
        "driver": ("published weights", (ps.PatchPolicy.car_racing(), ps.load_params(driver))),
        "attention-agent": (
            "published weights",
            (ps.AttentionAgentPolicy.car_racing(), ps.load_params(attention_agent)),
        ),
        "pong": ("trained", ps.load_policy(pong)) if pong else ("untrained", untrained()),
    }
    titles = {"driver": "invariant", "attention-agent": "AttentionAgent", "pong": "invariant"}
    card = {}
    for name, (weights, model) in models.items():
        shown, task = {titles[name]: model}, shuffled_task(name)
        path = RECORDINGS / f"{name}.mp4"
        (score,) = write_video(path, shown, task, SEED, 12.5, STEPS_PER_FRAME, WIDTH, progress=True)
        write_webm(path)
        poster = next(itertools.islice(draw(shown, task), POSTER, None))
        poster.quantize(128, dither=Image.Dither.NONE).save(path.with_suffix(".png"), optimize=True)
        card[name] = {
            "weights": weights,
            "parameters": model[0].n_params,
            "score": round(score, 1),
            "size": poster.size,
            "sha256": {file.name: digest(file) for file in map(path.with_suffix, ENDINGS)},
        }
    write_text(RECORDINGS / CARD, json.dumps(card, indent=1) + "\n")


def write_webm(path: Path) -> None:
    """Write a recording once more as VP9, for browsers without H.264."""
    settings = ["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "7", "-an"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", path, *settings]
    subprocess.run([*command, path.with_suffix(".webm")], check=True)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build() -> str:
    """Return the page, of its template and of what the recordings are of."""
    card = json.loads((RECORDINGS / CARD).read_text(encoding="utf-8"))
    text = (DOCS / "eyes-template.html").read_text(encoding="utf-8")
    for name, recording in card.items():
        for key, value in words(name, recording).items():
            text = text.replace(f"{{{{{name} {key}}}}}", html.escape(str(value)))
    return text.replace("{{steps}}", str(STEPS)).replace("{{seed}}", str(SEED))


def words(name: str, recording: dict[str, Any]) -> dict[str, object]:
    """Return what the page says of a recording."""
    return {
        **{key: recording[key] for key in ("score", "weights")},
        "width": recording["size"][0],
        "height": recording["size"][1],
        "parameters": f"{recording['parameters']:,}",
        # An address of its own for each recording, so that no browser shows an old one.
        "version": recording["sha256"][f"{name}.mp4"][:8],
        "plays": {
            "published weights": "The published weights drive.",
            "trained": "A trained agent plays.",
            "untrained": "Nobody trained this one: the published network for Pong with random weights, since the "
            "published weights are not public. It shows what such an agent gets to see, not how well it can play, and "
            "before training it looks everywhere alike.",
        }[recording["weights"]],
    }


if __name__ == "__main__":
    main()
