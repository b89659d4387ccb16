"""Ctrl-C and SIGTERM during a run: stop after a generation or round, or in the middle of one that is done again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

HOW_TO_RESUME = "resume with the same settings and --resume (resume=True)"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM, after writing a checkpoint.

    Attributes:
        signal_number: the signal.

    Examples:
        >>> issubclass(ps.TrainingInterrupted, KeyboardInterrupt)
        True
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class Stopped(BaseException):
    """A signal asked to stop. Not an Exception, so that nothing on the way takes it for an error."""


class StopSignals:
    """Turns SIGINT and SIGTERM into `Stopped` where a run can be stopped without loss, and else waits for it.

    As a context, it catches the signals for as long as it is open; `interruptible` opens the stretches in
    which one is raised at once. Elsewhere it waits for the next such stretch. One that comes too late for that is
    not forgotten: at the end of the context it is TrainingInterrupted in any case. Outside the main thread, which
    alone gets signals, it does nothing.

    Args:
        folder: of the run.

    Attributes:
        stage: how far it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.stage = folder, ""
        self.received: int | None = None
        self._raise_now = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
                outer = getattr(self._before[number], "__self__", None)
                if isinstance(outer, StopSignals):  # what came between two stages of a run
                    self.received = self.received or outer.received
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self.received is not None and (kind is None or kind is Stopped):
            stopped = f"stopped by {signal.Signals(self.received).name} {self.stage}in {self.folder}: {HOW_TO_RESUME}"
            raise TrainingInterrupted(stopped, self.received) from None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._raise_now:
            self._raise_now = False
            raise Stopped

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Return a context in which a signal raises `Stopped` at once."""
        self._raise_now = True
        try:
            if self.received is not None:
                raise Stopped
            yield
        finally:
            self._raise_now = False
