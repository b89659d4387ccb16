"""What a benchmark says of the machine, so that figures of different ones compare. To be imported before NumPy.

Importing it gives NumPy's BLAS one thread, as in the workers, and takes back what an environment may have said of its
kernel: OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE make a current OpenBLAS slower than it is.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from pathlib import Path

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
for _variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_variable, None)

_CORE_NAMES = ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename")


def kernel() -> str:
    """Return the name of the kernel that OpenBLAS runs, or that of whatever BLAS NumPy was built with."""
    import numpy as np

    for library in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"):
        loaded = ctypes.CDLL(str(library))
        for name in _CORE_NAMES:
            if hasattr(loaded, name):
                function = getattr(loaded, name)
                function.restype = ctypes.c_char_p
                return f"OpenBLAS for {function().decode()}"
    return str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])


def yardstick(repetitions: int = 15) -> float:
    """Return the median processor seconds of a fixed piece of plain NumPy: what a step of the network is made of.

    64 candidates' products of (32, 11) and (11, 80), and tanh of what comes out, both 20 times, in float32.
    """
    import numpy as np

    generator = np.random.default_rng(0)
    weights = generator.standard_normal((64, 32, 11), dtype=np.float32)
    inputs = generator.standard_normal((64, 11, 80), dtype=np.float32)
    outputs = np.empty((64, 32, 80), np.float32)
    times = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        for _ in range(20):
            np.matmul(weights, inputs, out=outputs)
            np.tanh(outputs, out=outputs)
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def report() -> float:
    """Print NumPy's version, the kernel and the yardstick; return the yardstick, in seconds."""
    import numpy as np

    length = yardstick()
    print(f"NumPy {np.__version__}, {kernel()}, one thread; the yardstick takes {1000 * length:.2f} ms", flush=True)
    return length
