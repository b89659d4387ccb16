"""What a sweep's TOML file asks for: rows of a table, each a command, and how its runs are scored.

    command = "train mlp"             as one would type it, without RUN_DIR
    seeds = [0, 1, 2]                 a run each
    [options]                         of every run, by their long names
    [grid]                            lists of values: every combination is a row
    [[rows]]                          rows of their own: name, command, options, grid
    [scores.NAME]                     options of `evaluate`, by which each run is scored when it is done

Words in braces in a command, `{policy}`, are given by the option or grid of that name, `{seed}` by the seeds.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
import string
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, import_extra, show
from ..files import PathLike, as_path, read_text

# The commands that end in scores, and whether they have a run folder.
COMMANDS = {"train": True, "clone": True, "evaluate": False}
# What the sweep itself says of every run: option -> where its value comes from.
_ITS_OWN = {
    "seed": "the list 'seeds'", "jobs": "the sweep's own --jobs", "executor": "the sweep's own --executor",
    "resume": "the sweep, which resumes by itself", "json": "the sweep", "load": "--load of the sweep",
    "progress": "the sweep",
}  # fmt: skip
_AT_TOP = {"command": str, "seeds": list, "options": dict, "grid": dict, "rows": list, "scores": dict}
_IN_ROW = {"name": str, "command": str, "options": dict, "grid": dict}
_KINDS = {str: "text", list: "a list", dict: "a table", bool: "true or false"}
_MAX_BYTES = 2**20
_MAX_ROWS = 10_000

Options = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a command, as often as there are seeds.

    Attributes:
        name: what to call it.
        folder: the name of its folder.
        command: words, with {seed} in them perhaps.
        options: by their long names, without dashes.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    options: Options

    @property
    def has_run(self) -> bool:
        """Whether its command has a run folder."""
        return COMMANDS[self.command[0]]

    def arguments(self, seed: int, run_dir: PathLike | None) -> list[str]:
        """Return the words after `pisensory`, for one seed."""
        words = [word.replace("{seed}", str(seed)) for word in self.command]
        by_seed = [] if words != list(self.command) else [f"--seed={seed}"]
        return [*words, *([] if run_dir is None else [str(run_dir)]), *_spell(self.options), *by_seed]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a file asks for.

    Attributes:
        rows: of the table.
        seeds: of each row.
        scores: name -> options of `evaluate`; without any, a run's own score is its column.
    """

    rows: list[Row]
    seeds: list[int]
    scores: dict[str, Options]

    def evaluations(self, run_dir: PathLike) -> dict[str, list[str]]:
        """Return, by the name of the score, the words after `pisensory` that score a run."""
        return {name: ["evaluate", str(run_dir), *_spell(options)] for name, options in self.scores.items()}


def read_plan(path: PathLike) -> Plan:
    """Read a file.

    Raises:
        FileError: if it cannot be read.
        InputError: if it is no TOML, or says what cannot be; the message names file, key, value and the way out.
        MissingExtraError: below Python 3.11, if tomli is not installed.
    """
    toml = import_extra("tomllib" if sys.version_info >= (3, 11) else "tomli", "sweep")
    path = as_path(path, "FILE")
    if path.suffix != ".toml":
        raise InputError(f"FILE must be a TOML file, its name ending in .toml, got {str(path)!r}")
    text = read_text(path, _MAX_BYTES)
    try:
        values = toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    try:
        return _make_plan(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _make_plan(values: Mapping[str, Any]) -> Plan:
    _check_keys("", values, _AT_TOP)
    seeds = values.get("seeds", [0])
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InputError(f"seeds must be whole numbers from 0, such as [0, 1, 2], got {show(seed)}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds must be different, and one at least, such as [0, 1, 2], got {show(seeds)}")
    scores = values.get("scores", {})
    for name, options in scores.items():
        _check_kind(f"scores.{name}", options, dict)
        _check_options(f"scores.{name}", options)
    if values.get("rows") == []:
        raise InputError("rows is empty: leave it out, or give [[rows]] with a name each")
    rows: dict[str, Row] = {}
    for number, given in enumerate(values.get("rows", [{}])):
        where = f"rows[{number}]."
        _check_kind(where[:-1], given, dict)
        _check_keys(where, given, _IN_ROW)
        for row in _make_rows(where, values, given):
            taken = [other.name for other in rows.values() if row.folder.lower() == other.folder.lower()]
            if taken:
                raise InputError(f"two rows are called {taken[0]!r} and {row.name!r}: give each [[rows]] its own name")
            rows[row.folder] = row
            if len(rows) > _MAX_ROWS:
                raise InputError(f"grid gives more than {_MAX_ROWS:,} rows: leave out some of its values")
    if scores and not any(row.has_run for row in rows.values()):
        raise InputError("scores are for train and clone, and 'evaluate' is a score itself: leave them out")
    return Plan(list(rows.values()), seeds, scores)


def _make_rows(where: str, top: Mapping[str, Any], given: Mapping[str, Any]) -> list[Row]:
    """Return the rows that an entry of [[rows]] stands for, one for each combination of the grid."""
    at_row = where if "command" in given else ""
    command = given.get("command", top.get("command"))
    if command is None:
        raise InputError('command is missing: say what to run, such as command = "train mlp"')
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"{at_row}command is no command, {error}: got {command!r}") from None
    if not words or words[0] not in COMMANDS:
        raise InputError(f"{at_row}command must begin with {', '.join(COMMANDS)}, got {command!r}")
    for word in words:
        if word.startswith("-"):
            raise InputError(f"{at_row}command must be without options, got {word!r}: put them under [options]")
    options = {**_named("options", top), **_named(f"{where}options", given)}
    grid = {**_named("grid", top), **_named(f"{where}grid", given)}
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"grid.{key} must be a list of values, such as {key} = [1, 2], got {show(values)}")
    rows = []
    for combination in itertools.product(*grid.values()):
        settings = dict(zip(grid, combination))
        label = ", ".join(f"{key}={_as_text(value)}" for key, value in settings.items())
        name = ", ".join(part for part in (given.get("name", ""), label) if part) or command
        rows.append(_fill(at_row, name, words, {**options, **settings}))
    return rows


def _fill(where: str, name: str, words: list[str], options: Options) -> Row:
    """Return a row, the words in braces of its command filled in from the options, which have them no more."""
    used, filled = set(), []
    for word in words:
        try:
            names = {field for _, field, _, _ in string.Formatter().parse(word) if field is not None}
        except ValueError as error:
            raise InputError(f"{where}command is no command, {error}: got {word!r}") from None
        for field in names - {"seed"}:
            if field.replace("_", "-") not in options:
                raise InputError(f"{where}command has {{{field}}}, which neither options nor grid give: add it to one")
            used.add(field.replace("_", "-"))
            word = word.replace(f"{{{field}}}", _as_text(options[field.replace("_", "-")]))
        filled.append(word)
    folder = re.sub(r"[^\w.=,+-]+", "-", name.replace(", ", ",")).strip("-.") or "row"
    return Row(name, folder[:120], tuple(filled), {key: value for key, value in options.items() if key not in used})


def _named(where: str, table: Mapping[str, Any]) -> Options:
    """Return a table of options by their long names, with - for _."""
    options = table.get(where.rpartition(".")[2], {})
    _check_options(where, options)
    return {key.replace("_", "-"): value for key, value in options.items()}


def _check_keys(where: str, table: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for key, value in table.items():
        if key not in kinds:
            raise InputError(f"there is no key {where + key!r} (got {show(value)}): there are {', '.join(kinds)}")
        _check_kind(where + key, value, kinds[key])


def _check_kind(key: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InputError(f"{key} must be {_KINDS[kind]}, got {show(value)}")


def _check_options(where: str, options: Options) -> None:
    for key, value in options.items():
        name = key.replace("_", "-")
        if name in _ITS_OWN:
            raise InputError(f"{where}.{key} = {show(value)} is given by {_ITS_OWN[name]}: leave it out")
        if not re.fullmatch(r"[A-Za-z][\w-]*", key):
            raise InputError(f"{where}.{key} must be called as the long option is, without dashes before it")
        if isinstance(value, dict):
            raise InputError(f"{where}.{key} must be a value or a list, got a table: {show(value)}")


def _spell(options: Options) -> list[str]:
    """Return options as words of a command line."""
    words = []
    for key, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{key}" if value else f"--no-{key}")
        else:
            words.append(f"--{key}={_as_text(value)}")
    return words


def _as_text(value: object) -> str:
    """Return a value as a command line has it: lists as 32,32, an empty one as none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_as_text, value)) or "none"
    return str(value)
