"""Some test rows with what the models made of them: texts, pictures, or passages that they wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from crossover.report.blocks import Block, Cell, Column, Heatmap, Row, Section, Table, Tone
from crossover.report.messages import _
from crossover.report.notes import recognised
from crossover.report.verdicts import TaskResult

SAMPLE_PARTS = ("input", "target", "prediction")
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
"""What a study file may give as a picture; anything else is left out."""


def samples_section(result: TaskResult) -> Section | None:
    """Some rows of each model's best run; None where there are none."""
    blocks: list[Block] = []
    for entry in result.study["samples"]:
        if entry["task"] == result.task and entry.get("items"):
            passages = all("decoding" in item for item in entry["items"])
            blocks.append(_passages(entry) if passages else _predictions(entry))
            blocks.extend(_influences(result.task, entry))
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


def _influences(task: str, entry: Mapping[str, Any]) -> Iterator[Heatmap]:
    """Which steps the right output of a sample rests on, of those that it was measured for."""
    for row, item in enumerate(entry["items"]):
        if influence := item.get("influence"):
            yield Heatmap(
                f"influence-{task}-{entry['model']}-{row}",
                _("What an output of {model} rests on", model=entry["model"]),
                _(
                    "Sample {number}: how strongly a small change of each unit that was read would change the right "
                    "output, as a share of all of them (the norm of the gradient of its log-probability).",
                    number=str(row + 1),
                ),
                _("read"),
                _("right output"),
                tuple(influence["written"]) or (item["target"],),
                tuple(influence["read"]),
                tuple(tuple(shares) for shares in influence["shares"]),
            )


def _sample_cell(item: Mapping[str, str], part: str) -> Cell:
    """A part of a sample: its text, and its picture where it has one."""
    picture = item.get(f"{part}_picture", "")
    if _PICTURE.fullmatch(picture):
        # What is drawn is compared by looking: its text only says what it is, and how far off.
        return Cell(recognised(item[part]), picture=picture)
    return Cell(item[part], tone=_agreement(item) if part == "prediction" else "neutral")


def _agreement(item: Mapping[str, str]) -> Tone:
    return "good" if item["prediction"] == item["target"] else "bad"
