"""`pisensory --load FILE`: Python of the user's own, which registers policies and tasks.

Only files that are named on the command line are run; nothing that a model or a run folder says ever is.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from ..errors import FileError, InputError
from ..files import as_path


def load_module(path: str) -> None:
    """Import a Python file under its own name, so that worker processes find it by that too.

    Raises:
        FileError: if there is no such file.
        InputError: if it is no Python file, another module has its name, or it fails.
    """
    file = as_path(path).resolve()
    if not file.is_file():
        raise FileError(f"there is no file {path}")
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise InputError(f"--load must be a Python file with a name that can be imported, got {path!r}")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    found = importlib.util.find_spec(file.stem)
    if found is None or found.origin is None or Path(found.origin).resolve() != file:
        raise InputError(f"--load {path}: there is another module named {file.stem}: rename the file")
    try:
        importlib.import_module(file.stem)
    except Exception as error:
        raise InputError(f"--load {path} failed: {type(error).__name__}: {error}") from error
