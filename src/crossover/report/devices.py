"""How several devices share a step: where the seconds of each go, what it sends, and the step as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import Axis, Block, Cell, Chart, Column, Paragraph, Row, Section, Series, Style, Table
from crossover.report.messages import Message, Sentences, Text, _

_PARTS: tuple[tuple[str, Message, Message], ...] = (
    ("compute_seconds", _("compute"), _("passes and update")),
    ("communication_seconds", _("messages"), _("with all who take part there, and nothing else done meanwhile")),
    ("wait_seconds", _("waiting"), _("for the slowest rank")),
    ("bubble_seconds", _("bubble"), _("for another stage of the pipeline")),
    ("data_seconds", _("loading"), _("of rows")),
)
_LOOKS: dict[str, tuple[Message, str]] = {
    "forward": (_("forward"), "attention-1"),
    "backward": (_("backward"), "recurrent-1"),
    "update": (_("update"), "hybrid-1"),
    "message": (_("messages and waiting"), "baseline-3"),
}


def devices_section(study: Mapping[str, Any]) -> Section | None:
    """For every model that was trained on several devices; None where none was."""
    runs: dict[tuple[str, str], dict[str, Any]] = {}
    for run in study.get("runs") or []:
        if len(run.get("ranks") or []) > 1:
            runs.setdefault((run["task"], run["model"]), run)
    if not runs:
        return None
    rows = {(row["task"], row["model"]): row for row in study.get("table") or []}
    blocks: list[Block] = [Paragraph(_introduction())]
    if speeds := _speeds(runs, rows):
        blocks.append(speeds)
    blocks += [_split(runs), _traffic(runs)]
    charts = [_timeline(run, many=len({task for task, _model in runs}) > 1) for run in runs.values()]
    blocks += [chart for chart in charts if chart is not None]
    return Section("devices", _("How the devices share a step"), tuple(blocks))


def _introduction() -> Text:
    return Sentences(
        (
            _("Each run was spread over several ranks, one a device; on a CPU they share its cores."),
            _("Seconds are those of a mean step, of the first run of each model."),
        )
    )


def _speeds(runs: Mapping[tuple[str, str], Any], rows: Mapping[tuple[str, str], Any]) -> Table | None:
    """How much faster a step is than on one device."""
    found = []
    for place, run in runs.items():
        row = rows.get(place, {})
        if not row.get("speed_up"):
            continue
        devices = len(run["ranks"])
        value, bounds = quantities.interval(row["speed_up"])
        share = {name: bound / devices for name, bound in row["speed_up"].items()}
        seconds = quantities.value_of(row.get("step_seconds"))
        cells = (
            *_named(place, runs), Cell(str(row.get("layout") or "")), Cell(quantities.seconds(seconds)),
            Cell(quantities.seconds(None if seconds is None else seconds * devices)),
            Cell(value, minor=bounds), Cell(quantities.share(share["value"])),
        )  # fmt: skip
        found.append(Row(cells))
    if not found:
        return None
    columns = (
        *_names(runs), Column(_("layout"), figure=False), Column(_("step time")),
        Column(_("device time"), note=_("of all devices, a step")),
        Column(_("speed-up"), note=_("over one device with the threads of one rank, the batch being the same")),
        Column(_("efficiency"), note=_("speed-up for each device")),
    )  # fmt: skip
    return Table(_("A step on all devices beside a step on one."), columns, tuple(found))


def _split(runs: Mapping[tuple[str, str], Any]) -> Table:
    rows = []
    memory = any(rank.get("peak_bytes") is not None for run in runs.values() for rank in run["ranks"])
    for place, run in runs.items():
        for rank in run["ranks"]:
            figures = [Cell(quantities.seconds(rank.get(key))) for key, _title, _note in _PARTS]
            cells = (
                *_named(place, runs), Cell(str(rank["rank"])), Cell(quantities.seconds(rank["step_seconds"])),
                *figures, *([Cell(quantities.size(rank.get("peak_bytes")))] if memory else []),
            )  # fmt: skip
            rows.append(Row(cells))
    columns = (
        *_names(runs), Column(_("rank")), Column(_("step time")),
        *(Column(title, note=note) for _key, title, note in _PARTS),
        *([Column(_("peak memory"), note=_("in training; on a CPU of the whole process"))] if memory else []),
    )  # fmt: skip
    return Table(_("Where the seconds of a step go, rank by rank."), columns, tuple(rows))


def _traffic(runs: Mapping[tuple[str, str], Any]) -> Table:
    rows = [
        Row(
            (
                *_named(place, runs), Cell(str(rank["rank"])), Cell(entry["operation"]), Cell(entry["axis"]),
                Cell(str(entry["count"])), Cell(quantities.size(entry["bytes"])),
            )
        )
        for place, run in runs.items()
        for rank in run["ranks"]
        for entry in rank.get("traffic") or []
    ]  # fmt: skip
    columns = (
        *_names(runs), Column(_("rank")), Column(_("operation"), figure=False), Column(_("axis"), figure=False),
        Column(_("calls")), Column(_("bytes"), note=_("given to them, in all")),
    )  # fmt: skip
    return Table(_("What each rank sends and receives in a step."), columns, tuple(rows))


def _names(runs: Mapping[tuple[str, str], Any]) -> tuple[Column, ...]:
    task = (Column(_("task"), figure=False),) if len({task for task, _model in runs}) > 1 else ()
    return (*task, Column(_("model"), figure=False))


def _named(place: tuple[str, str], runs: Mapping[tuple[str, str], Any]) -> tuple[Cell, ...]:
    task, model = place
    return (Cell(task), Cell(model)) if len({task for task, _model in runs}) > 1 else (Cell(model),)


def _timeline(run: Mapping[str, Any], *, many: bool) -> Chart | None:
    """One step, ranks as rows: passes as broad bars, messages in front of them."""
    spans: dict[str, list[tuple[int, float, float]]] = {}
    for rank in run["ranks"]:
        for kind, start, end in rank.get("timeline") or []:
            spans.setdefault(kind if kind in _LOOKS else "message", []).append((rank["rank"], start, end))
    if not spans:
        return None
    name = f"{run['task']} {run['model']}" if many else run["model"]
    return Chart(
        f"timeline-{run['task']}-{run['model']}",
        _("One step of {model}", model=name),
        _("What each rank does in one step; where it stands still, it waits for a message."),
        Axis(_("seconds of the step"), unit=" s"),
        Axis(_("rank"), ticks=tuple(float(rank["rank"]) for rank in run["ranks"])),
        tuple(_series(kind, spans[kind]) for kind in _LOOKS if kind in spans),
    )


def _series(kind: str, spans: Sequence[tuple[int, float, float]]) -> Series:
    title, color = _LOOKS[kind]
    return Series(
        title,
        Style(color),
        [start for _rank, start, _end in spans],
        [float(rank) for rank, _start, _end in spans],
        kind="front" if kind == "message" else "spans",
        high=[end for _rank, _start, end in spans],
    )
