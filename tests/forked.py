"""Processes for `warm`: forks of one that waits, each with the environment of the process that starts it."""

import multiprocessing
import os

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
