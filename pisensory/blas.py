"""One thread for BLAS: then a sum has one order, on any number of cores, and small products wait for nobody.

NumPy has no way to ask for it once it is loaded, so the library that it has loaded is asked itself.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# For those who start processes: the libraries read these as they are loaded.
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# What the libraries call it: OpenBLAS in NumPy's wheels, in those of before 1.26, on systems; and MKL.
_FUNCTIONS = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)
_log = logging.getLogger("pisensory")
_lock = threading.Lock()
_n_open, _before = 0, 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread, in all threads of this process, for as long as this or another such context is open.

    Where the library cannot be told, a warning says what to do.
    """
    global _n_open, _before
    get, set_number = _find()
    with _lock:
        if _n_open == 0:
            _before = get()
            set_number(1)
        _n_open += 1
    try:
        yield
    finally:
        with _lock:
            _n_open -= 1
            if _n_open == 0:
                set_number(_before)


@functools.cache
def _find() -> tuple[Callable[[], int], Callable[[int], None]]:
    """Return the functions of the loaded library that get and set its number of threads."""
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for get, set_number in _FUNCTIONS:
            if hasattr(library, get) and hasattr(library, set_number):
                return getattr(library, get), getattr(library, set_number)
    if os.cpu_count() != 1 and not any(os.environ.get(name) == "1" for name in THREAD_VARIABLES):
        _log.warning(
            "this NumPy's BLAS cannot be told to use one thread, and with more of them results may change in the last "
            "bit: set %s=1 before you start Python, or the variable of its library", THREAD_VARIABLES[0],
        )  # fmt: skip
    return lambda: 1, lambda number: None


def _libraries() -> Iterator[Path]:
    """Give NumPy's own module, through which its libraries are found, and, for Windows, those beside it."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            yield Path(file)
    yield from (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*")
