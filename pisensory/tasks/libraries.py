"""gym and Gymnasium, told apart by name and loaded when first needed, without their notices."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError, check_choice, check_int, import_extra

LIBRARIES = ("gym", "gymnasium")

# Warnings and output are the whole process's: two threads that changed them at once would each restore what the
# other had changed, and the last one leave them so for good.
SILENCE = threading.RLock()


def load_library(name: str) -> ModuleType:
    """Return the module `gym` or `gymnasium`.

    Raises InputError for another name, MissingExtraError if it is not installed.
    """
    check_choice("library", name, LIBRARIES)
    extra = "gymnasium" if name == "gymnasium" else "all"
    if name in sys.modules:
        return import_extra(name, extra)
    with quiet():
        return import_extra(name, extra)


def library_of(env: Any) -> ModuleType:
    """Return the library an environment belongs to; raise InputError if it is neither's."""
    for base in type(env).__mro__:
        name = base.__module__.split(".")[0]
        if base.__name__ == "Env" and name in LIBRARIES:
            return load_library(name)
    raise InputError(f"an environment of gym or Gymnasium is needed, got {type(env).__name__}")


def is_space(space: Any, kind: str) -> bool:
    """Return whether a space is of this kind, such as "Box", of either library."""
    loaded = (sys.modules.get(name) for name in LIBRARIES)
    return any(isinstance(space, getattr(library.spaces, kind)) for library in loaded if library is not None)


@contextlib.contextmanager
def quiet():  # type: ignore[no-untyped-def]
    """Keep gym's notices and warnings off the screen for the length of a block, one thread at a time."""
    with SILENCE, warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class EpisodeCounter:
    """Which episode an environment is in: a reset with a seed begins number 0 of that seed, one without the next.

    Attributes:
        seed: that was given last, or drawn.
        number: of the episode; below 0 before the first.
    """

    def __init__(self) -> None:
        self.seed, self.number = -1, -1

    def begin(self, seed: int | None, generator: np.random.Generator) -> None:
        """Go on to the next episode, or to the first one of a seed; the generator draws one where none is known."""
        if seed is not None or self.seed < 0:
            self.seed = int(generator.integers(2**31)) if seed is None else check_int("seed", seed, 0)
            self.number = -1
        self.number += 1

    @property
    def info(self) -> dict[str, int]:
        """What environments tell of it when an episode begins."""
        return {"seed": self.seed, "episode": self.number}
