"""Options made from what takes them: a function's arguments or a dataclass's fields, in the words of its docstring.

Options default to None but for those of DEFAULTS, so that a command can tell what was asked for from what was not: a
resumed run, or a model's file, has settings of its own. What was asked for is kept as `SCOPE.NAME`, NAME being the
library's.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import as_path

# Arguments whose options have other names than theirs: the first is the one that messages use.
_FLAGS = {
    "n_episodes": ("--episodes", "-e"),
    "n_eval_episodes": ("--eval-episodes",),
    "n_jobs": ("--jobs", "-j"),
    "generations": ("--generations", "-m"),
    "population_size": ("--population-size", "-p"),
    "shuffle": ("--shuffle-on-reset", "--shuffle", "-s"),
    "n_noise": ("--noise-features", "-n"),
    "n_copies": ("--copies",),
}
# What every command has for a default, whatever the library's: of what no run keeps, so that it need not be asked for.
DEFAULTS = {"n_jobs": -1}
# Of types of which a command line cannot give all.
_QUOTED = r"(?<!\w)(?:'[^']*'|\"[^\"]*\")"  # and no apostrophe
_TEXTS = {"executorlike": "serial, processes or dask:ADDRESS (by --jobs)", "seed": "of everything random"}


def add_options(
    parser: Any, scope: str, sources: Mapping[str, Any], leave_out: Collection[str] = (), **defaults: Any
) -> None:
    """Add an option for each argument whose type the command line can give.

    Args:
        parser: what gets the options.
        scope: what `given` finds them by.
        sources: functions or dataclasses, by what the help says before their texts; what they share is one option.
        leave_out: arguments that get none.
        **defaults: to tell in the help, where they are not the library's.
    """
    options: dict[tuple[str, Any], list[str]] = {}
    for label, source in sources.items():
        for name, parse, default, text in _list_arguments(source):
            if name not in leave_out:
                shown = _show_default({**DEFAULTS, **defaults}.get(name, default))
                options.setdefault((name, parse), []).append(f"{label}: {text}{shown}" if label else text + shown)
    for (name, parse), texts in options.items():
        settings: dict[str, Any] = {"dest": f"{scope}.{name}", "help": "; ".join(texts).replace("%", "%%")}
        settings["default"] = DEFAULTS.get(name)
        if parse is None:
            settings.update(action=argparse.BooleanOptionalAction)
        else:
            settings.update(type=parse, metavar=_METAVARS.get(parse, "X"))
        try:
            parser.add_argument(*flags(name), **settings)
        except argparse.ArgumentError:  # the name is taken: by another option, or by one of another type
            parser.add_argument(f"--{texts[0].split(':')[0]}-{flags(name)[0][2:]}", **settings)


def flags(name: str) -> tuple[str, ...]:
    """Return the options that give an argument."""
    return _FLAGS.get(name, ("--" + name.replace("_", "-"),))


def given(options: argparse.Namespace, scope: str) -> dict[str, Any]:
    """Return what was asked for, by the library's names."""
    values = {name.partition("."): value for name, value in vars(options).items() if value is not None}
    return {name: value for (start, dot, name), value in values.items() if dot and start == scope}


def name_options(message: str, options: argparse.Namespace) -> str:
    """Return a message of the library's in which its arguments are called by the options that give them.

    What it quotes stays as it was typed.
    """
    names = [name for name in (place.partition(".")[2] for place in vars(options)) if name]
    for name in names:
        # A name of one word is one where a message begins with it, says what it must be, or lists a run's settings.
        where = rf"\b{name}\b" if "_" in name else rf"^{name}\b|(?<=  training ){name}\b|\b{name}(?= must\b)"
        where = rf"({_QUOTED})|(?<!-)(?:{where})"
        message = re.sub(where, functools.partial(_rename, flags(name)[0]), message)

    def spell(word: re.Match[str]) -> str:
        return flags(word[0])[0] if word[0] in names else word[0]

    return re.sub(r"(?<=leave out )[\w, ]+", lambda found: re.sub(r"\w+", spell, found[0]), message)


def _rename(flag: str, found: re.Match[str]) -> str:
    """Return what was quoted, and else the flag."""
    return found[1] or flag


def shows_progress() -> bool:
    """Return whether commands show how far they are: where somebody looks, and not in a file or a pipe."""
    return sys.stderr.isatty()


def check_output(text: str, endings: Collection[str] = ()) -> Path:
    """Return where --output says to write; raise InputError for what is no path, or has none of the endings."""
    path = as_path(text, "--output")
    if endings and path.suffix.lower() not in endings:
        raise InputError(f"--output must end in {' or '.join(endings)}, got {text!r}")
    return path


@functools.cache
def _list_arguments(source: Any) -> list[tuple[str, Callable[[str], Any] | None, Any, str]]:
    """Return what `_arguments_of` yields, read once: the parsers of several commands ask for the same."""
    return list(_arguments_of(source))


def _arguments_of(source: Any) -> Iterator[tuple[str, Callable[[str], Any] | None, Any, str]]:
    """Yield the arguments of a function or dataclass that text can give: name, what parses it, default, and text."""
    texts = _read_texts(source.__doc__ or "")
    for name, parameter in inspect.signature(source).parameters.items():
        annotation = _plain(parameter.annotation)
        if annotation in _TYPES:
            text, default = _TEXTS.get(annotation, texts.get(name, "").rstrip(".")), parameter.default
            brackets = re.fullmatch(r"(.*) \((.*)\)", text)
            if default is None and brackets:  # how a default is told that depends on the run
                text, default = brackets[1], brackets[2]
            yield name, _TYPES[annotation], default, text


def _read_texts(docstring: str) -> dict[str, str]:
    """Return what the section `Args:` of a docstring says of each argument."""
    section = re.search(r"^Args:\n((?: .*\n|\n)*)", inspect.cleandoc(docstring) + "\n", re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*\n(?:     .*\n)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()).replace("`", "") for name, text in entries}


def _plain(annotation: Any) -> str:
    """Return an annotation, of a module with or without `from __future__ import annotations`, as a key of _TYPES."""
    text = re.sub(r"<class '(\w+)'>|typing\.|Optional\[(.*)\]", r"\1\2", str(annotation))
    return text.replace(" | None", "").lower()


def _show_default(default: Any) -> str:
    if isinstance(default, tuple):
        default = ",".join(map(str, default)) or "none"
    if isinstance(default, float):
        default = f"{default:g}"
    # What is true or false is false if it is not asked for.
    said = isinstance(default, (int, str)) and str(default) != "False"
    return f" (default: {default})" if said else ""


def _sizes(text: str) -> tuple[int, ...]:
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes such as 32,32, or none") from None


def _windows(text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(_sizes(part) for part in text.split("/")) if _sizes(text.replace("/", ",")) else ()


def _span(number: Callable[[str], Any], text: str) -> Any:
    """Return the number that a text is, or the ends of a range such as 20..500."""
    try:
        ends = [number(end) for end in text.split("..", 1)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a range such as 20..500") from None
    return tuple(ends) if len(ends) > 1 else ends[0]


_WHOLE, _REAL = functools.partial(_span, int), functools.partial(_span, float)
_TYPES: dict[str, Callable[[str], Any] | None] = {
    "int": int, "seed": int, "float": float, "str": str, "executorlike": str, "tuple[int, ...]": _sizes, "bool": None,
    "whole": _WHOLE, "real": _REAL, "tuple[int, int]": _sizes, "tuple[tuple[int, int, int], ...]": _windows,
}  # fmt: skip
_METAVARS: dict[Any, str] = {int: "N", _WHOLE: "N", str: "TEXT", _sizes: "A,B", _windows: "A,B,C/D,E,F"}
