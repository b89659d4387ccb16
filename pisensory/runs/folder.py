"""The names of what is in a run folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileError
from ..files import is_temporary

CONFIG, METRICS, CHECKPOINT, BEST, POLICY = (
    "config.json", "metrics.csv", "checkpoint.npz", "best.npz", "policy.npz",
)  # fmt: skip
LOCK = ".lock"
# Of a run in stages: its settings, and the folders of its first two stages. Those of the last are in the folder itself,
# but of a clone that was evolved on in a folder of its own.
RECIPE, TEACHER, CLONE, EVOLVE = "recipe.json", "teacher", "clone", "evolve"
# What may be in a folder in which no run has begun.
_BEFORE = {LOCK, RECIPE, TEACHER, CLONE, CHECKPOINT}


def check_free(folder: Path) -> None:
    """Raise FileError if there is anything in the folder that is no beginning of a run."""
    if any(path.name not in _BEFORE and not is_temporary(path) for path in folder.iterdir()):
        raise FileError(f"{folder} exists and is not a run of pisensory: choose another folder, or empty it")


def tidy(folder: Path) -> None:
    """Delete the temporary files of a process that was killed while it wrote."""
    for path in filter(is_temporary, folder.iterdir()):
        try:
            path.unlink()
        except OSError as error:
            raise FileError(f"cannot delete {path}: {error.strerror or error}") from error
