"""Progress on the screen: a tqdm bar where that is installed, a line every few seconds where it is not."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..errors import check_bool

_LINE_EVERY = 5.0  # seconds


def check_progress(progress: object) -> bool | str:
    """Return what is to be shown of progress: nothing, a bar, or one with a text before it; raise InputError else."""
    return progress if isinstance(progress, str) else check_bool("progress", progress)


class Progress:
    """A progress bar on standard error.

    Args:
        total: steps in all; None if a clock decides.
        unit: what a step is called.
        done: steps done before.
        shown: whether to show anything; a text stands before the bar.
    """

    def __init__(self, total: int | None, unit: str, done: int = 0, shown: bool | str = True) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._enabled = bool(shown)
        self._label = f"{shown}: " if isinstance(shown, str) else ""
        self._bar: Any = None
        self._last_line = time.monotonic()
        if shown:
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(
                desc=self._label.rstrip(": "), total=total, unit=f" {unit}s", initial=done, file=sys.stderr,
                dynamic_ncols=True,
            )  # fmt: skip

    def update(self, **values: str) -> None:
        """Count one step, and show `values` by name."""
        self.done += 1
        if not self._enabled:
            return
        if self._bar is not None:
            self._bar.set_postfix(values, refresh=False)
            self._bar.update()
        elif time.monotonic() - self._last_line > _LINE_EVERY:
            self._last_line = time.monotonic()
            shown = ", ".join(f"{name}={value}" for name, value in values.items())
            of = "" if self.total is None else f"/{self.total}"
            print(f"{self._label}{self.unit} {self.done}{of}: {shown}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar's line."""
        if self._bar is not None:
            self._bar.close()
