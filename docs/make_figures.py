"""Make the figures of these docs from trained policies.

    python docs/make_figures.py [INVARIANT [MODEL...]]

runs `pisensory report` on the models and copies the figures shown in the docs to docs/images/report-*.png: those
that compare models, and those of INVARIANT alone. Without arguments it takes the models that ship.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from pisensory.cli import main

IMAGES = Path(__file__).parent / "images"
MODELS = ("cartpole-invariant", "cartpole-linear", "cartpole-mlp", "cartpole-v1-mlp", "cartpole-v1-invariant")
TOGETHER = ("shuffling", "noise-features", "reshuffling", "noise-inputs")
ALONE = ("latent", "attention", "recovery", "dropped", "delay", "noise-kinds")


def make_figures(models: tuple[str, ...], folder: Path) -> int:
    """Report on the models in `folder` and copy the figures; return the exit code of the report."""
    code = main(["report", *models, "-o", str(folder)])
    if code == 0:
        IMAGES.mkdir(exist_ok=True)
        first = Path(models[0]).stem.replace("_", "-")
        for name in TOGETHER:
            shutil.copy(folder / f"{name}.png", IMAGES / f"report-{name}.png")
        for name in ALONE:
            shutil.copy(folder / f"{name}-{first}.png", IMAGES / f"report-{name}.png")
    return code


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(make_figures(tuple(sys.argv[1:]) or MODELS, Path(folder)))
