"""Ctrl-C and SIGTERM during training: stop between generations, or in the middle of a rollout."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked to stop. Not an Exception, so that nothing on the way takes it for an error."""


class StopSignals:
    """Turns SIGINT and SIGTERM into `Stopped`, but only where the run can be stopped without loss.

    As a context, it catches the signals for as long as it is open; `interruptible` opens the stretches in
    which one is raised at once. Elsewhere it waits for the next such stretch. Outside the main thread, which
    alone gets signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._raise_now = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._raise_now:
            self._raise_now = False
            raise Stopped

    def interruptible(self) -> _Interruptible:
        """Return a context in which a signal raises `Stopped` at once."""
        return _Interruptible(self)


class _Interruptible:
    def __init__(self, signals: StopSignals) -> None:
        self.signals = signals

    def __enter__(self) -> None:
        self.signals._raise_now = True
        if self.signals.received is not None:
            self.signals._raise_now = False
            raise Stopped

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signals._raise_now = False
