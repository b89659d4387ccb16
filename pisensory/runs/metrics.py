"""The lines of metrics.csv, one a generation or round.

They may be ahead of the checkpoint after a crash: a resumed run cuts them back to it and writes the same lines again.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..files import PathLike, as_path, atomic_write, read_text
from .folder import METRICS

# By what is counted in the first of them.
COLUMNS = {
    "generation": (
        "generation", "env_steps", "mean", "max", "max_overall", "held_out", "sigma", "param_mean", "param_std",
        "not_finite", "seconds", "rollout_seconds", "steps_per_second", "elapsed",
    ),
    "round": (
        "round", "env_steps", "updates", "loss", "identify_loss", "held_out_loss", "held_out", "learning_rate",
        "seconds", "elapsed",
    ),
}  # fmt: skip
_MAX_BYTES = 64 * 2**20

_log = logging.getLogger("pisensory")


class Metrics:
    """Writes metrics.csv, one line a generation or round.

    Args:
        folder: of the run.
        unit: what is counted.
        done: how many are done; later lines in the file are dropped, and missing ones told.
        parts: names of the task's parts, each of whose held-out scores has a column behind the others.
    """

    def __init__(self, folder: Path, unit: str, done: int, parts: Sequence[str] = ()) -> None:
        self.path, self._columns = folder / METRICS, (*COLUMNS[unit], *parts)
        kept = _read_up_to(folder, unit, done) if done else []
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        writer.writerows(row.values() for row in kept)
        with atomic_write(self.path) as file:
            file.write(text.getvalue().encode())
        try:
            self._file = open(self.path, "a", newline="")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror}") from error

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one line."""
        try:
            csv.writer(self._file, lineterminator="\n").writerow([_format(row.get(name)) for name in self._columns])
            self._file.flush()
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror}; the last checkpoint is unchanged") from error

    def sync(self) -> None:
        """See to it that all lines are on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror}; the last checkpoint is unchanged") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _format(value: Any) -> str:
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _read_up_to(folder: Path, unit: str, done: int) -> list[dict[str, str]]:
    """Return the lines of what is done; say which are missing, as after a power cut."""
    rows, damage = _parse(folder) if (folder / METRICS).exists() else ([], None)
    if rows and unit not in rows[0]:
        raise FileError(f"{folder / METRICS} is not the metrics of this run")
    kept = [row for row in rows if int(row[unit]) <= done]
    last = int(kept[-1][unit]) if kept else 0
    if last < done:
        _log.warning(
            "%s ends with %s %d and the checkpoint is of %d: the lines between are lost, and nothing else%s",
            folder / METRICS, unit, last, done, f" ({damage})" if damage else "",
        )  # fmt: skip
    return kept


def read_metrics(run_dir: PathLike) -> list[dict[str, str]]:
    """Return the lines of a run's metrics.csv as text by column, in the order of the file.

    A last line that was cut short by a crash is left out. Raises FileError if the file is missing or is not
    a table of the columns of `train` or of `clone` with numbers in them.
    """
    rows, damage = _parse(as_path(run_dir))
    if damage:
        raise FileError(damage)
    return rows


def _parse(folder: Path) -> tuple[list[dict[str, str]], str | None]:
    """Return the lines up to the first that is damaged, and what is wrong with that."""
    path = folder / METRICS
    text = read_text(path, _MAX_BYTES)
    columns = tuple(text[: text.find("\n")].split(","))
    if not any(columns[: len(known)] == known for known in COLUMNS.values()):
        raise FileError(f"{path} is not the metrics of a run")
    rows: list[dict[str, str]] = []
    last = 0
    for line_number, line in enumerate(text[: text.rfind("\n")].split("\n")[1:], 2):
        values = line.split(",")
        try:
            if len(values) != len(columns) or int(values[0]) <= last:
                raise ValueError
            for value in values:
                if value:
                    float(value)
        except ValueError:
            return rows, f"{path} is damaged at line {line_number}: {line[:80]!r}"
        last = int(values[0])
        rows.append(dict(zip(columns, values)))
    return rows, None
