from __future__ import annotations

from crossover.report.blocks import Table
from crossover.report.foresight import foresight_section
from crossover.report.model import build_report
from unit.report.example_study import compare_study


def predicted() -> dict:
    study = compare_study()
    for run in study["runs"]:
        run["step_seconds"] = {"value": 0.05, "low": 0.04, "high": 0.06}
        run["prediction"] = {"step_seconds": {"value": 0.045, "low": 0.04, "high": 0.05}}
    return study


def test_a_study_without_predictions_has_no_such_section():
    assert foresight_section(compare_study()) is None


def test_predicted_and_measured_stand_side_by_side_with_the_error():
    section = foresight_section(predicted())
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    texts = [str(cell.text) for cell in table.rows[0].cells]
    assert "45.0" in texts[3] and "50.0" in texts[4] and "10" in texts[5]


def test_the_report_has_the_section():
    assert any(section.name == "foresight" for section in build_report(predicted()).sections)
