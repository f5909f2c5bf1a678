"""The scaling section: cost against length, width, batch or depth, fitted slopes, and where the curves cross."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from statistics import median
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import (
    Axis,
    Block,
    Callout,
    Cell,
    Chart,
    Column,
    Crossing,
    Paragraph,
    Row,
    Section,
    Series,
    Style,
    Table,
)
from crossover.report.messages import Listing, Message, Text, _, ngettext
from crossover.report.palette import family_name
from crossover.report.verdicts import device_name

Styles = Mapping[str, Style]
Curve = Mapping[str, Any]

_MEASURES = ("time", "memory", "flops")
MEASURES: dict[str, Message] = {
    "time": _("Time of a step"),
    "memory": _("Peak memory"),
    "flops": _("Floating-point operations of a step"),
}
AXES: dict[str, Message] = {
    "length": _("length"),
    "width": _("width"),
    "batch": _("batch"),
    "depth": _("depth"),
    "layers": _("layers"),
}
PASSES: dict[str, Message] = {
    "train": _("training"),
    "encode": _("encoding whole sequences"),
    "decode": _("decoding step by step"),
}


def scaling_section(study: Mapping[str, Any], styles: Styles) -> Section | None:
    """Scope, charts and exponents of every axis and pass that was measured; None where none was.

    Where the curves cross is drawn here and said once, in the report's summary.
    """
    scale = study.get("scale")
    if not scale or not scale["curves"]:
        return None
    unsteady = study["machine"].get("steady") is False
    parts = []
    for axis, pass_ in dict.fromkeys((curve["axis"], curve["pass"]) for curve in scale["curves"]):
        curves = [curve for curve in scale["curves"] if (curve["axis"], curve["pass"]) == (axis, pass_)]
        crossings = [
            c
            for c in scale["crossings"]
            if (c.get("axis", axis), c.get("pass", pass_)) == (axis, pass_)
            and not (unsteady and c["measure"] == "time")
        ]
        parts.append(_part(axis, pass_, curves, crossings, styles, unsteady))
    return Section("scaling", _("Scaling"), (Paragraph(scope_sentence(study)),), tuple(parts))


def scope_sentence(study: Mapping[str, Any]) -> Text:
    """Under which pass, sizes, number format and device the figures of a study's scaling hold."""
    settings, curves = study["settings"], study["scale"]["curves"]
    axes = {curve["axis"] for curve in curves}
    parts: list[Text] = [*(PASSES.get(pass_, pass_) for pass_ in passes(study)), *_sizes(axes, settings, curves)]
    if settings.get("layers") and "depth" not in axes:
        parts.append(ngettext("{count} layer", "{count} layers", settings["layers"]))
    parts += [
        _("{setting} {value}", setting=AXES[name], value=quantities.plain(settings[name]))
        for name in ("batch", "length")
        if settings.get(name) and name not in axes
    ]
    if settings.get("vocabulary"):
        parts.append(_("a vocabulary of {size}", size=quantities.plain(settings["vocabulary"])))
    if precision := (study.get("numerics") or {}).get("precision"):
        parts.append(str(precision))
    return _("Scope: {scope}.", scope=Listing((*parts, device_name(study["machine"]))))


def _sizes(axes: set[str], settings: Mapping[str, Any], curves: Sequence[Curve]) -> list[Text]:
    """Width and parameters: those of all models where the axis changes neither, else the first model's width."""
    if "width" in axes:
        return []
    if "depth" in axes:
        width = settings.get("width")
        return (
            [_("width {width} ({model})", width=quantities.plain(width), model=curves[0]["model"])] if width else []
        )
    widths = [curve["width"] for curve in curves if curve.get("width")]
    sizes = [curve["parameters_without_embedding"] for curve in curves if curve.get("parameters_without_embedding")]
    told: list[Text] = []
    if widths:
        told.append(_("{setting} {value}", setting=AXES["width"], value=_span(widths, quantities.plain)))
    if sizes:
        told.append(_("{parameters} parameters without embedding", parameters=_span(sizes, quantities.count)))
    return told


def _span(values: Sequence[float], form: Callable[[float], str]) -> str:
    low, high = form(min(values)), form(max(values))
    return low if low == high else quantities.between(low, high)


def passes(study: Mapping[str, Any]) -> list[str]:
    """The passes that the study's curves were measured in, each once."""
    return list(dict.fromkeys(curve["pass"] for curve in study["scale"]["curves"]))


def _part(
    axis: str,
    pass_: str,
    curves: Sequence[Curve],
    crossings: Sequence[Mapping[str, Any]],
    styles: Styles,
    unsteady: bool,
) -> Section:
    blocks: list[Block] = []
    if unsteady:
        blocks.append(
            Callout(_("The machine was unsteady: times are shown, but where they cross is not decided."), "warning")
        )
    blocks.append(_exponents(axis, curves, styles))
    blocks.extend(chart for m in _MEASURES if (chart := _chart(m, axis, pass_, curves, crossings, styles)))
    title = _("Cost against {axis}, {pass}", **{"pass": PASSES.get(pass_, pass_), "axis": AXES.get(axis, axis)})
    return Section(f"scaling-{axis}-{pass_}", title, tuple(blocks))


def crossing_sentence(crossing: Mapping[str, Any], axis: str, curves: Sequence[Curve]) -> Text:
    """Where two models cost the same and which is cheaper on either side; or that they do not cross.

    It names the crossing's pass and reads no curve of another one.
    """
    a, b, at = crossing["a"], crossing["b"], crossing["at"]
    measure: Text = MEASURES.get(crossing["measure"], crossing["measure"])
    if pass_ := crossing.get("pass"):
        measure = _("{measure}, {pass}", **{"measure": measure, "pass": PASSES.get(pass_, pass_)})
        curves = [curve for curve in curves if curve["pass"] == pass_]
    low, high = crossing["searched"]
    cheaper = {x: a if mine <= theirs else b for x, mine, theirs in _shared(crossing["measure"], a, b, curves)}
    values: dict[str, Text] = {
        "measure": measure,
        "axis": AXES.get(axis, axis),
        "a": a,
        "b": b,
        "from": quantities.plain(low),
        "to": quantities.plain(high),
    }
    if at is None:
        if len(set(cheaper.values())) == 1:
            return _(
                "{measure}: {a} and {b} do not cross between {axis} {from} and {to}; {below} needs less throughout.",
                **values, below=next(iter(cheaper.values())),
            )  # fmt: skip
        return _("{measure}: no crossing of {a} and {b} is found between {axis} {from} and {to}.", **values)
    values["at"] = _rounded(at)
    # Curves may cross more than once: either side is read at the nearest values, not at the ends.
    below = next((cheaper[x] for x in reversed(cheaper) if x <= at["low"]), None)
    above = next((cheaper[x] for x in cheaper if x >= at["high"]), None)
    if below and above and below != above:
        return _(
            "{measure}: {a} and {b} cross at {axis} {at}; {below} needs less below, {above} above.",
            **values, below=below, above=above,
        )  # fmt: skip
    return _("{measure}: {a} and {b} cross at {axis} {at}.", **values)


def figure_of(point: Mapping[str, Any], measure: str) -> float | None:
    """A point's seconds, bytes or FLOPs."""
    if measure == "time":
        return quantities.value_of(point.get("step_seconds"))
    if measure == "memory":
        return point.get("peak_bytes")
    parts = [point.get("flops_forward"), point.get("flops_backward")]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _shared(measure: str, a: str, b: str, curves: Sequence[Curve]) -> list[tuple[float, float, float]]:
    figures = {
        curve["model"]: {p["x"]: y for p in curve["points"] if (y := figure_of(p, measure)) is not None}
        for curve in curves
    }
    mine, theirs = figures.get(a, {}), figures.get(b, {})
    return [(x, mine[x], theirs[x]) for x in sorted(mine.keys() & theirs.keys())]


def _exponents(axis: str, curves: Sequence[Curve], styles: Styles) -> Table:
    columns = (
        Column(_("model"), figure=False),
        Column(_("family"), figure=False),
        *(Column(MEASURES[measure]) for measure in _MEASURES),
    )
    rows = []
    for curve in curves:
        exponents = curve.get("exponents") or {}
        cells = [Cell(*quantities.interval(exponents.get(measure))) for measure in _MEASURES]
        name = Cell(curve["model"], color=styles[curve["model"]].color)
        rows.append(Row((name, Cell(family_name(curve["family"])), *cells)))
    caption = _("Fitted exponents: the cost grows as {axis} to this power (95 % interval)", axis=AXES.get(axis, axis))
    return Table(caption, columns, tuple(rows))


def _chart(
    measure: str,
    axis: str,
    pass_: str,
    curves: Sequence[Curve],
    crossings: Sequence[Mapping[str, Any]],
    styles: Styles,
) -> Chart | None:
    series: list[Series] = []
    for curve in curves:
        points = [(p, y) for p in curve["points"] if (y := figure_of(p, measure)) is not None]
        if points:
            series.extend(_series(measure, curve, points, styles[curve["model"]]))
    if not series:
        return None
    x = tuple(float(v) for v in sorted({v for s in series for v in s.x}))  # type: ignore[arg-type]
    marks = [m for c in crossings if c["measure"] == measure and c["at"] and (m := _mark(c, measure, curves))]
    unit = {"time": "s", "memory": "B", "flops": ""}[measure]
    return Chart(
        f"{measure}-{axis}-{pass_}",
        MEASURES[measure],
        _(
            "Both axes are logarithmic; a dashed line has the fitted slope, a vertical line marks a "
            "crossing, shaded over its interval."
        ),
        Axis(AXES.get(axis, axis), log=True, ticks=x if len(x) <= 10 else ()),
        Axis(MEASURES[measure], log=True, unit=unit),
        tuple(series),
        tuple(marks),
    )


def _series(
    measure: str, curve: Curve, points: Sequence[tuple[Mapping[str, Any], float]], style: Style
) -> list[Series]:
    x, y = [p["x"] for p, _y in points], [value for _p, value in points]
    exponent = (curve.get("exponents") or {}).get(measure)
    name: Text = curve["model"]
    if exponent:
        slope = quantities.value_of(exponent) or 0.0
        name = _("{model} (slope {slope})", model=curve["model"], slope=f"{slope:.2f}")
    bounds: dict[str, Any] = {}
    if measure == "time" and all(isinstance(p["step_seconds"], Mapping) for p, _y in points):
        bounds = {side: [p["step_seconds"][side] for p, _y in points] for side in ("low", "high")}
    notes = [str(p.get("solver") or "") for p, _y in points]
    drawn = [Series(name, style, x, y, kind="points", notes=notes, **bounds)]
    if exponent and len(x) > 1 and min(y) > 0:
        # The exponent may be fitted on a part of the curve, so the line is laid through the middle residual.
        offset = median(log(v) - slope * log(u) for u, v in zip(x, y, strict=True))
        drawn.append(Series(curve["model"], style, x, [exp(offset + slope * log(u)) for u in x], kind="fit"))
    return drawn


def _rounded(at: Mapping[str, float]) -> str:
    value, low, high = (quantities.plain(round(at[key])) for key in ("value", "low", "high"))
    return f"{value} ({quantities.between(low, high)})"


def _mark(crossing: Mapping[str, Any], measure: str, curves: Sequence[Curve]) -> Crossing | None:
    shared = _shared(measure, crossing["a"], crossing["b"], curves)
    at = crossing["at"]
    if not shared:
        return None
    nearest = min(shared, key=lambda point: abs(log(point[0] / at["value"])))
    name = _("{a} and {b} cross", a=crossing["a"], b=crossing["b"])
    return Crossing(name, at["value"], at["low"], at["high"], (nearest[1] * nearest[2]) ** 0.5)
