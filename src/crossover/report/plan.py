"""A plan as a page: layouts with the parts of their steps and their memory, and families over devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossover.files import write_file
from crossover.report import quantities
from crossover.report.blocks import (
    Axis,
    Block,
    Callout,
    Cell,
    Chart,
    Column,
    Control,
    Crossing,
    Explorer,
    Paragraph,
    Report,
    Row,
    Section,
    Series,
    Style,
    Table,
)
from crossover.report.html import render_html
from crossover.report.messages import Message, Text, _, translate
from crossover.report.palette import styles

_STEP: tuple[tuple[str, Message, str], ...] = (
    ("compute_seconds", _("compute"), "attention-1"),
    ("communication_seconds", _("messages"), "baseline-3"),
    ("bubble_seconds", _("bubble"), "recurrent-1"),
    ("update_seconds", _("update"), "hybrid-1"),
)
_MEMORY: tuple[tuple[str, Message, str], ...] = (
    ("parameters", _("parameters"), "attention-1"),
    ("gradients", _("gradients"), "recurrent-1"),
    ("optimizer", _("optimiser"), "hybrid-1"),
    ("activations", _("activations"), "baseline-3"),
    ("buffers", _("buffers"), "published-2"),
)


def write_plan_page(
    document: Mapping[str, Any], families: Mapping[str, str], file: Path, *, lang: str | None = None
) -> None:
    """Write the page of a plan's document, what `crossover.planning.plan.Plan.to_json` gives.

    `families` are those of its models.
    """
    write_file(file, render_html(plan_report(document, families), translate(lang)))


def plan_report(document: Mapping[str, Any], families: Mapping[str, str]) -> Report:
    """The page's parts."""
    sections = [_layouts(document), _over_devices(document, families), _rejected(document)]
    return Report(
        _("A plan for {model}", model=document["model"]),
        (_("{parameters} parameters", parameters=quantities.count(document["parameters"])), document["title"]),
        tuple(_summary(document)),
        tuple(section for section in sections if section is not None),
    )


def _summary(document: Mapping[str, Any]) -> list[Block]:
    assumed = _(
        "{rows} rows of {steps} steps in {precision} on {devices} devices. Everything here is predicted.",
        rows=quantities.plain(document["batch"]),
        steps=quantities.plain(document["length"]),
        precision=document["precision"],
        devices=quantities.plain(document["devices"]),
    )
    if not document["layouts"]:
        return [Paragraph(assumed), Callout(_("No layout fits."), tone="bad")]
    best = document["layouts"][0]
    seconds = best["step_seconds"]
    said = _(
        "{layout} is the fastest that fits: {seconds} a step ({bounds}), {tokens} tokens a second.",
        layout=best["name"],
        seconds=quantities.seconds(seconds["value"]),
        bounds=_bounds(seconds),
        tokens=quantities.count(best["tokens_per_second"]),
    )
    return [Paragraph(assumed), Callout(said, tone="good")]


def _bounds(seconds: Mapping[str, float]) -> str:
    return quantities.between(quantities.seconds(seconds["low"]), quantities.seconds(seconds["high"]))


def _layouts(document: Mapping[str, Any]) -> Section | None:
    layouts = document["layouts"]
    if not layouts:
        return None
    columns = (
        Column(_("layout"), figure=False),
        Column(_("step time"), note=_("with its 80 % interval")),
        Column(_("tokens/s")),
        Column(_("of the peak"), note=_("the model's operations over what the devices could do")),
        Column(_("peak memory")),
    )
    rows = tuple(
        Row(
            (
                Cell(f"{place + 1} {each['name']}", code=True),
                Cell(quantities.seconds(each["step_seconds"]["value"]), minor=_bounds(each["step_seconds"])),
                Cell(quantities.count(each["tokens_per_second"])),
                Cell(quantities.share(each["utilisation"])),
                Cell(quantities.size(each["peak_bytes"])),
            ),
            strong=place == 0,
        )
        for place, each in enumerate(layouts)
    )
    # Layouts have long names, which would take a chart's room: their places in the table stand for them.
    names = [str(place + 1) for place in range(len(layouts))]
    step = Chart(
        "step",
        _("Where the seconds of a step go"),
        _("Each bar is a layout; its parts add up to the predicted step."),
        Axis(_("place")),
        Axis(_("seconds of the step"), unit=" s"),
        tuple(_bars(title, color, names, [each[key] for each in layouts]) for key, title, color in _STEP),
        stacked=True,
    )
    memory = Chart(
        "memory",
        _("Memory of a device"),
        _("The most that a device holds at one time, by what it is for; the dotted line is what it has."),
        Axis(_("place")),
        Axis(_("peak memory"), unit=" GB"),
        (
            *(
                _bars(title, color, names, [each["parts"][key] / 1e9 for each in layouts])
                for key, title, color in _MEMORY
            ),
            Series(
                _("limit"), Style("published-1"), names, [document["memory_bytes"] / 1e9] * len(names), kind="level"
            ),
        ),
        stacked=True,
    )
    return Section("layouts", _("Layouts"), (Table(_("The fastest layouts that fit."), columns, rows), step, memory))


def _bars(title: Text, color: str, names: Sequence[str], values: Sequence[float]) -> Series:
    return Series(title, Style(color), names, values, kind="bars")


def _over_devices(document: Mapping[str, Any], families: Mapping[str, str]) -> Section | None:
    blocks: list[Block] = []
    looks = styles(families.items())
    if document["sweep"]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for point in document["sweep"]:
            if "tokens_per_second" in point:
                curves.setdefault(point["model"], []).append((point["devices"], 1 / point["tokens_per_second"]))
        blocks.append(_curves("sweep", curves, looks, document["crossings"]))
    if document.get("grid"):
        blocks.append(_explorer(document["grid"], looks))
    return Section("devices", _("Over devices"), tuple(blocks)) if blocks else None


def _curves(
    name: str,
    curves: Mapping[str, Sequence[tuple[int, float]]],
    looks: Mapping[str, Style],
    crossings: Sequence[Mapping[str, Any]] = (),
) -> Chart:
    """Seconds a token over devices, with the best layout of each number."""
    marked = []
    for crossing in crossings:
        height = _height(curves[crossing["a"]], crossing["devices"])
        at = crossing["devices"]
        marked.append(Crossing(_("crossing"), at, at, at, height))
    return Chart(
        name,
        _("Time per token over devices"),
        _("Predicted seconds of a token under the best layout that fits."),
        Axis(_("devices"), log=True),
        Axis(_("seconds per token"), log=True, unit="s"),
        tuple(
            Series(
                model, looks[model], [count for count, _seconds in points], [seconds for _count, seconds in points]
            )
            for model, points in curves.items()
        ),
        tuple(marked),
    )


def _height(points: Sequence[tuple[int, float]], devices: float) -> float:
    """The nearest point's seconds."""
    return min(points, key=lambda point: abs(point[0] - devices))[1]


def _explorer(grid: Mapping[str, Any], looks: Mapping[str, Style]) -> Explorer:
    settings = grid["settings"]
    lengths, batches, bandwidths = (
        list(dict.fromkeys(each[key] for each in settings)) for key in ("length", "batch", "bandwidth")
    )
    charts = []
    for each in settings:
        curves = {
            model: [
                (count, taken) for count, taken in zip(grid["devices"], seconds, strict=True) if taken is not None
            ]
            for model, seconds in each["seconds_per_token"].items()
        }
        charts.append(_curves("explored", curves, looks))
    return Explorer(
        "explorer",
        _("The same at other sizes"),
        _("Move the sliders: every setting was computed beforehand."),
        (
            Control(
                _("length"), tuple(quantities.plain(value) for value in lengths), lengths.index(_middle(lengths))
            ),
            Control(_("batch"), tuple(quantities.plain(value) for value in batches), batches.index(_middle(batches))),
            Control(
                _("bandwidth between hosts"),
                tuple(f"{quantities.size(value)}/s" for value in bandwidths),
                bandwidths.index(_middle(bandwidths)),
            ),
        ),
        tuple(charts),
    )


def _middle(values: Sequence[Any]) -> Any:
    return values[len(values) // 2]


def _rejected(document: Mapping[str, Any]) -> Section | None:
    rejected = document["rejected"]
    if not rejected:
        return None
    columns = (Column(_("layout"), figure=False), Column(_("why not"), figure=False))
    rows = tuple(
        Row((Cell(each["name"], code=True), Cell("; ".join(each["reasons"])))) for each in rejected[:_MOST_REJECTED]
    )
    return Section(
        "rejected", _("What cannot be used"), (Table(_("Layouts that do not fit, and others."), columns, rows),)
    )


_MOST_REJECTED = 12
