"""The command line: one module a command, each with `add` (its arguments) and `run`.

Exit codes: 0 done, 1 it failed (files, missing extras), 2 bad arguments, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from .. import __version__
from ..errors import InputError, PisensoryError
from ..runs import TrainingInterrupted
from . import clone, evaluate, models, page, plot, report, train, video

_COMMANDS = (train, evaluate, clone, report, plot, video, models, page)


class _Terminated(BaseException):
    """SIGTERM, where nothing else takes it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(make_parser().parse_args(arguments))
    except TrainingInterrupted as stop:
        _ignore_signals()
        print(f"\npisensory: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except (KeyboardInterrupt, _Terminated) as stop:
        _ignore_signals()
        print("\npisensory: stopped", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except InputError as error:
        print(f"pisensory: {error}", file=sys.stderr)
        return 2
    except PisensoryError as error:
        print(f"pisensory: {error}", file=sys.stderr)
        return 1


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


def _ignore_signals() -> None:
    """Let those who press Ctrl-C twice have the message and the exit code all the same."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="pisensory", description="Train and evaluate permutation-invariant agents in plain NumPy."
    )
    parser.add_argument("--version", action="version", version=f"pisensory {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
