"""The command line: one module a command, each with `add` (its arguments) and `run`.

Exit codes: 0 done, 1 it failed (files, missing extras), 2 bad arguments, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import InputError, PisensoryError
from ..train import TrainingInterrupted
from . import clone, evaluate, models, page, train

_COMMANDS = (train, evaluate, clone, models, page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = make_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except TrainingInterrupted as stop:
        print(f"\npisensory: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        print("\npisensory: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except InputError as error:
        print(f"pisensory: {error}", file=sys.stderr)
        return 2
    except PisensoryError as error:
        print(f"pisensory: {error}", file=sys.stderr)
        return 1


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
