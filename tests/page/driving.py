"""What the tests of the page in Chromium share: models to show, and hands and eyes for the page."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest

import pisensory as ps

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
ALONE = "#rival=&skip=0"  # one agent, from its first step


# In scripts: a copy of what is drawn on a canvas, from which pixels may be read.
COPY = """const copy = (name) => {
  const canvas = document.querySelector(name), twin = document.createElement("canvas");
  [twin.width, twin.height] = [canvas.width, canvas.height];
  const context = twin.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return { context, width: twin.width, height: twin.height };
};"""


def random_models(seed=0):
    """An invariant, an mlp and a linear policy with random weights."""
    generator = np.random.default_rng(seed)
    policies = {"invariant": ps.InvariantPolicy(), "mlp": ps.MLPPolicy(), "linear": ps.MLPPolicy(hidden_sizes=())}
    return {
        name: (policy, 0.5 * generator.standard_normal(policy.n_params).astype(np.float32))
        for name, policy in policies.items()
    }


def claims():
    """What the page claims of the agents of the docs' page: their names, and what each scenario came to."""
    return json.loads((ROOT / "pisensory" / "page" / "claims.json").read_text(encoding="utf-8"))


def shipped_models():
    """The two agents of the docs' page."""
    return {name: ps.load_model(name) for name in claims()["models"]}


def chromium():
    """The path of a Chromium, or None; one without windows of its own takes a quarter of the time to open a page."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def wait(tab, condition):
    """Wait until a condition holds, asking from outside: the page forbids evaluation inside."""
    pause = 10  # ms, at first; asking takes time from what is waited for
    for _ in range(600):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(pause)
        pause = min(1.2 * pause, 50)
    pytest.fail(f"in half a minute it never came to {condition}")


def steps(tab, count):
    """Step the page's run so many times, and show where it is."""
    tab.evaluate("n => { for (let i = 1; i < n; i++) pisensory.run.step(); pisensory.step(); }", count)


def order(tab):
    """Which source is in each place."""
    return tab.evaluate("pisensory.run.inputs.order")


def states(tab):
    """The states of the carts, (contender, state variable)."""
    return tab.evaluate("pisensory.run.contenders.map(each => [...each.world.state])")


def observation(tab):
    """What the first network got in its last step, by place."""
    return tab.evaluate("[...pisensory.run.contenders[0].observation].slice(0, pisensory.run.inputs.order.length)")


def everything(tab):
    """All that decides how the run goes on, and what it has come to."""
    return tab.evaluate(
        """() => {
          const { inputs, contenders, ...run } = pisensory.run;
          const whole = ({ world, network, ...rest }) => [
            [...world.state], world.over, [...network.latent], [...(network.heard || [])], [...(network.cell || [])],
            network.previous, network.divisor, [...rest.heights], [...rest.rewards], rest.action, rest.score,
            rest.steps, rest.away, rest.streak, rest.losses, rest.again, rest.recoveries,
            rest.traces.map(({ values, sources }) => [[...values], [...sources]]),
          ];
          return JSON.stringify([
            run.settings, run.record, run.steps, run.every, run.divide, run.push, run.tries, run.marks, inputs.order,
            [...inputs.unplugged], [...inputs.noise], [...inputs.shuffler.words], [...inputs.noisemaker.words],
            contenders.map(whole),
          ]);
        }"""
    )


def picture(tab, selector):
    """A screenshot of one element."""
    return tab.locator(selector).first.screenshot()


def pixels(tab, number=0):
    """What is drawn of one cart and pole, to the pixel; what is not on screen is not drawn."""
    tab.locator(".stage").nth(number).scroll_into_view_if_needed()
    tab.wait_for_timeout(100)
    return tab.evaluate("number => document.querySelectorAll('.stage')[number].toDataURL()", number)
