"""The errors pisensory raises on purpose; everything else that escapes is a bug."""

from __future__ import annotations

import importlib
import math
import numbers
import reprlib
import sys
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

Number = TypeVar("Number", int, float)

# Bounds that no network of this package comes near, and that keep what is taken at a word out of memory's way.
MAX_LAYERS = 64
MAX_SIZE = 100_000
MAX_COUNT = 10**9
MAX_EPISODES = 10**7
MAX_NUMBERS = 2**28  # of an array
# The largest factor on numbers of any size that float32 has: what is left of its range takes their sums.
MAX_FACTOR = 1e6


class PisensoryError(Exception):
    """Base of every error raised on purpose: the message names what was wrong and the way out.

    Examples:
        >>> try:
        ...     ps.load_model("nobody")
        ... except ps.PisensoryError as error:
        ...     print(type(error).__name__)
        InputError
    """


class InputError(PisensoryError, ValueError):
    """An argument that cannot be used: a wrong shape, size, range or combination.

    Examples:
        >>> ps.CartPoleSwingUp("hard")
        Traceback (most recent call last):
            ...
        pisensory.errors.InputError: version must be one of harder, v0, v1, got 'hard'
    """


class FileError(PisensoryError, OSError):
    """A file or folder that cannot be read, written or trusted.

    Examples:
        >>> ps.load_policy("nowhere.npz")
        Traceback (most recent call last):
            ...
        pisensory.errors.FileError: there is no file nowhere.npz
    """


class TaskError(PisensoryError):
    """An environment, not ours, that failed in the middle of an episode.

    Examples:
        >>> issubclass(ps.TaskError, ps.PisensoryError)
        True
    """


class ExecutorError(PisensoryError):
    """Workers, or a cluster of them, that failed for good.

    Examples:
        >>> issubclass(ps.ExecutorError, ps.PisensoryError)  # so one `except` is enough for all
        True
    """


class DivergedError(PisensoryError):
    """A search whose parameters have grown without bound.

    Examples:
        >>> issubclass(ps.DivergedError, ps.PisensoryError)
        True
    """


class DisplayError(PisensoryError):
    """A window that cannot be opened where there is no screen.

    Examples:
        >>> issubclass(ps.DisplayError, ps.PisensoryError)
        True
    """


class MissingExtraError(PisensoryError, ImportError):
    """A feature whose optional package is not installed.

    Examples:
        >>> issubclass(ps.MissingExtraError, ImportError)
        True
    """


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional `module`, or raise MissingExtraError naming the `extra` that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {module.split('.')[0]} ({error}); install it with: pip install 'pisensory[{extra}]'"
        ) from error


def shorten(text: str, longest: int = 300) -> str:
    """Return a text as a message can say it: in one line, and not at length."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."


def show(value: object) -> str:
    """Return a value as a message can say it."""
    try:
        text = _brief.repr(value)
    except Exception:  # numbers too long to be written in decimal, and classes whose repr fails
        text = f"a value of type {type(value).__name__}"
    return shorten(text, 100)


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 80


def _as_number(value: object) -> float | int | None:
    """Return a real number as Python's own int or float; None for all else, True and False included."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    try:
        return float(value)
    except OverflowError:  # a fraction beyond all floats
        return None


def check_int(name: str, value: object, minimum: int, maximum: int = 2**53) -> int:
    """Return `value` as an int from `minimum` to `maximum`, or raise InputError naming the argument."""
    if type(value) is int and minimum <= value <= maximum:  # at once, as each episode's seed is looked at
        return value
    number = _as_number(value)
    whole = isinstance(number, int) or (number is not None and number.is_integer())
    if number is None or not whole or number < minimum:
        raise InputError(f"{name} must be a whole number of at least {minimum}, got {show(value)}")
    if number > maximum:
        raise InputError(f"{name} must be at most {maximum:,}, got {show(value)}")
    return int(number)


def check_positive(name: str, value: object, allow_zero: bool = False, maximum: float = sys.float_info.max) -> float:
    """Return `value` as a finite float above zero (or at zero, if allowed), up to `maximum`, or raise InputError."""
    number = _as_number(value)
    if number is None or not 0 <= number < math.inf or (number == 0 and not allow_zero):
        bound = "at least" if allow_zero else "above"
        raise InputError(f"{name} must be a finite number {bound} 0, got {show(value)}")
    if number > maximum:
        raise InputError(f"{name} must be at most {maximum:g}, got {show(value)}")
    return float(number)


def check_bool(name: str, value: object) -> bool:
    """Return `value` as a bool, or raise InputError naming the argument."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} must be True or False, got {show(value)}")
    return bool(value)


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` if it is one of the `choices`, or raise InputError naming the argument."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {show(value)}")
    return value


def check_text(name: str, value: object, example: str, longest: int = 200) -> str:
    """Return `value` if it is text of at least one and at most `longest` characters, or raise InputError."""
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise InputError(f"{name} must be text of 1 to {longest} characters, such as {example!r}, got {show(value)}")
    return value


def check_type(name: str, value: Any, kind: type, way: str) -> Any:
    """Return `value` if it is of a class, or raise InputError naming the argument and the `way` to have one."""
    if not isinstance(value, kind):
        raise InputError(f"{name} must be a {kind.__name__}, such as {way}, got {show(value)}")
    return value


def check_list(name: str, value: object, example: str, most: int = 1_000_000) -> list[Any]:
    """Return the items of `value`, a sequence of at most so many and no text, or raise InputError."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = list(value[: most + 1])
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InputError(f"{name} must be a sequence such as {example}, got {show(value)}")
    if len(value) > most:
        raise InputError(f"{name} must have at most {most:,} items, got {len(value):,}")
    return list(value)


def check_array(name: str, values: object) -> np.ndarray:
    """Return `values`, real numbers, as an array of their own type, or raise InputError naming the argument."""
    if isinstance(values, Sequence) and len(values) > MAX_NUMBERS:
        raise InputError(f"{name} must have at most {MAX_NUMBERS:,} numbers, got {len(values):,}")
    try:
        array = np.asarray(values)
    except Exception:  # it may run code of the values'
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} must be an array of real numbers, got {show(values)}")
    return array


def check_sizes(name: str, sizes: object) -> tuple[int, ...]:
    """Return layer sizes as a tuple of ints of at least one, or raise InputError naming the argument."""
    return tuple(
        check_int(f"each of {name}", size, 1, MAX_SIZE) for size in check_list(name, sizes, "(32,) or ()", MAX_LAYERS)
    )


def check_numbers(name: str, numbers: object) -> tuple[int, ...]:
    """Return numbers of things, counted from 0, as a tuple of ints, or raise InputError naming the argument."""
    return tuple(check_int(f"each of {name}", number, 0) for number in check_list(name, numbers, "(0, 2) or ()"))


def check_range(name: str, value: object, check: Callable[[str, object], Number]) -> Number | tuple[Number, Number]:
    """Return a number, or the two ends of a range as a tuple, each of them checked by `check(name, value)`."""
    if not isinstance(value, (tuple, list)):
        return check(name, value)
    if len(value) != 2:
        raise InputError(f"{name} must be a number, or the two ends of a range, got {show(value)}")
    low, high = check(name, value[0]), check(name, value[1])
    if low > high:
        raise InputError(f"{name} must be a range from a lower to a higher number, got {show(value)}")
    return low, high


def check_number(name: str, value: object) -> float:
    """Return `value` as a finite float of at most MAX_FACTOR, up or down, or raise InputError naming the argument."""
    number = _as_number(value)
    if number is None or not abs(number) <= MAX_FACTOR:
        raise InputError(f"{name} must be a number from {-MAX_FACTOR:g} to {MAX_FACTOR:g}, got {show(value)}")
    return float(number)


def check_keywords(name: str, value: object) -> dict[str, Any]:
    """Return `value` if it is a dict of keyword arguments, or raise InputError naming the argument."""
    if not isinstance(value, dict) or not all(isinstance(key, str) and key.isidentifier() for key in value):
        raise InputError(f"{name} must be a dict of keyword arguments such as {{'gravity': 9.81}}, got {show(value)}")
    return value
