"""The errors pisensory raises on purpose; everything else that escapes is a bug."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TypeVar

Number = TypeVar("Number", int, float)


class PisensoryError(Exception):
    """Base of every error raised on purpose: the message names what was wrong and the way out."""


class InputError(PisensoryError, ValueError):
    """An argument that cannot be used: a wrong shape, size, range or combination."""


class FileError(PisensoryError, OSError):
    """A file or folder that cannot be read, written or trusted."""


class TaskError(PisensoryError):
    """An environment, not ours, that failed in the middle of an episode."""


class ExecutorError(PisensoryError):
    """Workers, or a cluster of them, that failed for good."""


class DivergedError(PisensoryError):
    """A search whose parameters have grown without bound."""


class MissingExtraError(PisensoryError, ImportError):
    """A feature whose optional package is not installed."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional `module`, or raise MissingExtraError naming the `extra` that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {module.split('.')[0]} ({error}); install it with: pip install 'pisensory[{extra}]'"
        ) from error


def check_int(name: str, value: object, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`, or raise InputError naming the argument."""
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = None
    if isinstance(value, bool) or number is None or number != value or number < minimum:
        raise InputError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
    return number


def check_positive(name: str, value: object, allow_zero: bool = False) -> float:
    """Return `value` as a finite float above zero (or at zero, if allowed), or raise InputError."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not (0 <= number < float("inf")) or (number == 0 and not allow_zero):
        bound = "at least" if allow_zero else "above"
        raise InputError(f"{name} must be a finite number {bound} 0, got {value!r}")
    return number


def check_sizes(name: str, sizes: object) -> tuple[int, ...]:
    """Return layer sizes as a tuple of ints of at least one, or raise InputError naming the argument."""
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, Iterable):
        raise InputError(f"{name} must be a sequence of layer sizes such as (32,) or (), got {sizes!r}")
    return tuple(check_int(f"each of {name}", size, 1) for size in sizes)


def check_numbers(name: str, numbers: object) -> tuple[int, ...]:
    """Return numbers of things, counted from 0, as a tuple of ints, or raise InputError naming the argument."""
    if isinstance(numbers, (str, bytes)) or not isinstance(numbers, Iterable):
        raise InputError(f"{name} must be a sequence of numbers such as (0, 2) or (), got {numbers!r}")
    return tuple(check_int(f"each of {name}", number, 0) for number in numbers)


def check_range(name: str, value: object, check: Callable[[str, object], Number]) -> Number | tuple[Number, Number]:
    """Return a number, or the two ends of a range as a tuple, each of them checked by `check(name, value)`."""
    if not isinstance(value, (tuple, list)):
        return check(name, value)
    if len(value) != 2:
        raise InputError(f"{name} must be a number, or the two ends of a range, got {value!r}")
    low, high = check(name, value[0]), check(name, value[1])
    if low > high:
        raise InputError(f"{name} must be a range from a lower to a higher number, got {value!r}")
    return low, high


def check_number(name: str, value: object) -> float:
    """Return `value` as a finite float, or raise InputError naming the argument."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise InputError(f"{name} must be a finite number, got {value!r}")
    return number
