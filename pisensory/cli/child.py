"""Commands of ours one after the other in one process, until one fails: each argument is the words after `pisensory`.

It is stopped as by SIGTERM when whoever started it closes its standard input, or has gone.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading

from . import main


def _stop_with_input() -> None:
    while os.read(0, 4096):  # and not sys.stdin, whose lock would be held while Python ends
        pass
    if sys.platform == "win32":  # which knows no gentle way; the last checkpoint is there
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_input, daemon=True).start()
    sys.exit(next(filter(None, (main(shlex.split(words)) for words in sys.argv[1:])), 0))
