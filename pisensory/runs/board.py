"""TensorBoard event files (extra `tensorboard`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError, import_extra


class Board:
    """TensorBoard event files in the run folder.

    Args:
        folder: of the run.
        unit: what is counted.
        done: how many are done; what is there of later ones is hidden.

    Raises:
        FileError: if the files cannot be made.
        MissingExtraError: if tensorboardX is not installed.
    """

    def __init__(self, folder: Path, unit: str, done: int) -> None:
        module = import_extra("tensorboardX", "tensorboard")
        self._folder, self._unit = folder / "tensorboard", unit
        # A queue with room for many lines: a full one would wait for a thread that may have died.
        try:
            self._writer = module.SummaryWriter(str(self._folder), purge_step=done + 1, max_queue=2000)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, row: Mapping[str, Any]) -> None:
        """Note the numbers of one line."""
        for name, value in row.items():
            if name != self._unit and value is not None:
                self._writer.add_scalar(name, value, row[self._unit])
        if not self._events._worker.is_alive():
            raise FileError(f"cannot write to {self._folder}; the last checkpoint is unchanged")

    def close(self) -> None:
        """Write what is left."""
        try:
            self._writer.close()
        except OSError as error:
            self._events._worker.stop()
            self._events._closed = True  # or it would try again as the process ends, and print a traceback
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> FileError:
        return FileError(f"cannot write to {self._folder}: {error.strerror or error}")

    @property
    def _events(self) -> Any:
        return self._writer.file_writer.event_writer
