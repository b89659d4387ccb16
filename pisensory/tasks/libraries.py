"""gym and Gymnasium, told apart by name and loaded when first needed, without their notices."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import warnings
from types import ModuleType
from typing import Any

from ..errors import InputError, import_extra

LIBRARIES = ("gym", "gymnasium")

# Warnings and output are the whole process's: two threads that changed them at once would each restore what the
# other had changed, and the last one leave them so for good.
SILENCE = threading.RLock()


def load_library(name: str) -> ModuleType:
    """Return the module `gym` or `gymnasium`.

    Raises InputError for another name, MissingExtraError if it is not installed.
    """
    if name not in LIBRARIES:
        raise InputError(f"library must be one of {', '.join(LIBRARIES)}, got {name!r}")
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
