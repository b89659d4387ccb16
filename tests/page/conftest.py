"""For tests of the page in a browser, which need Chromium and Playwright and are skipped, saying so, without them."""

import collections

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


@pytest.fixture(scope="session")
def idle_tabs(browser):
    """Empty tabs for the next tests, by what of a tab cannot be changed later: a new one takes a process of its own."""
    return collections.defaultdict(list)


@pytest.fixture
def open_tab(browser, idle_tabs):
    """A function that opens a tab for a test, and tells `heard` what the console says and what is asked for."""
    opened = []

    def open_one(heard, *, viewport=None, color_scheme=None, reduced_motion=None, **options):
        idle = idle_tabs[tuple(sorted(options.items()))]
        tab = idle.pop() if idle else browser.new_context(**options).new_page()
        tab.set_viewport_size(viewport or {"width": 1280, "height": 720})
        tab.emulate_media(color_scheme=color_scheme or "light", reduced_motion=reduced_motion or "no-preference")
        listeners = {
            "console": lambda message: heard(message.text),
            "pageerror": lambda error: heard(str(error)),
            "request": lambda request: heard(request.url),
        }
        for event, listener in listeners.items():
            tab.on(event, listener)
        opened.append((tab, idle, listeners))
        return tab

    yield open_one
    for tab, idle, listeners in opened:
        for event, listener in listeners.items():
            tab.remove_listener(event, listener)
        tab.goto("about:blank")
        idle.append(tab)


@pytest.fixture
def show(open_tab, tmp_path):
    """A function that opens a page of these models, paused, and fails the test for whatever the console says."""
    opened, complaints = [], []

    def open_page(models=None, address=ALONE, *, settings=None, **options):
        path = tmp_path / "page.html"
        page.write_page(path, models or random_models(), settings)
        tab = open_tab(complaints.append, **{"reduced_motion": "reduce", **options})
        opened.append(tab)
        tab.goto(path.as_uri() + address)
        assert [url.split("#")[0] for url in complaints] == [path.as_uri()]
        complaints.clear()
        return tab

    yield open_page
    for tab in opened:
        tab.title()  # an answer, behind all that the tab has yet to say
    assert complaints == []


@pytest.fixture
def hand_made():
    """A policy that only keeps the cart near the middle, and so lets the pole hang."""
    return {"idle": (ps.MLPPolicy(hidden_sizes=()), np.array([-0.1, -0.1, 0, 0, 0, 0]))}
