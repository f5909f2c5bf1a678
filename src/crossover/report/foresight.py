"""What the planner said of the runs' steps, beside what they took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import Cell, Column, Paragraph, Row, Section, Table
from crossover.report.messages import _


def foresight_section(study: Mapping[str, Any]) -> Section | None:
    """The first run of each model and layout that was predicted; None where none was."""
    runs: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for run in study.get("runs") or []:
        if run.get("prediction") and run.get("step_seconds"):
            runs.setdefault((run["task"], run["model"], run.get("layout") or ""), run)
    if not runs:
        return None
    said = _(
        "A step as the planner predicts it from figures of this machine that were timed by themselves (products, "
        "memory, recurrences, messages), beside the steps that were taken."
    )
    columns = (
        Column(_("task"), figure=False),
        Column(_("model"), figure=False),
        Column(_("layout"), figure=False),
        Column(_("predicted"), note=_("with its 80 % interval")),
        Column(_("measured")),
        Column(_("error")),
    )
    rows = tuple(_row(place, run) for place, run in runs.items())
    table = Table(_("Predicted and measured seconds of a step."), columns, rows)
    return Section("foresight", _("Predicted and measured"), (Paragraph(said), table))


def _row(place: tuple[str, str, str], run: Mapping[str, Any]) -> Row:
    predicted, measured = run["prediction"]["step_seconds"], quantities.value_of(run["step_seconds"]) or 0.0
    error = quantities.share(predicted["value"] / measured - 1) if measured else quantities.NOT_MEASURED
    bounds = quantities.between(quantities.seconds(predicted["low"]), quantities.seconds(predicted["high"]))
    return Row(
        (
            *(Cell(part) for part in place),
            Cell(quantities.seconds(predicted["value"]), minor=bounds),
            Cell(quantities.seconds(measured)),
            Cell(error),
        )
    )
