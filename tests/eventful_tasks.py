"""Cart-poles in which something happens, for workers, which need not import tests for them."""

import os
import signal
import time

import pisensory as ps


class DeadlyTask(ps.CartPoleSwingUp):
    """Kills the worker of generation 2's first chunk, as often as the file DEADLY has letters."""

    def _start(self, seed, episodes):
        path = os.environ.get("DEADLY", "")
        if len(seed) == 3 and seed[2] == 2 and episodes[0, 0] == 0 and path and os.path.getsize(path):
            os.truncate(path, os.path.getsize(path) - 1)
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._start(seed, episodes)


class EventfulTask(ps.CartPoleSwingUp):
    """Lets go of the file EVENT in the first chunk of generation 2, and waits until somebody has taken it."""

    def _start(self, seed, episodes):
        if len(seed) == 3 and seed[2] == 2 and episodes[0, 0] == 0 and not os.path.exists(os.environ["EVENT"]):
            with open(os.environ["EVENT"], "w") as file:
                file.write(str(os.getpid()))
            while not os.path.exists(os.environ["EVENT"] + " taken"):
                time.sleep(0.01)
        return super()._start(seed, episodes)


class FailingTask(ps.CartPoleSwingUp):
    """Ends its worker, or raises an error of its own."""

    def _start(self, seed, episodes):
        if self.max_steps == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("the task is broken")
