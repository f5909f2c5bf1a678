"""A picture of a report's top, as README shows it: python benchmarks/screenshot_report.py REPORT.html OUT.png.

Needs the `dev` extra and Chromium, found on the path or named in $CHROMIUM. `--section NAME` starts at a section's id
instead of at the top, `--dark` takes the dark colours.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> int:
    """Parse the arguments, take the picture; 2 where the request is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--section", default="")
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args()
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("no Chromium is found: install it, or name it in $CHROMIUM", file=sys.stderr)
        return 2
    if not given.report.is_file():
        print(f"there is no report at {given.report}: give the report.html of a study", file=sys.stderr)
        return 2
    take(browser, given)
    return 0


def take(browser: str, given: argparse.Namespace) -> None:
    """Open the report, wait until every chart is drawn, and write the PNG at twice the resolution."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = opened.new_page(
            viewport={"width": given.width, "height": given.height},
            color_scheme="dark" if given.dark else "light",
            device_scale_factor=2,
            reduced_motion="reduce",
        )
        page.goto(given.report.resolve().as_uri())
        page.wait_for_selector("html[data-drawn]", timeout=60_000)
        if given.section:
            page.evaluate("name => document.getElementById(name).scrollIntoView()", given.section)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(given.out))
        opened.close()


if __name__ == "__main__":
    sys.exit(main())
