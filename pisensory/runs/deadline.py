"""How much time is left."""

from __future__ import annotations

import time

from ..errors import check_positive


class Deadline:
    """The end of a stretch of time that begins now.

    Args:
        minutes: how long it is; without end if None.

    Raises:
        InputError: for what is no time.
    """

    def __init__(self, minutes: object) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * check_positive("minutes", minutes)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() > self._end

    def left(self, part: float = 1.0) -> float | None:
        """Return this part of the minutes that are left, never quite none; None if there is no end."""
        return None if self._end is None else max(part * (self._end - time.monotonic()) / 60, 1e-3)
