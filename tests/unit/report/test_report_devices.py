"""A study over several devices: where each rank's seconds go, its step as a picture, and how much faster it is."""

from __future__ import annotations

from crossover.report import quantities
from crossover.report.blocks import Chart, Table
from crossover.report.devices import devices_section
from crossover.report.figures import chart_figure, chart_table
from crossover.report.messages import translate
from crossover.report.model import build_report
from unit.report.example_costs import around
from unit.report.example_study import compare_study


def rank(number: int) -> dict:
    return {
        "rank": number,
        "step_seconds": 0.05,
        "data_seconds": 0.001,
        "compute_seconds": 0.04,
        "communication_seconds": 0.002,
        "wait_seconds": 0.007 * number,
        "bubble_seconds": 0.0,
        "peak_bytes": None,
        "traffic": [{"operation": "all-reduce", "axis": "replicas", "count": 3, "bytes": 4000}],
        "timeline": [["forward", 0.0, 0.02], ["all-reduce", 0.015, 0.018], ["backward", 0.02, 0.045]],
    }


def over_two() -> dict:
    found = compare_study()
    first = found["runs"][0]
    first["ranks"] = [rank(0), rank(1)]
    for row in found["table"]:
        if (row["task"], row["model"]) == (first["task"], first["model"]):
            row |= {"layout": "data=2", "speed_up": around(1.8, 0.1)}
    return found


def test_a_study_of_single_devices_has_no_such_section():
    assert devices_section(compare_study()) is None


def test_every_rank_has_a_row_and_the_step_is_drawn():
    section = devices_section(over_two())
    speeds, split, traffic = (block for block in section.blocks if isinstance(block, Table))
    assert [cell.text for cell in speeds.rows[0].cells][-2:] == [
        quantities.interval(around(1.8, 0.1))[0],
        quantities.share(0.9),
    ]
    assert [row.cells[1].text for row in split.rows] == ["0", "1"]
    assert [cell.text for cell in traffic.rows[0].cells][2:5] == ["all-reduce", "replicas", "3"]
    (timeline,) = (block for block in section.blocks if isinstance(block, Chart))
    figure = chart_figure(timeline, translate("en"))
    assert [trace["name"] for trace in figure["data"]] == ["forward", "backward", "messages and waiting"]
    assert figure["data"][0]["x"] == [0.0, 0.02, None] * 2
    assert figure["data"][0]["y"] == [0.0, 0.0, None, 1.0, 1.0, None]
    assert len(chart_table(timeline).rows) == 6


def test_the_section_stands_in_the_report():
    assert "devices" in [section.name for section in build_report(over_two()).sections]
