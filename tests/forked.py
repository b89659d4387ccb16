"""Processes for `warm`: forks of one that waits, each with the environment of the process that starts it.

Each would import anew what this imports, and what waits has not: pytest, say.
"""

import multiprocessing
import os
import runpy
import sys
import types
from pathlib import Path

_TESTS = Path(__file__).parent
_BEGUN = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")  # Windows has no forks


class Worker(_BEGUN.Process):
    """A process that has the environment that its parent had when it began."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.environment = dict(os.environ)

    def run(self):
        """Do what it is for."""
        os.environ.clear()
        os.environ.update(self.environment)
        super().run()


class Context(type(_BEGUN)):
    """Makes these."""

    Process = Worker


def run(arguments, code, folder, environment, files):
    """Be the command line, or Python code, that writes to these files."""
    for number, path in enumerate(files, 1):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *(path for path in sys.path if not path or _TESTS not in (Path(path), Path(path).parent))]
    sys.argv[:] = ["-c", *arguments]
    if code is None:
        runpy.run_module("pisensory", run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
