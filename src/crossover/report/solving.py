"""How the runs' recurrences were solved: by which solver, and how Newton's method fared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import Cell, Column, Paragraph, Row, Section, Table
from crossover.report.messages import _


def solving_section(study: Mapping[str, Any]) -> Section | None:
    """The first run of each model and task that had a choice, or used Newton's method; None where none did."""
    runs: dict[tuple[str, str], Mapping[str, Any]] = {}
    for run in study.get("runs") or []:
        if run.get("solvers") or run.get("newton"):
            runs.setdefault((run["task"], run["model"]), run)
    if not runs:
        return None
    said = _(
        "Recurrences that can be solved one step after the other or all steps at once were solved as was measured to "
        "be the fastest. Newton's method looks at every row; those that do not settle are solved step by step."
    )
    columns = (
        Column(_("task"), figure=False),
        Column(_("model"), figure=False),
        Column(_("solver"), figure=False),
        Column(_("iterations"), note=_("of Newton's method, in the mean")),
        Column(_("residual"), note=_("the largest")),
        Column(_("rows"), note=_("and those solved step by step")),
    )
    rows = tuple(_row(place, run) for place, run in runs.items())
    table = Table(_("How recurrences were solved."), columns, rows)
    return Section("solving", _("Solvers"), (Paragraph(said), table))


def _row(place: tuple[str, str], run: Mapping[str, Any]) -> Row:
    newton = run.get("newton")
    figures = [Cell(quantities.NOT_MEASURED)] * 3
    if newton:
        figures = [
            Cell(f"{newton['iterations']:.1f}"),
            Cell(f"{newton['residual']:.0e}"),
            Cell(quantities.plain(newton["rows"]), minor=quantities.plain(newton["fallbacks"])),
        ]
    solvers = ", ".join(f"{mixer}: {solver}" for mixer, solver in (run.get("solvers") or {}).items())
    return Row((*(Cell(part) for part in place), Cell(solvers or "newton"), *figures))
