"""Shared by all tests: the reference data, if there is any, and small policies and tasks."""

import os
import pathlib

import numpy as np
import pytest


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
