from __future__ import annotations

from crossover.report.blocks import Table
from crossover.report.model import build_report
from crossover.report.solving import solving_section
from unit.report.example_study import compare_study

FARED = {"solves": 40, "iterations": 3.25, "residual": 2e-7, "rows": 1280, "fallbacks": 2}


def solved() -> dict:
    study = compare_study()
    study["runs"][0] |= {"solvers": {"diagonal-gru": "newton"}, "newton": FARED}
    return study


def test_a_study_of_other_models_has_no_such_section():
    assert solving_section(compare_study()) is None


def test_solver_iterations_residual_and_rows_given_back_are_told():
    section = solving_section(solved())
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    solver, iterations, residual, rows = table.rows[0].cells[2:]
    assert str(solver.text) == "diagonal-gru: newton" and str(iterations.text) == "3.2"
    assert str(residual.text) == "2e-07" and str(rows.text) == "1,280" and str(rows.minor) == "2"


def test_the_report_has_the_section():
    assert any(section.name == "solving" for section in build_report(solved()).sections)
