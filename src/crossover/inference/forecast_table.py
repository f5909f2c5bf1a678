"""Forecasts as a table in long form: a row for each series, step ahead and target."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def forecast_csv(forecasts: Sequence[Mapping[str, Any]]) -> str:
    """CSV of what `Predictor.forecast` gives, in the data's own units.

    Columns: ``id`` (of a panel) and ``time`` (where there are timestamps), ``step`` from 1, ``target``, ``value``,
    and of quantiles, whose median is the value, ``q0.1`` and so on.
    """
    levels = list(next(iter(forecasts[0]["quantiles"].values()))) if "quantiles" in forecasts[0] else []
    labels = [name for name, key in (("id", "id"), ("time", "timestamps")) if key in forecasts[0]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*labels, "step", "target", "value", *(f"q{level}" for level in levels)])
    for forecast in forecasts:
        writer.writerows(_rows(forecast, levels))
    return text.getvalue()


def _rows(forecast: Mapping[str, Any], levels: Sequence[str]) -> Iterator[list[Any]]:
    for target, values in forecast["values"].items():
        for step, value in enumerate(values):
            label = [forecast["id"]] if "id" in forecast else []
            label += [forecast["timestamps"][step]] if "timestamps" in forecast else []
            spread = [_number(forecast["quantiles"][target][level][step]) for level in levels]
            yield [*label, step + 1, target, _number(value), *spread]


def _number(value: float) -> str:
    return f"{value:.7g}"
