"""Shared by all tests: the reference data, if there is any, and small policies and tasks."""

import gc
import os
import pathlib
import signal

# There is a worker for each core: with more threads, their products would wait for each other. NumPy reads it once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from warm import warm_workers  # noqa: F401 - a fixture

# A shell starts what it runs in the background with interrupts ignored, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests start compiles the package once, not each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The files that take the longest, which begin first: at the end, only short tests are left to share out.
LONGEST = [
    "test_page_story", "test_page_address",
    "test_report", "test_crashes", "test_models", "test_recipe", "test_sweep", "test_commands", "test_clusters",
    "test_walkthrough", "test_runs", "test_cli", "test_clone", "test_wrong_arguments", "test_package",
]  # fmt: skip


def pytest_collection_modifyitems(items):
    places = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish():
    """What is loaded by now stays to the end: there is no use in looking through it for garbage again and again.

    Nor in looking for more after every few hundred objects.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks():
    """Files need not survive a loss of power, in the process of the tests; those it starts wait for the disk."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def reference():
    """The folder of reference data; tests that need it are skipped where it is not set."""
    folder = os.environ.get("PISENSORY_REFERENCE")
    if not folder:
        pytest.skip("PISENSORY_REFERENCE is not set")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def published(reference):
    """The published cart-pole weights, a vector of 913 numbers."""
    return np.load(reference / "weights" / "cartpole_pi.npz")["params"]
