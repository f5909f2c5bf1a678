from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from crossover.planning.machine import load_machine
from crossover.planning.plan import Plan, equal_job, make_plan, planned_model, text_job
from crossover.report.blocks import Chart, Explorer
from crossover.report.messages import languages
from crossover.report.plan import plan_report, write_plan_page


@pytest.fixture(scope="module")
def plan() -> Plan:
    settings, vocabulary = planned_model("gpt[layers=2,width=64]", {}, 1000)
    job = text_job(settings, vocabulary, rows=8, time=64, precision="bf16")
    machine = load_machine("h100-sxm")
    return make_plan(job, machine, 4, sweep=(1, 2, 4), versus=[equal_job(job, "lstm")], around=True)


@pytest.fixture(scope="module")
def families(plan: Plan) -> dict[str, str]:
    return {model: "attention" if "gpt" in model else "recurrent" for model in plan.grid.models}  # type: ignore[union-attr]


def test_the_parts_of_every_bar_add_up_to_the_step_and_to_the_memory(plan: Plan, families: dict[str, str]) -> None:
    document = plan.to_json(3)
    section = next(section for section in plan_report(document, families).sections if section.name == "layouts")
    step, memory = (block for block in section.blocks if isinstance(block, Chart))
    assert step.stacked and memory.stacked
    for place, layout in enumerate(document["layouts"]):
        seconds = sum(series.y[place] or 0.0 for series in step.series)
        held = sum(series.y[place] or 0.0 for series in memory.series if series.kind == "bars")
        assert seconds == pytest.approx(layout["step_seconds"]["value"])
        assert held * 1e9 == pytest.approx(layout["peak_bytes"])


def test_the_sliders_go_over_a_grid_that_was_computed(plan: Plan, families: dict[str, str]) -> None:
    section = next(s for s in plan_report(plan.to_json(3), families).sections if s.name == "devices")
    explorer = next(block for block in section.blocks if isinstance(block, Explorer))
    settings = 1
    for control in explorer.controls:
        settings *= len(control.labels)
    assert len(explorer.charts) == settings == 27
    assert plan.grid is not None
    shown = plan.grid.seconds[64, 8, load_machine("h100-sxm").links[-1].bandwidth]
    assert [list(series.y) for series in explorer.first.series] == list(shown.values())


@pytest.mark.parametrize("lang", languages())
def test_the_page_holds_a_figure_for_every_setting(
    lang: str, plan: Plan, families: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "plan.html"
    write_plan_page(plan.to_json(3), families, file, lang=lang)
    page = file.read_text(encoding="utf-8")
    figures = json.loads(re.search(r'data-for="chart-explorer">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert len(figures) == 27 and page.count('type="range"') == 3
