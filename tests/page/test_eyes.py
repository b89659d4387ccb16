"""The page of the agents that see: that it is not older than what it is made of, and that it plays."""

import hashlib
import importlib.util
import json
import pathlib
import re

import numpy as np
import pytest
from driving import ROOT, wait

import pisensory as ps

RECORDINGS = ROOT / "docs" / "recordings"
CARD = json.loads((RECORDINGS / "eyes.json").read_text(encoding="utf-8"))


@pytest.fixture
def make_eyes():
    """The script that makes the page."""
    for module in ("PIL", "imageio_ffmpeg"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    spec = importlib.util.spec_from_file_location("make_eyes", ROOT / "docs" / "make_eyes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_not_older_than_its_sources(make_eyes):
    """`python docs/make_eyes.py` builds it anew."""
    assert (ROOT / "docs" / "eyes.html").read_text(encoding="utf-8") == make_eyes.build()


def test_the_recordings_are_those_that_were_noted():
    noted = {name: digest for each in CARD.values() for name, digest in each["sha256"].items()}
    files = {path.name: path for path in RECORDINGS.iterdir() if path.suffix in (".mp4", ".webm", ".png")}
    assert noted == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert sum(path.stat().st_size for path in files.values()) < 2_000_000


@pytest.mark.parametrize("name", ["driver", "attention-agent"])
def test_the_recordings_show_what_is_drawn_today(make_eyes, reference, name):
    """Their first seconds, against the same frames drawn anew."""
    for module in ("Box2D", "PIL"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    from PIL import Image

    weights, policy, title = {
        "driver": ("carracing_pi", ps.PatchPolicy.car_racing(), "invariant"),
        "attention-agent": ("carracing", ps.AttentionAgentPolicy.car_racing(), "AttentionAgent"),
    }[name]
    models = {title: (policy, ps.load_params(reference / "weights" / f"{weights}.npz"))}
    frames = make_eyes.draw(models, make_eyes.shuffled_task(name))
    drawn = [next(frames) for _ in range(make_eyes.POSTER + 1)][-1]
    poster = Image.open(RECORDINGS / f"{name}.png").convert("RGB")
    difference = np.abs(np.asarray(drawn, np.float64) - np.asarray(poster, np.float64))
    assert difference.mean() < 3  # the poster has 128 colors


def test_it_opens_from_the_disk_plays_and_pauses(open_eyes):
    tab = open_eyes(reduced_motion="no-preference")
    videos = "[...document.querySelectorAll('video')]"
    wait(tab, f"{videos}.length === 3 && {videos}.every(each => each.currentTime > 0.2 && !each.paused)")
    assert tab.evaluate(f"{videos}.map(each => [each.videoWidth, each.videoHeight])") == [
        each["size"] for each in CARD.values()
    ]
    assert all(abs(length - 7) < 1.5 for length in tab.evaluate(f"{videos}.map(each => each.duration)"))
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Pause all"
    tab.keyboard.press("Enter")
    wait(tab, f"{videos}.every(each => each.paused)")
    assert tab.locator("#all").inner_text() == "Play all"
    tab.evaluate(f"{videos}[1].play()")
    wait(tab, "document.querySelector('#all').textContent === 'Pause all'")
    assert tab.evaluate(f"{videos}.map(each => each.paused)") == [True, False, True]


def test_the_button_says_at_once_what_it_does_next(open_eyes):
    """A video's own event is queued, and would come too late for a reader that looks right after the click."""
    tab = open_eyes(reduced_motion="reduce")
    click = "(document.querySelector('#all').click(), document.querySelector('#all').textContent)"
    assert [tab.evaluate(click) for _ in range(4)] == ["Pause all", "Play all"] * 2


def test_with_less_motion_nothing_plays_by_itself(open_eyes):
    tab = open_eyes(reduced_motion="reduce")
    tab.wait_for_timeout(500)
    assert tab.evaluate("[...document.querySelectorAll('video')].every(each => each.paused && each.controls)")
    assert "less motion" in tab.locator("#less-motion").inner_text()
    assert tab.locator("#all").inner_text() == "Play all"


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_axe_finds_nothing(open_eyes, width, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    source = pathlib.Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    tab = open_eyes(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    light = sum(map(int, re.findall(r"\d+", tab.evaluate("getComputedStyle(document.body).backgroundColor"))))
    assert light > 700 if scheme == "light" else light < 120
    tab.evaluate(source)
    assert tab.evaluate("axe.run().then(result => result.violations.map(each => [each.id, each.nodes[0].html]))") == []
    words = tab.evaluate("[...document.querySelectorAll('video')].map(v => v.getAttribute('aria-describedby'))")
    for described in words:
        assert len(tab.locator(f"#{described}").inner_text()) > 80


@pytest.fixture
def open_eyes(open_tab):
    """A function that opens the page, and fails the test for complaints and for anything that is not beside it."""
    opened, complaints = [], []

    def open_page(**options):
        tab = open_tab(complaints.append, **options)
        opened.append(tab)
        tab.goto((ROOT / "docs" / "eyes.html").as_uri())
        return tab

    yield open_page
    for tab in opened:
        tab.title()  # an answer, behind all that the tab has yet to say
    beside = ("data:", (ROOT / "docs").as_uri())
    assert [complaint for complaint in complaints if not complaint.startswith(beside)] == []
