"""Measure what the page's scenarios come to, build the page these docs link to, and take its picture.

    python docs/make_page.py [MODEL MODEL]

MODEL is a policy file or the name of a model that ships: first the invariant agent, then the one beside it; without
them, the two that the claims were last measured with. Writes pisensory/page/claims.json, docs/play.html and
docs/images/page.png. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

import pisensory as ps
from pisensory.models import model_names, model_path
from pisensory.page import PageSettings, fingerprint, write_page

DOCS = Path(__file__).parent
CLAIMS = DOCS.parent / "pisensory" / "page" / "claims.json"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
STARTS = 100
MOST_STEPS = 800  # of the picture's run, which ends soon after the first agent is upright again


def main(names: list[str]) -> None:
    """Measure, build and take the picture."""
    names = names or json.loads(CLAIMS.read_text(encoding="utf-8"))["models"]
    if len(names) != 2:
        sys.exit(f"give two models, an invariant one and one to set beside it, not {len(names)}")
    models = {Path(name).stem: ps.load_policy(model_path(name) if name in model_names() else name) for name in names}
    with sync_playwright() as driver:
        executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        size = {"width": 1280, "height": 800}
        tab = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
        claims = {
            "models": names,
            "fingerprints": [fingerprint(*model) for model in models.values()],
            "starts": STARTS,
            "outcomes": measure(tab, models),
        }
        CLAIMS.write_text(json.dumps(claims, indent=1) + "\n", encoding="utf-8")
        write_page(DOCS / "play.html", models, PageSettings(seed=1, eyes="eyes.html"))
        take_picture(tab, DOCS / "images" / "page.png")
        browser.close()


def measure(tab: Page, models: dict[str, Any]) -> dict[str, Any]:
    """Return what each scenario came to from the first seeds, in the browser that `tab` is of."""
    with tempfile.TemporaryDirectory() as folder:
        write_page(Path(folder) / "page.html", models)
        tab.goto((Path(folder) / "page.html").as_uri())
    return {scenario["id"]: measure_one(tab, scenario) for scenario in tab.evaluate("pisensory.page.scenarios")}


def measure_one(tab: Page, scenario: dict[str, Any]) -> dict[str, Any]:
    """Return a scenario's tries, each agent's recoveries and their median steps, and a seed to show it with."""
    ask = """([scenario, seed]) => pisensory.outcome(pisensory.page, scenario, { model: 0, rival: 1 }, seed)"""
    found = [tab.evaluate(ask, [scenario, seed]) for seed in range(1, STARTS + 1)]
    tries = sum(each["tries"] for each in found)
    lists = [[steps for each in found for steps in each["recoveries"][number]] for number in (0, 1)]
    shares = [len(steps) / tries for steps in lists]
    # The first seed in which both do what they mostly do.
    usual = [
        all(abs(len(each["recoveries"][number]) / each["tries"] - shares[number]) <= 0.5 for number in (0, 1))
        for each in found
    ]
    counts = [len(steps) for steps in lists]
    print(f"{scenario['id']:14} {counts[0]:4} and {counts[1]:4} of {tries}")
    return {
        "tries": tries,
        "recoveries": counts,
        "median_steps": [statistics.median_low(steps) if steps else None for steps in lists],
        "seed": 1 + usual.index(True) if any(usual) else 1,
    }


def take_picture(tab: Page, picture: Path) -> None:
    """Photograph the linked page after a shuffle, from the seed that its first scenario is shown with."""
    tab.goto((DOCS / "play.html").resolve().as_uri())
    tab.click("#scenarios .play")
    tab.click("#play")
    tab.evaluate(
        """most => {
          const { run } = pisensory;
          while (run.steps < most && !run.contenders[0].recoveries.length) run.step();
          run.runUntil(run.steps + 30);
          pisensory.step();
        }""",
        MOST_STEPS,
    )
    tab.evaluate("scrollTo(0, 0)")
    tab.wait_for_timeout(200)
    tab.screenshot(path=picture)


if __name__ == "__main__":
    main(sys.argv[1:])
