"""One process at a time in a run folder: a lock of the operating system's, which dies with its owner."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, two trainers in one folder are the user's business
    fcntl = None  # type: ignore[assignment]

from ..errors import FileError
from ..files import make_folder
from .folder import LOCK

_log = logging.getLogger("pisensory")


class RunLock:
    """Keeps a run folder, which it makes if it is missing, to one process for as long as it is open, once or within.

    The folder itself is locked, since a file in it could be deleted and made anew by somebody else. Where a file
    system locks files alone, as NFS does, it is the file `.lock`, and where it locks nothing, there is a warning.

    Args:
        run_dir: the run folder.

    Raises:
        FileError: if the folder cannot be made, or another process holds the lock.
    """

    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir
        self._path, self._handle, self._n_open = run_dir, -1, 0

    def __enter__(self) -> RunLock:
        if self._n_open == 0:
            make_folder(self.folder)
            self._take()
        self._n_open += 1
        return self

    def __exit__(self, *error: Any) -> None:
        self._n_open -= 1
        if self._n_open == 0:
            self._give_back()

    def _give_back(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def check(self) -> None:
        """Raise FileError if the folder is no longer the one that was locked, or somebody else's."""
        if self._handle < 0 or _is_at(self._path, self._handle):
            return
        if self._path == self.folder:
            raise FileError(f"cannot write {self.folder}: it was deleted or moved under the run")
        self._give_back()  # somebody has deleted the lock file
        self._take()

    def _take(self) -> None:
        if fcntl is None:
            return
        for path, flags in ((self.folder, os.O_RDONLY), (self.folder / LOCK, os.O_RDWR | os.O_CREAT)):
            try:
                self._path, self._handle = path, _lock(path, flags)
                return
            except BlockingIOError:
                raise FileError(f"another process is training in {self.folder}: wait for it, or stop it") from None
            except OSError as error:
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
