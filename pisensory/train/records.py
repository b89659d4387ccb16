"""The run folder: config.json, metrics.csv, checkpoint.npz, best.npz and policy.npz.

A checkpoint holds the state after a whole number of generations. metrics.csv may be ahead of it after a
crash; a resumed run cuts it back to the checkpoint and writes the same lines again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, two trainers in one folder are the user's business
    fcntl = None  # type: ignore[assignment]

from ..errors import FileError, InputError
from ..files import (
    VERSION,
    PathLike,
    atomic_write,
    header_array,
    is_temporary,
    make_folder,
    read_header,
    read_json,
    read_npz,
    read_text,
    write_json,
    write_npz,
)

CONFIG, METRICS, CHECKPOINT, BEST, POLICY = (
    "config.json", "metrics.csv", "checkpoint.npz", "best.npz", "policy.npz",
)  # fmt: skip
COLUMNS = (
    "generation", "env_steps", "mean", "max", "max_overall", "held_out", "sigma", "param_mean", "param_std",
    "not_finite", "seconds", "rollout_seconds", "steps_per_second", "elapsed",
)  # fmt: skip
LOCK = ".lock"
# Folders of earlier stages inside a run folder.
TEACHER, CLONE = "teacher", "clone"
_CONFIG_FORMAT = "pisensory-run"
_CHECKPOINT_FORMAT = "pisensory-checkpoint"
_MAX_METRICS = 64 * 2**20


class RunLock:
    """Keeps a run folder to one process: a lock of the operating system's, which dies with its owner.

    Args:
        folder: of the run.

    Raises:
        FileError: if another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._file = open(folder / LOCK, "a")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise FileError(f"cannot write {folder / LOCK}: {error.strerror or error}") from error
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._file.close()
                raise FileError(f"another process is training in {folder}: wait for it, or stop it") from None

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()


def open_run(run_dir: PathLike, config: Mapping[str, Any], resume: bool) -> tuple[Path, RunLock]:
    """Create a run folder for `config`, or check that the one there can be resumed with it; lock it.

    Raises:
        FileError: if the folder cannot be created or read, is not a run, already is one and `resume` is not
            asked for, or is in use.
        InputError: if it was trained with other settings; the message shows which.
    """
    folder = Path(run_dir)
    exists = folder.is_dir() and any(
        path.name not in (LOCK, TEACHER, CLONE) and not is_temporary(path) for path in folder.iterdir()
    )
    if exists and not (folder / CONFIG).exists():
        raise FileError(f"{folder} exists and is not a run of pisensory: choose another folder, or empty it")
    if exists and not resume:
        raise FileError(f"{folder} already holds a run: resume it (--resume), or choose another folder")
    if exists:
        _refuse_differences(folder, read_config(folder), config)
        lock = RunLock(folder)
        for path in filter(is_temporary, folder.iterdir()):  # of a process that was killed while it wrote
            path.unlink()
        return folder, lock
    make_folder(folder)
    lock = RunLock(folder)
    write_json(folder / CONFIG, {"format": _CONFIG_FORMAT, "version": VERSION, **config})
    return folder, lock


def read_config(run_dir: PathLike) -> dict[str, Any]:
    """Return the settings (policy, task, training) of a run folder; raise FileError if it is none."""
    path = Path(run_dir) / CONFIG
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != _CONFIG_FORMAT:
        raise FileError(f"{path} is not the configuration of a run")
    if config.get("version") != VERSION:
        raise FileError(f"{path} is of version {config.get('version')!r}; this pisensory reads {VERSION}")
    parts = {name: config.get(name) for name in ("policy", "task", "training")}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise FileError(f"{path} is damaged: it has no {name}")
    return parts


def _refuse_differences(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if old["policy"].get("kind") != new["policy"].get("kind"):
        old, new = ({**config, "policy": {"kind": config["policy"].get("kind")}} for config in (old, new))
    differences = []
    for part in ("policy", "task", "training"):
        for name in sorted({*old[part], *new[part]}):
            before, now = (_plain(settings[part].get(name)) for settings in (old, new))
            if before != now:
                differences.append(f"  {part} {name}: {before!r} in {folder}, {now!r} asked for")
    if differences:
        raise InputError(
            "this run was trained with other settings; resume it with its own, or train in another folder:\n"
            + "\n".join(differences)
        )


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_checkpoint(folder: Path, state: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> None:
    """Write the optimizer's state, and how far the run is, as the folder's checkpoint."""
    header = {"format": _CHECKPOINT_FORMAT, "version": VERSION, **progress}
    write_npz(folder / CHECKPOINT, {"header": header_array(header), **state})


def read_checkpoint(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the optimizer's state and the progress of the folder's checkpoint; FileError if damaged."""
    path = folder / CHECKPOINT
    arrays = read_npz(path)
    header = read_header(arrays, path, _CHECKPOINT_FORMAT)
    del arrays["header"]
    return arrays, header


class Metrics:
    """Writes metrics.csv, one line a generation.

    Args:
        folder: of the run.
        generation: how many generations are done; later lines in the file are dropped.
        columns: of the file; the first counts the lines from 1.
    """

    def __init__(self, folder: Path, generation: int, columns: tuple[str, ...] = COLUMNS) -> None:
        self.path, self._columns = folder / METRICS, columns
        kept = read_metrics(folder, columns)[:generation] if generation else []
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row[name] for name in columns] for row in kept)
        with atomic_write(self.path) as file:
            file.write(text.getvalue().encode())
        try:
            self._file = open(self.path, "a", newline="")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror}") from error

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one generation."""
        try:
            csv.writer(self._file, lineterminator="\n").writerow([_format(row[name]) for name in self._columns])
            self._file.flush()
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror}; the last checkpoint is unchanged") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _format(value: Any) -> str:
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def read_metrics(run_dir: PathLike, columns: tuple[str, ...] = COLUMNS) -> list[dict[str, str]]:
    """Return the lines of a run's metrics.csv as text by column.

    A last line that was cut short by a crash is left out. Raises FileError if the file is missing or is not
    a table of these columns with numbers in them.
    """
    path = Path(run_dir) / METRICS
    text = read_text(path, _MAX_METRICS)
    if not text.startswith(",".join(columns) + "\n"):
        raise FileError(f"{path} is not the metrics of a run")
    rows = []
    for number, line in enumerate(text[: text.rfind("\n")].split("\n")[1:], 1):
        values = line.split(",")
        try:
            if len(values) != len(columns) or int(values[0]) != number:
                raise ValueError
            for value in values:
                if value:
                    float(value)
        except ValueError:
            raise FileError(f"{path} is damaged at line {number + 1}: {line[:80]!r}") from None
        rows.append(dict(zip(columns, values)))
    return rows
