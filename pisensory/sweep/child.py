"""`python -m pisensory`, stopped as by SIGTERM when whoever started it closes its standard input, or has gone."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _stop_with_input() -> None:
    while os.read(0, 4096):  # and not sys.stdin, whose lock would be held while Python ends
        pass
    if sys.platform == "win32":  # which knows no gentle way; the last checkpoint is there
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_input, daemon=True).start()
    runpy.run_module("pisensory", run_name="__main__", alter_sys=True)
