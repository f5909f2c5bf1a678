"""Forecasts in pictures and tables: a window with what followed and what was forecast, coverage, error by series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import Axis, Block, Cell, Chart, Column, Row, Series, Style, Table
from crossover.report.curves import best_runs
from crossover.report.messages import Sentences, _
from crossover.report.verdicts import TaskResult, metric_name

Styles = Mapping[str, Style]
_PICTURES = 3
_SHOWN_SERIES = 5
_PAST_HORIZONS = 3
_TRUTH = Style("published-1", "circle", "solid")


def forecast_blocks(result: TaskResult, styles: Styles) -> tuple[Block, ...]:
    """Everything of a forecasting task that its samples and details hold; nothing for other tasks."""
    entries = [entry for entry in result.study["details"] if entry["task"] == result.task]
    tables = [
        *(_coverage(entry) for entry in entries if entry.get("coverage")),
        *(_by_series(result, entry) for entry in entries if entry.get("by_series")),
    ]
    return (*forecast_charts(result, styles), *tables)


def forecast_charts(result: TaskResult, styles: Styles) -> list[Chart]:
    """The first sample windows: the end of each, what followed, and each model's forecast."""
    drawn = {
        entry["model"]: [item["forecast"] for item in entry["items"] if item.get("forecast")]
        for entry in result.study["samples"]
        if entry["task"] == result.task
    }
    drawn = {model: pictures for model, pictures in drawn.items() if pictures and model in styles}
    count = min([_PICTURES, *map(len, drawn.values())]) if drawn else 0
    return [_chart(result, styles, {m: p[place] for m, p in drawn.items()}, place) for place in range(count)]


def _chart(result: TaskResult, styles: Styles, pictures: Mapping[str, Mapping[str, Any]], place: int) -> Chart:
    first = next(iter(pictures.values()))
    horizon = len(first["target"])
    past = first["past"][-_PAST_HORIZONS * horizon :]
    truth = [*past, *first["target"]]
    steps = list(range(1 - len(past), horizon + 1))
    entries = [e for e in result.study["details"] if e["task"] == result.task and e["model"] in pictures]
    said = [
        _("The end of a window and what followed it on the test split, and what was forecast, in the data's units.")
    ]
    if any(picture["quantiles"] for picture in pictures.values()):
        said.append(_("The line is the median, the band reaches from the lowest to the highest quantile."))
    return Chart(
        f"forecast-{place + 1}-{result.task}",
        _("Forecast of {name}", name=str(first["name"])),
        Sentences((*said, best_runs(entries))),
        Axis(_("steps ahead")),
        Axis(str(first["name"])),
        (
            Series(_("what came"), _TRUTH, steps, truth),
            *(_forecast(model, styles[model], picture) for model, picture in pictures.items()),
        ),
    )


def _forecast(model: str, style: Style, picture: Mapping[str, Any]) -> Series:
    levels = sorted(picture["quantiles"], key=float)
    band = (
        {"low": picture["quantiles"][levels[0]], "high": picture["quantiles"][levels[-1]]} if len(levels) > 1 else {}
    )
    return Series(model, style, list(range(1, len(picture["values"]) + 1)), picture["values"], **band)


def _coverage(entry: Mapping[str, Any]) -> Table:
    columns = (Column(_("quantile")), Column(_("share of values below it")))
    rows = tuple(
        Row((Cell(quantities.plain(c["quantile"])), Cell(quantities.score(c["share"])))) for c in entry["coverage"]
    )
    return Table(_("Coverage of the quantiles of {model}", model=entry["model"]), columns, rows)


def _by_series(result: TaskResult, entry: Mapping[str, Any]) -> Table:
    """The worst series, then the best; all of them where they are few."""
    found = entry["by_series"]
    shown = found if len(found) <= 2 * _SHOWN_SERIES else [*found[:_SHOWN_SERIES], *found[-_SHOWN_SERIES:]]
    columns = (Column(_("series"), figure=False), Column(metric_name(result.metric)), Column(_("rows")))
    rows = tuple(
        Row((Cell(s["series"]), Cell(quantities.score(s["score"])), Cell(quantities.whole(s["rows"])))) for s in shown
    )
    return Table(_("Worst and best series of {model}", model=entry["model"]), columns, rows)
