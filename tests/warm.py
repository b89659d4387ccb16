"""The command line, or Python code, in processes of their own that need not import everything anew.

They are forks of one that has imported it and waits. Each has memory, folder, environment, signals and an exit code of
its own. What only a fresh interpreter shows, such as what importing loads, is tested in a `subprocess`.
"""

import functools
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import forked
import pytest

_CONTEXT = forked.Context()
_CONTEXT.set_forkserver_preload(["preloaded"])
_TESTS = Path(__file__).parent


@functools.cache
def _begin():
    """Have a process import `preloaded`, for which it is to look here, and wait to be forked."""
    if _CONTEXT.get_start_method() == "forkserver":
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PYTHONPATH", str(_TESTS), prepend=os.pathsep)
            multiprocessing.forkserver.ensure_running()


@pytest.fixture
def warm_workers(monkeypatch):
    """Have this process start its workers as forks, too."""
    _begin()
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: _CONTEXT)


class Started:
    """A process as `subprocess.Popen` has it, as far as it is asked for here."""

    stderr = None  # what it says comes with its end

    def __init__(self, arguments, code=None, cwd=None, env=None):
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("out", "errors")]
        self.args = [str(argument) for argument in arguments]
        where, environment = str(cwd or os.getcwd()), dict(os.environ if env is None else env)
        _begin()
        self._process = _CONTEXT.Process(target=forked.run, args=(self.args, code, where, environment, self._files))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        """The exit code, minus the number of a signal that killed it; None while it runs."""
        return self._process.exitcode

    def poll(self):
        """As `returncode`."""
        return self.returncode

    def send_signal(self, number):
        """Send it a signal, if it has not ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=None):
        """Return its exit code, having waited for it."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        """Return, at its end, what it wrote: its output and its errors."""
        self.wait(timeout)
        return tuple(path.read_text() for path in self._files)


# The command line, in which the scores at the end of a training or cloning are of few episodes.
_FEW = """
import sys
from pisensory.cli import main
from pisensory.tasks.base import Task
from pisensory.tasks.environment import EnvironmentTask

Task.score_episodes = EnvironmentTask.score_episodes = 8
sys.exit(main(sys.argv[1:]))
"""


def pisensory(*arguments, cwd=None, env=None, timeout=120):
    """Run `pisensory ...` to its end, as `subprocess.run` does, capturing text."""
    code = _FEW if {"train", "clone"} & set(arguments) else None
    return _finish(Started(arguments, code, cwd, env), timeout)


def python(code, *arguments, cwd=None, env=None, timeout=60):
    """Run Python code to its end, as `python -c` does."""
    return _finish(Started(arguments, code, cwd, env), timeout)


def _finish(process, timeout):
    try:
        out, errors = process.communicate(timeout)
    except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)
