"""How fast the page is in Chromium: ms of a frame with 15 inputs, steps a second with 50 noise inputs.

    python benchmarks/page.py [MODEL.npz]

MODEL.npz holds the parameters of an invariant cart-pole policy of the default sizes; without it the weights are
random, which costs the same. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

import pisensory as ps
from pisensory.page import write_page

FRAMES, ROUNDS, SECONDS = 300, 7, 5


def main() -> None:
    """Measure and print."""
    policy = ps.InvariantPolicy()
    random = 0.1 * np.random.default_rng(0).standard_normal(policy.n_params)
    params = ps.load_params(sys.argv[1]) if len(sys.argv) > 1 else random
    models = {"one": (policy, params), "two": (policy, params)}
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "page.html"
        write_page(path, models)
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for title, address in (("15 inputs", "#noise=10"), ("15 inputs, side by side", "#noise=10&rival=1")):
            print(f"{title}: a step and a whole drawing take {frame_time(browser, path.as_uri() + address):.2f} ms")
        for speed in ("1", "4"):
            rate = step_rate(browser, path.as_uri() + "#noise=50", speed)
            print(f"55 inputs, asked for {50 * int(speed)} steps a second: {rate:.1f} a second")
        browser.close()


def frame_time(browser: Browser, address: str) -> float:
    """Return the median over rounds of the mean ms a frame."""
    tab = open_tab(browser, address)
    # Reading a pixel makes the browser finish what it was told to draw.
    frames = """(count) => {
      const canvases = [...document.querySelectorAll("canvas")].map((canvas) => canvas.getContext("2d"));
      const started = performance.now();
      for (let i = 0; i < count; i++) {
        pisensory.measure(1);
        for (const context of canvases) context.getImageData(0, 0, 1, 1);
      }
      return (performance.now() - started) / count;
    }"""
    tab.evaluate(frames, 100)
    rounds = [tab.evaluate(frames, FRAMES) for _ in range(ROUNDS)]
    tab.context.close()
    return statistics.median(rounds)


def step_rate(browser: Browser, address: str, speed: str) -> float:
    """Return the steps a second while the page plays; restarts do not count as steps lost."""
    tab = open_tab(browser, address)
    tab.select_option("#speed", speed)
    rate = tab.evaluate(
        """async (seconds) => {
          let steps = 0, last = 0;
          pisensory.play(true);
          const started = performance.now();
          while (performance.now() - started < 1000 * seconds) {
            await new Promise(requestAnimationFrame);
            steps += pisensory.run.steps - last;
            last = pisensory.run.steps;
            if (pisensory.run.over) { pisensory.play(true); last = 0; }
          }
          return (1000 * steps) / (performance.now() - started);
        }""",
        SECONDS,
    )
    tab.context.close()
    return rate


def open_tab(browser: Browser, address: str) -> Page:
    """Open the page, paused, in a window of its own."""
    tab = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 900}).new_page()
    tab.goto(address)
    return tab


if __name__ == "__main__":
    main()
