"""How the page looks in Chromium, and to whom."""

import pathlib
import re

import pytest
from driving import ALONE, COPY, picture, random_models, shipped_models, steps, wait


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


# ---- Room for everybody

LONG = "a-policy-with-a-name-that-goes-on-and-on-as-names-of-run-folders-do"
SPACED = """* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
  p { margin-bottom: 2em !important; }"""


def overflowing(tab):
    """Elements that are wider than the window, or that stick out of it to the right."""
    return tab.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          const seen = [...document.body.querySelectorAll("*")].filter((each) => each.checkVisibility());
          return seen.filter((each) => !each.closest(".unseen") && each.getBoundingClientRect().right > width + 0.5)
            .map((each) => each.outerHTML.slice(0, 80));
        }"""
    )


def assert_nothing_sticks_out(tab, widths):
    """That all there is fits into windows of these widths."""
    for width in widths:
        tab.set_viewport_size({"width": width, "height": 700})
        tab.wait_for_timeout(50)
        assert overflowing(tab) == [], width
        assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_nothing_sticks_out_of_the_window(show):
    models = {LONG: random_models()["invariant"], **random_models()}
    tab = show(models, "#rival=2&noise=12&copies=2")
    tab.click("#shuffle")
    steps(tab, 30)
    tab.evaluate("pisensory.page.scenarios[0].until = 400")  # of the counting, only its words are looked at
    tab.locator("#scenarios .check-it").first.click()
    wait(tab, "!document.querySelector('.check-it:disabled')")
    assert_nothing_sticks_out(tab, (320, 390, 768, 1280, 1920))
    spaced = tab.add_style_tag(content=SPACED)
    assert_nothing_sticks_out(tab, (320, 390, 768, 1280, 1920))
    spaced.evaluate("each => each.remove()")
    tab.evaluate("document.documentElement.style.fontSize = '200%'")
    assert_nothing_sticks_out(tab, (640, 768, 1280, 1920))


def test_names_do_not_run_into_what_is_beside_them(show):
    tab = show(
        {LONG: random_models()["invariant"]}, ALONE + "&noise=50&copies=4", viewport={"width": 320, "height": 700}
    )
    for box in tab.locator("figcaption:visible").all():
        parts = [part.bounding_box() for part in box.locator("xpath=./*").all()]
        assert parts[0]["x"] + parts[0]["width"] <= parts[1]["x"] or parts[0]["y"] + parts[0]["height"] <= parts[1]["y"]
    overlaps = tab.evaluate(
        """() => [...document.querySelectorAll("#places li")].filter((row) => {
          const boxes = [...row.children].map((each) => each.getBoundingClientRect());
          const inner = row.querySelector(".name"), high = row.getBoundingClientRect().height;
          const apart = boxes.every((box, i) => !i || box.left >= boxes[i - 1].right - 0.5);
          return !apart || inner.scrollWidth > inner.clientWidth || inner.getBoundingClientRect().height > high;
        }).map((row) => row.textContent)"""
    )
    assert overlaps == []


@pytest.mark.parametrize("width", [320, 1280])
def test_what_can_be_hit_is_large_enough_to_hit(show, width):
    tab = show(address="#rival=1", viewport={"width": width, "height": 800})
    small = tab.evaluate(
        """() => [...document.querySelectorAll("button, select, input")].filter((each) => each.checkVisibility())
          .map((each) => [each.id || each.className || each.textContent, each.closest(".check") || each])
          .filter(([, box]) => box.getBoundingClientRect().height < 44 || box.getBoundingClientRect().width < 44)
          .map(([name]) => name)"""
    )
    assert small == []


def luminance(colour):
    """Relative luminance of a colour such as #0a5c96, as WCAG 2 defines it."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Contrast of two colours, from 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_borders_and_traces_stand_out(show, scheme):
    tab = show(color_scheme=scheme)
    traces = ["x", "x-dot", "cosine", "sine", "theta-dot", "noise", "pole", "cart", "push", "edge", "accent"]
    names = [*traces, "paper", "card", "field", "ink", "soft", "on-accent", "good", "bad"]
    style = "getComputedStyle(document.documentElement).getPropertyValue"
    colours = {name: tab.evaluate(f"name => {style}(name).trim()", f"--{name}") for name in names}
    for name in traces:
        assert contrast(colours[name], colours["card"]) >= 3, name
    for ground in ("paper", "field"):
        assert contrast(colours["edge"], colours[ground]) >= 3, ground
    for name in ("ink", "soft", "good", "bad"):
        assert min(contrast(colours[name], colours[ground]) for ground in ("paper", "card")) >= 4.5, name
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def test_text_in_pictures_grows_with_the_text_around_it_and_is_not_cut(show):
    tab = show(shipped_models(), "", viewport={"width": 1280, "height": 2400})
    edges = (
        f"name => {{ {COPY}"
        + """
      const { context, width, height } = copy(name), { data } = context.getImageData(0, 0, width, height);
      const inked = (x, y) => data[4 * (y * width + x) + 3] > 0;
      let first = height;
      for (let y = height - 1; y >= 0; y--) for (let x = 0; x < width; x++) if (inked(x, y)) first = y;
      return [first, height];
    }"""
    )
    before = [tab.evaluate(edges, name) for name in ("#wires", "#mind")]
    tab.evaluate("document.documentElement.style.fontSize = '200%'")
    tab.wait_for_timeout(200)
    assert tab.evaluate("pisensory.view.theme.rem") == 32
    after = [tab.evaluate(edges, name) for name in ("#wires", "#mind")]
    assert all(first >= 1 for first, _ in before + after)
    assert all(new[1] > 1.6 * old[1] for new, old in zip(after, before))


def test_without_scripts_there_are_words_and_no_dead_controls(show):
    tab = show(address="", java_script_enabled=False)
    assert tab.locator("button:visible, select:visible, input:visible, canvas:visible").count() == 0
    assert "JavaScript, which is switched off" in tab.locator("body").inner_text()


def test_what_is_not_on_screen_is_not_drawn(show):
    tab = show(address="#noise=50&rival=1&skip=0", viewport={"width": 1280, "height": 700})
    tab.wait_for_timeout(100)
    look = "document.querySelector('#mind').toDataURL()"
    before = tab.evaluate(look)
    steps(tab, 20)
    assert tab.evaluate(look) == before
    tab.locator("#mind").scroll_into_view_if_needed()
    tab.wait_for_timeout(100)
    assert tab.evaluate(look) != before
    # Of 55 rows as many are drawn as their window shows.
    tall, rows = tab.evaluate(
        "[document.querySelector('#traces').height, document.querySelector('#places').clientHeight]"
    )
    assert tall < 500 < 2000 < rows
    tab.locator("#places").scroll_into_view_if_needed()
    tab.wait_for_timeout(100)
    shown = tab.evaluate("document.querySelector('#traces').toDataURL()")
    tab.evaluate("document.querySelector('.rows').scrollTop = 1000")
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.querySelector('#traces').toDataURL()") != shown


def test_fifty_noise_inputs_leave_time_for_fifty_steps_a_second(show):
    tab = show(shipped_models(), "#noise=50&every=100", viewport={"width": 1280, "height": 900}, device_scale_factor=2)
    took = min(tab.evaluate("pisensory.measure(20)") for _ in range(5))
    assert took < 20  # ms of a step and a drawing, of which there are 20 for each; it takes about 1
