"""The report in a real browser: it draws, it fits, it asks for nothing from outside."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from crossover.planning.machine import load_machine
from crossover.planning.plan import equal_job, make_plan, planned_model, text_job
from crossover.report.html import write_report
from crossover.report.plan import write_plan_page
from unit.report.example_costs import audit_study, scale_study
from unit.report.example_study import compare_study

WIDTHS = (1280, 400)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
STUDIES = {"compare": compare_study, "scale": scale_study, "audit": audit_study}

# Marks are what a trace draws: points, lines, bars, error bars, the cells of a heatmap.
MARKS = """plots => plots.map(plot => [plot.id, plot.querySelectorAll(
    '.trace path, .scatterlayer path, .barlayer path, .heatmaplayer image'
).length])"""
WIDER = """() => [...document.querySelectorAll('main *')].filter(
    e => !e.closest('.scroll') && !e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 1
).map(e => e.outerHTML.slice(0, 80))"""
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('main p, main td, main th, main li')]
    .map(e => parseFloat(getComputedStyle(e).fontSize)))"""


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "no Chromium: install it, or name it in $CHROMIUM"
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


class Opened:
    """A page with what it complained of and what it asked for."""

    def __init__(self, browser: Browser, report: Path, width: int, scheme: str = "light") -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_selector("html[data-drawn]", timeout=60_000)


@pytest.mark.parametrize(("kind", "lang"), [("compare", "zh"), *((kind, "en") for kind in sorted(STUDIES))])
def test_the_report_draws_and_fits(browser: Browser, folder: Path, kind: str, lang: str) -> None:
    report = write_report(STUDIES[kind](), folder / f"{kind}-{lang}", lang)
    for width in WIDTHS:
        opened = Opened(browser, report, width)
        page = opened.page
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        marks = page.eval_on_selector_all(".plot", MARKS)
        assert marks
        assert [name for name, count in marks if count == 0] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(WIDER) == []
        assert page.evaluate(SMALLEST_TEXT) >= 12
        page.close()


def test_pointing_at_a_mark_tells_its_figures(browser: Browser, folder: Path) -> None:
    report = write_report(STUDIES["scale"](), folder / "hover", "en")
    page = Opened(browser, report, 1280).page
    plot = page.locator("#chart-time-length-train")
    plot.scroll_into_view_if_needed()
    plot.locator(".scatterlayer .point").first.hover(force=True)
    page.wait_for_selector("#chart-time-length-train .hoverlayer text", timeout=10_000)
    assert "lstm" in (plot.locator(".hoverlayer").text_content() or "")
    page.close()


def test_the_charts_follow_the_colour_scheme(browser: Browser, folder: Path) -> None:
    report = write_report(STUDIES["scale"](), folder / "scheme", "en")
    page = Opened(browser, report, 1280).page
    stroke = "getComputedStyle(document.querySelector('#chart-time-length-train .scatterlayer .lines path')).stroke"
    light, paper = page.evaluate(stroke), page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{stroke} !== '{light}'", timeout=10_000)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.close()


def test_a_chart_follows_the_width_of_the_window(browser: Browser, folder: Path) -> None:
    report = write_report(STUDIES["scale"](), folder / "width", "en")
    page = Opened(browser, report, 1280).page
    page.set_viewport_size({"width": 400, "height": 900})
    fits = """() => [...document.querySelectorAll('.plot .main-svg')]
        .every(e => e.getBoundingClientRect().right <= innerWidth)"""
    page.wait_for_function(fits, timeout=10_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_the_page_of_a_plan_draws_and_its_sliders_change_what_is_shown(browser: Browser, folder: Path) -> None:
    settings, vocabulary = planned_model("gpt[layers=2,width=64]", {}, 1000)
    job = text_job(settings, vocabulary, rows=8, time=64, precision="bf16")
    other = equal_job(job, "lstm")
    plan = make_plan(job, load_machine("h100-sxm"), 4, sweep=(1, 2, 4), versus=[other], around=True)
    families = {job.model.name: "attention", other.model.name: "recurrent"}
    file = folder / "plan.html"
    write_plan_page(plan.to_json(3), families, file, lang="en")
    for width in WIDTHS:
        opened = Opened(browser, file, width)
        page = opened.page
        assert opened.complaints == []
        assert [name for name, count in page.eval_on_selector_all(".plot", MARKS) if count == 0] == []
        assert page.evaluate(WIDER) == []
        shown = "document.querySelector('#chart-explorer .scatterlayer .lines path').getAttribute('d')"
        told = "document.querySelector('.controls output').value"
        before, label = page.evaluate(shown), page.evaluate(told)
        page.locator(".controls input").first.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"{told} !== {label!r}", timeout=10_000)
        page.wait_for_function(f"{shown} !== {before!r}", timeout=10_000)
        page.close()
