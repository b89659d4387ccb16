"""Addresses: whoever opens one sees the same run, state for state."""

import random
import re

import pytest
from driving import ALONE, everything, order, random_models, shipped_models, states, steps, wait

import pisensory as ps

SESSIONS = 20


def address(tab):
    """The address the page gives its run, and whether it holds all that was done."""
    found = tab.evaluate("pisensory.address()")
    return found["text"], found["complete"]


def open_address(tab, text):
    """Have an open page start over with an address."""
    # Each change is heard later, and begins a run: what is done before the last of them would be lost.
    tab.evaluate(
        """text => new Promise((done) => {
          const heard = ({ newURL }) => {
            if (!newURL.endsWith(text)) return;
            removeEventListener("hashchange", heard);
            done();
          };
          addEventListener("hashchange", heard);
          location.hash = "";
          location.hash = text;
        })""",
        text,
    )
    wait(tab, "pisensory.run.steps === pisensory.run.settings.skip || pisensory.view.playing")


def random_start(draw):
    """An address to begin a session with."""
    settings = {
        "seed": draw.randrange(2**32),
        "version": draw.choice(["v0", "v1", "harder"]),
        "model": draw.randrange(3),
        "rival": draw.choice(["", 0, 1, 2]),
        "noise": draw.choice([0, 0, 3, 50]),
        "std": draw.choice([0.1, 0.3, 1]),
        "copies": draw.choice([1, 1, 2, 4]),
        "every": draw.choice([0, 0, 7, 25, 100]),
        "shuffle": draw.randrange(2),
        "divide": draw.randrange(2),
        "skip": draw.choice([0, 0, 40, 300]),
        "unplug": draw.choice(["", "1", "3~0"]),
    }
    return "#" + "&".join(f"{name}={value}" for name, value in settings.items())


_DO = """deeds => {
  const find = (selector) => document.querySelector(selector), hands = {
    click: (selector) => find(selector).click(),
    plug(share) {
      const buttons = document.querySelectorAll("#places button");
      buttons[Math.floor(share * buttons.length)].click();
    },
    every(steps) {
      find("#every").value = steps;
      find("#every").dispatchEvent(new Event("change", { bubbles: true }));
    },
    drag: (pulls) => pulls.forEach((pull) => pisensory.act("drag", pull)),
  };
  for (const [name, value, steps] of deeds) {
    hands[name](value);
    pisensory.run.runUntil(pisensory.run.steps + steps);
  }
}"""


def random_deed(draw):
    """One thing that a visitor may do: a name and a value for `_DO`."""
    buttons = [
        "shuffle", "push-left", "push-right", "noise-less", "noise-more", "noise-more", "copies-less", "copies-more",
    ]  # fmt: skip
    deed = draw.randrange(8)
    if deed < 3:
        return "click", f"#{draw.choice(buttons)}"
    if deed == 3:
        return "plug", draw.random()
    if deed == 4:
        return "every", draw.choice(["0", "25", "50", "200"])
    if deed == 5:
        return "click", "#divide"
    return "drag", [draw.randrange(-15, 16) * 2 for _ in range(3)] + [0] * draw.randrange(2)


def test_random_sessions_are_repeated_state_for_state_from_their_addresses(show):
    # They hold the pole up, with a network of a fifth of the shown one's size.
    names = ("cartpole-invariant-small", "cartpole-v1-mlp")
    models = {**{name: ps.load_model(name) for name in names}, "random": random_models()["invariant"]}
    tab, again = show(models), show(models)
    done = set()
    for number in range(SESSIONS):
        draw = random.Random(number)
        open_address(tab, random_start(draw))
        deeds = [(*random_deed(draw), draw.choice([0, 1, 5, 20, 60])) for _ in range(draw.randrange(10, 30))]
        tab.evaluate(_DO, deeds)
        steps(tab, 1)  # what was done last takes part in it
        text, complete = address(tab)
        assert complete
        open_address(again, text)
        again.evaluate("step => pisensory.run.runUntil(step)", tab.evaluate("pisensory.run.steps"))
        assert everything(again) == everything(tab), f"session {number}: {text}"
        assert address(again) == (text, True)
        done |= {name for _, name, _ in tab.evaluate("pisensory.run.record")}
    assert done == {"shuffle", "push", "noise", "copies", "plug", "every", "divide", "drag"}


def test_an_address_that_is_opened_is_not_lost_to_what_was_done_before(show):
    tab = show(address="#seed=7&rival=1&skip=0")
    tab.evaluate("""() => {
      location.hash = "#seed=9&rival=1&skip=0";
      pisensory.view.written = -Infinity; // so that what is done next is written before the page hears
      pisensory.act("shuffle");
    }""")
    wait(tab, "pisensory.run.record.length === 0")
    assert tab.evaluate("pisensory.run.settings.seed") == 9
    wait(tab, "location.hash.startsWith('#seed=9&')")


def test_a_reload_repeats_what_was_clicked(show):
    tab = show(address="#seed=7&version=v0&rival=1&skip=0")
    steps(tab, 10)
    tab.click("#shuffle")
    steps(tab, 5)
    tab.click("#noise-more")
    tab.click("#push-left")
    steps(tab, 5)
    tab.get_by_role("button", name="unplug turning speed").click()
    tab.select_option("#every", "25")
    tab.check("#divide")
    steps(tab, 40)
    where, arranged = states(tab), order(tab)
    wait(tab, "location.hash === pisensory.address().text")  # it is written a moment later
    written = tab.evaluate("location.hash")
    again = show(address=written)
    steps(again, 60)
    assert states(again) == where and order(again) == arranged
    assert again.evaluate("pisensory.run.settings.version") == "v0"
    assert again.evaluate("location.hash") == written


def test_what_is_changed_later_is_not_in_force_from_the_beginning(show):
    tab = show()
    steps(tab, 30)
    tab.select_option("#every", "25")
    tab.check("#divide")
    steps(tab, 30)
    text, _ = address(tab)
    assert "every=0" in text and "divide=0" in text and text.endswith("do=30.every.25%7E30.divide.1")
    again = show(address=text)
    assert again.locator("#every").input_value() == "0" and not again.locator("#divide").is_checked()
    steps(again, 30)
    assert order(again) == [0, 1, 2, 3, 4]
    steps(again, 30)
    assert everything(again) == everything(tab)
    assert again.locator("#every").input_value() == "25" and again.locator("#divide").is_checked()


def test_drags_are_told_once_a_step(show):
    tab = show()
    box = tab.locator(".stage:visible").bounding_box()
    tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 100)
    tab.mouse.down()
    for share in range(50, 90):
        tab.mouse.move(box["x"] + share / 100 * box["width"], box["y"] + 100)
    steps(tab, 3)
    tab.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 100)
    tab.mouse.up()
    record = tab.evaluate("pisensory.run.record")
    assert [(step, name) for step, name, _ in record] == [(0, "drag"), (3, "drag")]
    assert record[0][2] > 10 and record[1][2] == 0
    # Only the last of several in a row: a push in between stays where it was.
    tab.evaluate("[2, 4].forEach((pull) => pisensory.act('drag', pull))")
    tab.click("#push-left")
    tab.evaluate("[6, 8].forEach((pull) => pisensory.act('drag', pull))")
    assert tab.evaluate("pisensory.run.record.slice(1)") == [[3, "drag", 4], [3, "push", -10], [3, "drag", 8]]


def test_a_run_too_long_for_an_address_says_so(show):
    tab = show()
    assert tab.locator("#share").inner_text() == "Copy link"
    tab.evaluate("for (let i = 0; i < 900; i++) { pisensory.run.step(); pisensory.run.act('push', 10 * (-1) ** i); }")
    tab.click("#push-left")
    wait(tab, "document.querySelector('#share').textContent === 'Too long for a link'")
    tab.click("#share")
    assert tab.locator("#status").inner_text().startswith("Too much was done in this run for a link")
    text, complete = address(tab)
    assert not complete and "do=" not in text and len(text) < 300
    tab.click("#restart")
    wait(tab, "document.querySelector('#share').textContent === 'Copy link'")
    assert address(tab)[1]


def test_the_address_is_written_seldom_and_at_last(show):
    tab = show()
    tab.wait_for_timeout(500)
    tab.evaluate(
        """() => {
          window.written = 0;
          const replace = history.replaceState.bind(history);
          history.replaceState = (...all) => { window.written++; replace(...all); };
          for (let i = 0; i < 200; i++) document.querySelector("#push-left").click();
        }"""
    )
    wait(tab, "location.hash.split('push').length === 201")
    assert 2 <= tab.evaluate("window.written") <= 10


def test_replay_does_everything_once_more(show):
    tab = show(shipped_models(), "#seed=4&every=90")
    for button in ("shuffle", "noise-more", "push-right"):
        tab.click(f"#{button}")
        steps(tab, 50)
    tab.get_by_role("button", name="unplug cosine of the angle").click()
    steps(tab, 50)
    kept = everything(tab)
    tab.click("#replay")
    assert tab.evaluate("pisensory.run.steps") == 300
    assert not tab.locator("#places .unplugged").count()
    steps(tab, 200)
    assert everything(tab) == kept


def test_restart_keeps_what_is_unplugged_and_shows_it(show):
    tab = show()
    steps(tab, 20)
    tab.get_by_role("button", name="unplug cosine of the angle").click()
    tab.click("#noise-more")
    steps(tab, 20)
    tab.click("#restart")
    row = tab.locator("#places li").nth(2)
    assert row.get_attribute("class") == "unplugged" and row.locator("button").inner_text() == "plug in"
    assert tab.locator("#noise-count").inner_text() == "1"
    steps(tab, 1)
    assert tab.evaluate("pisensory.run.contenders[0].observation[2]") == 0
    again = show(address=address(tab)[0])
    assert again.locator("#places .unplugged .name").all_inner_texts() == ["cos θ"]
    steps(again, 1)
    assert everything(again) == everything(tab)


@pytest.mark.parametrize(
    "text",
    [
        "#seed=-1&model=99&noise=1e9&skip=1e9&unplug=77~x",
        "#do=5.nothing.1~x~3.noise.1.2~4.plug.77",
        "#version=__proto__&std=NaN&do=1.toString.0&rival=__proto__",
        "#skip=9999999&every=-3&unplug=constructor",
        "#do=" + "9.push.1~" * 5000,
    ],
)
def test_an_address_that_makes_no_sense_is_as_good_as_none(show, text):
    tab = show(address=text)
    steps(tab, 10)
    assert order(tab) == [0, 1, 2, 3, 4]
    assert tab.evaluate("pisensory.run.settings") == tab.evaluate("pisensory.page.settings") | {
        "unplugged": tab.evaluate("pisensory.run.settings.unplugged")
    }
    assert tab.locator("#places .unplugged").count() == 0


def test_the_link_is_copied_or_the_page_says_why_not(show):
    tab = show(address=ALONE + "&seed=33")
    tab.click("#share")
    wait(tab, "document.querySelector('#status').textContent.includes('address')")
    assert "seed=33" in tab.url
    assert re.fullmatch(r"[\w=&.%#-]+", tab.url.split("#")[1])
