"""The command line: one module a command, each with `add` (its arguments) and `run`; its docstring is the help.

Exit codes: 0 done, 1 it failed (files, missing extras), 2 bad arguments, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence

from .. import __version__
from ..errors import InputError, PisensoryError, import_extra
from ..runs import TrainingInterrupted
from . import clone, evaluate, export, models, page, plot, report, sweep, train, video, watch
from .arguments import name_options
from .load import load_module

_COMMANDS = (train, evaluate, clone, sweep, report, plot, video, watch, models, export, page)

_USAGE = "pisensory [--load FILE] COMMAND ..."
_BEGIN = """Three commands to try:

  pisensory evaluate cartpole-invariant --shuffle
  pisensory video cartpole-v1-invariant --side-by-side cartpole-v1-mlp --reshuffle-every 250 -o episode.gif
  pisensory train invariant runs/first --minutes 10

Train and evaluate permutation-invariant agents in plain NumPy."""


class _Terminated(BaseException):
    """SIGTERM, where nothing else takes it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except TrainingInterrupted as stop:
        _ignore_signals()
        print(f"\npisensory: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except (KeyboardInterrupt, _Terminated) as stop:
        _ignore_signals()
        print("\npisensory: stopped", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def _run(arguments: Sequence[str]) -> int:
    options = argparse.Namespace()
    try:
        # What is loaded may be named by the arguments of commands, so it comes before them.
        loading, rest = _make_loader().parse_known_args(arguments)
        for path in loading.load:
            load_module(path)
        parser = make_parser()
        _complete(parser)
        options = parser.parse_args(rest)
        # For commands that write down, or run, others.
        options.command, options.parser, options.load = shlex.join(["pisensory", *arguments]), parser, loading.load
        return int(options.run(options))
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except PisensoryError as error:
        wrong = isinstance(error, InputError)
        print(f"pisensory: {name_options(str(error), options) if wrong else error}", file=sys.stderr)
        return 2 if wrong else 1


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what may stand next; does nothing where none asks (extra `completion`)."""
    if "_ARGCOMPLETE" in os.environ:
        import_extra("argcomplete", "completion").autocomplete(parser)


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


def _ignore_signals() -> None:
    """Let those who press Ctrl-C twice have the message and the exit code all the same."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _make_loader() -> argparse.ArgumentParser:
    loader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    loader.add_argument(
        "--load", action="append", default=[], metavar="FILE",
        help="run a Python file first, which registers policies or tasks of your own; may be repeated",
    )  # fmt: skip
    return loader


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="pisensory", description=_BEGIN, formatter_class=argparse.RawDescriptionHelpFormatter, usage=_USAGE,
        parents=[_make_loader()],
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"pisensory {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", prog="pisensory")
    for command in _COMMANDS:
        summary, _, description = (command.__doc__ or "").partition("\n\n")
        name = command.__name__.rpartition(".")[2]
        under = commands.add_parser(name, help=summary[:1].lower() + summary[1:].rstrip("."), description=description)
        under.set_defaults(run=command.run)
        command.add(under)
    return parser
