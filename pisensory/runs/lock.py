"""One process at a time in a run folder: a lock of the operating system's, which dies with its owner."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, two trainers in one folder are the user's business
    fcntl = None  # type: ignore[assignment]

from ..errors import FileError
from ..files import make_folder
from .folder import CONFIG, LOCK, RECIPE

_log = logging.getLogger("pisensory")
_ours: ContextVar[tuple[Path, ...]] = ContextVar("run folders that are locked around us", default=())


class RunLock:
    """Keeps a run folder, which it makes if it is missing, to one process for as long as it is open.

    Two things are locked: the folder itself, in whose place nobody can put another unnoticed, as could be done with
    a file in it; and the file `.lock`, since a network file system knows of locked folders on one machine only.
    Where a file system locks nothing, there is a warning.

    Args:
        run_dir: the run folder.

    Attributes:
        is_within: whether it was locked around us already, as the last stage of a run in stages finds it.

    Raises:
        FileError: if the folder cannot be made, or another process holds the lock.
    """

    def __init__(self, run_dir: Path) -> None:
        self.folder, self.is_within = run_dir, run_dir.absolute() in _ours.get()
        self._handles: dict[Path, int] = {}
        self._is_new = False

    def __enter__(self) -> RunLock:
        self._token = _ours.set((*_ours.get(), self.folder.absolute()))
        if not self.is_within:
            try:
                make_folder(self.folder)
                self._take(self.folder, os.O_RDONLY)
                self._is_new = not (self.folder / LOCK).exists()
                self._take(self.folder / LOCK, os.O_RDWR | os.O_CREAT)
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *error: Any) -> None:
        _ours.reset(self._token)
        if self._is_new and not any((self.folder / name).exists() for name in (CONFIG, RECIPE)):
            with suppress(OSError):  # leave alone what is no run
                (self.folder / LOCK).unlink()
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def check(self) -> None:
        """Raise FileError if the folder is no longer the one that was locked, or somebody else's."""
        for path, handle in tuple(self._handles.items()):
            if not _is_at(path, handle):
                if path == self.folder:
                    raise FileError(f"cannot write {path}: it was deleted or moved under the run")
                os.close(self._handles.pop(path))  # somebody has deleted the lock file
                self._take(path, os.O_RDWR | os.O_CREAT)

    def _take(self, path: Path, flags: int) -> None:
        try:
            if fcntl is not None:
                self._handles[path] = _lock(path, flags)
        except BlockingIOError:
            raise FileError(f"another process is training in {self.folder}: wait for it, or stop it") from None
        except OSError as error:
            if path != self.folder:
                reason = error.strerror or error
                _log.warning("%s cannot be locked (%s): see to it that nobody else trains there", self.folder, reason)


def _lock(path: Path, flags: int) -> int:
    """Return the open file at `path`, locked; raise BlockingIOError if it is locked by another."""
    while True:
        handle = os.open(path, flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # deleted since it was opened: what is locked must be what others find


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except OSError:
        return False
