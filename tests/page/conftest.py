"""For tests of the page in a browser, which need Chromium and Playwright and are skipped, saying so, without them."""

import numpy as np
import pytest
from driving import ALONE, FLAGS, chromium, random_models

import pisensory as ps
from pisensory import page


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if chromium() is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def show(browser, tmp_path):
    """A function that opens a page of these models, paused, and fails the test for whatever the console says."""
    contexts, complaints = [], []

    def open_page(models=None, address=ALONE, *, settings=None, **options):
        path = tmp_path / "page.html"
        page.write_page(path, models or random_models(), settings)
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.append(request.url))
        tab.goto(path.as_uri() + address)
        assert [url.split("#")[0] for url in complaints] == [path.as_uri()]
        complaints.clear()
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def hand_made():
    """A policy that only keeps the cart near the middle, and so lets the pole hang."""
    return {"idle": (ps.MLPPolicy(hidden_sizes=()), np.array([-0.1, -0.1, 0, 0, 0, 0]))}
