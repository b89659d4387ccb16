"""Makes images/drivers.gif and images/drivers.png of vision.md: the published drivers, their patches shuffled.

python docs/make_drivers.py carracing_pi.npz carracing.npz
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import pisensory as ps
from pisensory.video import write_video
from pisensory.video.patches import PatchFilm

SEED, STEPS, STEPS_A_FRAME, STILL = 3, 260, 4, 160


def main() -> None:
    """Write the moving picture, and one of its pictures to stand still."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("invariant", help="the published weights of the invariant driver")
    parser.add_argument("attention_agent", help="those of AttentionAgent")
    options = parser.parse_args()
    models = {
        "invariant": (ps.PatchPolicy.car_racing(), ps.load_params(options.invariant)),
        "AttentionAgent": (ps.AttentionAgentPolicy.car_racing(), ps.load_params(options.attention_agent)),
    }
    task = ps.CarRacingTask(max_steps=STEPS, perturbation=ps.Perturbation(shuffle=True))
    images = Path(__file__).parent / "images"
    settings = {"frames_per_second": 12.5, "steps_per_frame": STEPS_A_FRAME, "width": 800}
    write_video(images / "drivers.gif", models, task, SEED, **settings)
    film = PatchFilm(models, task, SEED, 1280).frames(STEPS_A_FRAME, 0, False)
    still = next(itertools.islice(film, STILL // STEPS_A_FRAME, None))
    still.save(images / "drivers.png", optimize=True)


if __name__ == "__main__":
    main()
