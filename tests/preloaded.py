"""What commands import, for `warm`."""

import contextlib

import forked  # noqa: F401

import pisensory.cli  # noqa: F401
from pisensory.train.optimizer import _import_cma

_import_cma()  # without what a training does not need of it
with contextlib.suppress(ImportError):
    import matplotlib.backends.backend_agg
    import matplotlib.pyplot  # noqa: F401
    import PIL.Image

    PIL.Image.preinit()  # what reads and writes the usual formats
