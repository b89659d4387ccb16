"""How fast the page is in Chromium, drawing in software: ms of a frame, steps and frames a second.

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

import machine  # before NumPy
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

import pisensory as ps
from pisensory.page import write_page

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
FRAMES, ROUNDS, SECONDS = 300, 7, 5


def main() -> None:
    """Measure and print."""
    machine.report()
    policy = ps.InvariantPolicy()
    random = 0.1 * np.random.default_rng(0).standard_normal(policy.n_params)
    params = ps.load_params(sys.argv[1]) if len(sys.argv) > 1 else random
    models = {"one": (policy, params), "two": (policy, params)}
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "page.html"
        write_page(path, models)
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for title, address in (("alone", "#noise=10&rival="), ("side by side", "#noise=10&rival=1")):
            took = frame_time(browser, path.as_uri() + address)
            print(f"15 inputs, {title}: a step and a whole drawing take {took:.2f} ms")
        for ratio, speed in ((1, 1), (2, 1), (2, 4)):
            steps, frames = step_rate(browser, path.as_uri() + "#noise=50&rival=1", ratio, speed)
            print(
                f"55 inputs, side by side, device ratio {ratio}, asked for {50 * speed} steps a second: "
                f"{steps:.1f} steps and {frames:.1f} frames a second"
            )
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


def step_rate(browser: Browser, address: str, ratio: int, speed: int) -> tuple[float, float]:
    """Return the steps and the frames a second while the page plays."""
    tab = open_tab(browser, address, ratio)
    tab.select_option("#speed", str(speed))
    rates = tab.evaluate(
        """async (seconds) => {
          pisensory.play(true);
          const before = pisensory.run.steps, started = performance.now();
          let frames = 0;
          while (performance.now() - started < 1000 * seconds) {
            await new Promise(requestAnimationFrame);
            frames++;
          }
          const took = (performance.now() - started) / 1000;
          return [(pisensory.run.steps - before) / took, frames / took];
        }""",
        SECONDS,
    )
    tab.context.close()
    return tuple(rates)


def open_tab(browser: Browser, address: str, ratio: int = 1) -> Page:
    """Open the page, paused, in a window of its own that shows the poles, the wires and some of the traces."""
    size = {"width": 1280, "height": 1100}
    tab = browser.new_context(reduced_motion="reduce", viewport=size, device_scale_factor=ratio).new_page()
    tab.goto(address)
    return tab


if __name__ == "__main__":
    main()
