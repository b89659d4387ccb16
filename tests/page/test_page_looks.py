"""How the page looks in Chromium, and to whom."""

import pathlib
import re

import pytest
from driving import picture, random_models, steps


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_its_window_and_has_no_accessibility_violations(show, width, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    source = pathlib.Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    size = {"width": width, "height": 844}
    tab = show(address="#rival=1&noise=12", viewport=size, color_scheme=scheme, device_scale_factor=2)
    steps(tab, 30)
    tab.get_by_role("button", name="unplug cosine of the angle").click()
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    for canvas in (".stage", ".height", "#wires", "#traces", "#mind"):
        tab.locator(canvas).first.scroll_into_view_if_needed()
        tab.wait_for_timeout(50)
        drawn, shown = tab.evaluate(
            "name => { const c = document.querySelector(name); return [c.width, c.clientWidth]; }", canvas
        )
        assert drawn == 2 * shown > 200
    tab.evaluate(source)
    violations = tab.evaluate("axe.run().then(result => result.violations.map(each => [each.id, each.nodes[0].html]))")
    assert violations == []


def test_dark_mode_is_dark_and_can_change_while_it_is_open(show):
    tab = show(color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light, shot = tab.evaluate(background), picture(tab, ".stage")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_timeout(50)
    assert sum(map(int, re.findall(r"\d+", tab.evaluate(background)))) < 120
    assert sum(map(int, re.findall(r"\d+", light))) > 700
    assert picture(tab, ".stage") != shot


def test_reduced_motion_waits_to_be_asked(show):
    tab = show(reduced_motion="reduce")
    tab.wait_for_timeout(200)
    assert tab.evaluate("pisensory.run.steps") == 0
    assert "less motion" in tab.locator("#status").inner_text()
    assert tab.evaluate("getComputedStyle(document.querySelector('#play')).transitionDuration") == "0s"


def test_what_the_pictures_show_is_said_in_words(show):
    tab = show()
    steps(tab, 5)
    assert re.fullmatch(
        r"invariant: cart at -?\d\.\d metres, pole \d+ degrees from upright",
        tab.locator(".stage:visible").get_attribute("aria-label"),
    )
    label = tab.locator("#mind").get_attribute("aria-label")
    assert label.startswith("Mean size of attention for each place: position x 0.") and "turning speed 0." in label
