"""Build the page these docs link to, and the picture of it.

    python docs/make_page.py MODEL [MODEL...]

writes docs/play.html and docs/images/page.png. MODEL is what `pisensory page` takes; the first should be an
invariant policy, the second one to compare it with. The picture needs Playwright and a Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from pisensory.cli import main

DOCS = Path(__file__).parent
# Both hold the pole up, the inputs are shuffled, and one of the two goes on holding it.
ADDRESS = "#seed=12&rival=1&noise=2"
STEPS_BEFORE, STEPS_AFTER = 300, 125


def take_picture(page: Path, picture: Path) -> None:
    """Photograph the page in the middle of a run."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        size = {"width": 1240, "height": 992}
        tab = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
        tab.goto(page.resolve().as_uri() + ADDRESS)
        go = "count => { for (let i = 0; i < count; i++) pisensory.run.step(); }"
        tab.evaluate(go, STEPS_BEFORE)
        tab.click("#shuffle")
        tab.evaluate(go, STEPS_AFTER)
        tab.evaluate("pisensory.step()")
        tab.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    code = main(["page", *sys.argv[1:], "-o", str(DOCS / "play.html")])
    if code == 0:
        (DOCS / "images").mkdir(exist_ok=True)
        take_picture(DOCS / "play.html", DOCS / "images" / "page.png")
    sys.exit(code)
