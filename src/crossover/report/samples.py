"""Some test rows with what the models made of them: texts, pictures, or passages that they wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from crossover.report.blocks import Cell, Column, Row, Section, Table, Tone
from crossover.report.messages import _
from crossover.report.notes import recognised
from crossover.report.verdicts import TaskResult

SAMPLE_PARTS = ("input", "target", "prediction")
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
"""What a study file may give as a picture; anything else is left out."""


def samples_section(result: TaskResult) -> Section | None:
    """Some rows of each model's best run; None where there are none."""
    blocks = [
        (_passages if all("decoding" in item for item in entry["items"]) else _predictions)(entry)
        for entry in result.study["samples"]
        if entry["task"] == result.task and entry.get("items")
    ]
    return Section(f"samples-{result.task}", _("Samples"), tuple(blocks)) if blocks else None


def _predictions(entry: Mapping[str, Any]) -> Table:
    columns = (
        Column(_("input"), figure=False),
        Column(_("target"), figure=False),
        Column(_("prediction"), figure=False),
    )
    rows = tuple(Row(tuple(_sample_cell(item, part) for part in SAMPLE_PARTS)) for item in entry["items"])
    return Table(_("Sample predictions of {model}", model=entry["model"]), columns, rows)


def _passages(entry: Mapping[str, Any]) -> Table:
    """What a language model writes: there is no right continuation, so none is marked."""
    columns = (
        Column(_("opening"), figure=False),
        Column(_("how the text goes on"), figure=False),
        Column(_("how the model goes on"), figure=False),
    )
    rows = tuple(
        Row((Cell(item["input"]), Cell(item["target"]), Cell(item["prediction"]))) for item in entry["items"]
    )
    return Table(_("Passages written by {model}, drawn at temperature 0.8", model=entry["model"]), columns, rows)


def _sample_cell(item: Mapping[str, str], part: str) -> Cell:
    """A part of a sample: its text, and its picture where it has one."""
    picture = item.get(f"{part}_picture", "")
    if _PICTURE.fullmatch(picture):
        # What is drawn is compared by looking: its text only says what it is, and how far off.
        return Cell(recognised(item[part]), picture=picture)
    return Cell(item[part], tone=_agreement(item) if part == "prediction" else "neutral")


def _agreement(item: Mapping[str, str]) -> Tone:
    return "good" if item["prediction"] == item["target"] else "bad"
