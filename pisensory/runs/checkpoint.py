"""The state of a run after a whole number of generations or rounds, in checkpoint.npz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import VERSION, header_array, read_header, read_npz, write_npz
from .folder import CHECKPOINT

_FORMAT = "pisensory-checkpoint"


def write_checkpoint(folder: Path, arrays: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> None:
    """Write a run's arrays, and how far it is, as the folder's checkpoint."""
    header = {"format": _FORMAT, "version": VERSION, **progress}
    write_npz(folder / CHECKPOINT, {"header": header_array(header), **arrays})


def read_checkpoint(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the progress of the folder's checkpoint; raise FileError if it is damaged."""
    path = folder / CHECKPOINT
    arrays = read_npz(path)
    header = read_header(arrays, path, _FORMAT)
    del arrays["header"]
    return arrays, header
