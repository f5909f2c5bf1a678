"""Charts as Plotly figures (plain JSON), and as tables for formats and readers without pictures.

Colours are the names of the page's CSS variables, ``var(--recurrent-1)``; the page's script fills them in, so that
light and dark share one figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

from crossover.report import quantities
from crossover.report.blocks import Axis, Cell, Chart, Column, Crossing, Explorer, Heatmap, Row, Series, Table
from crossover.report.messages import Text, Translator, _, ngettext

_TEXT_LIMIT = 12
_ROWS_PER_SERIES = 8
_STRONGEST = 5
_CLOSE = 4.0
_BROAD = {"spans": 26, "front": 9}
"""Pixels of a span, by the kind of its series."""
_FEW_DECADES = 200.0


def color(name: str) -> str:
    """A palette name as the page's script reads it."""
    return f"var(--{name})"


def chart_figure(chart: Chart, say: Translator) -> dict[str, Any]:
    """The Plotly figure of a chart: `data` and `layout`."""
    bars = any(series.kind == "bars" for series in chart.series)
    xs = [x for series in chart.series for x in series.x]
    traces = [trace for series in chart.series for trace in _traces(series, chart, say)]
    layout = {
        "xaxis": {"title": {"text": say(chart.x.title)}, "type": "category"} if bars else _axis(chart.x, xs, say),
        "yaxis": _axis(chart.y, [y for series in chart.series for y in series.y], say),
        "showlegend": len({trace.get("legendgroup") for trace in traces}) > 1,
        "shapes": [shape for crossing in chart.crossings for shape in _crossing_shapes(crossing)],
        "annotations": [_crossing_label(crossing) for crossing in chart.crossings],
        **({"barmode": "stack" if chart.stacked else "group", "bargap": 0.25} if bars else {}),
    }
    return {"data": traces, "layout": layout}


def _axis(axis: Axis, values: Sequence[float | str | None], say: Translator) -> dict[str, Any]:
    layout: dict[str, Any] = {"title": {"text": say(axis.title)}, "type": "log" if axis.log else "linear"}
    if axis.ticks:
        labels = [quantities.plain(float(tick)) for tick in axis.ticks]
        return {**layout, "tickmode": "array", "tickvals": list(axis.ticks), "ticktext": labels}
    if axis.unit and not axis.log:
        layout["ticksuffix"] = axis.unit
    if axis.log:
        layout |= _log_ticks([v for v in values if isinstance(v, int | float) and v > 0], axis.unit.strip())
    return layout


def _log_ticks(values: Sequence[float], unit: str) -> dict[str, Any]:
    """Powers of ten, with their 2 and 5 where there are few; values that lie close together stay close."""
    if not values:
        return {}
    low, high = min(values), max(values)
    layout: dict[str, Any] = {}
    if high / low < _CLOSE:
        low, high = low / 2, high * 2
        layout["range"] = [log10(low), log10(high)]
    steps = (1, 2, 5) if high / low < _FEW_DECADES else (1,)
    decades = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {**layout, "tickmode": "array", "tickvals": ticks, "ticktext": [quantities.tick(t, unit) for t in ticks]}


def _traces(series: Series, chart: Chart, say: Translator) -> list[dict[str, Any]]:
    name = say(series.name)
    shade = color(series.style.color)
    common: dict[str, Any] = {
        "name": name, "legendgroup": name, "x": list(series.x), "y": list(series.y),
        "customdata": _hover(series, chart, say), "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    if series.kind == "bars":
        return [{**common, "type": "bar", "marker": {"color": shade}, "error_y": _error_bars(series)}]
    if series.kind == "fit":
        line = {"color": shade, "width": 1.5, "dash": "dash"}
        return [{**common, "type": "scatter", "mode": "lines", "line": line, "showlegend": False, "hoverinfo": "skip",
                 "hovertemplate": None, "legendgroup": f"{name} fit"}]  # fmt: skip
    if series.kind == "points":
        return [{**common, "type": "scatter", **_points(series, name, shade), "error_y": _error_bars(series)}]
    if series.kind == "level":
        return [
            {**common, "type": "scatter", "mode": "lines", "line": {"color": shade, "width": 1.75, "dash": "dot"}}
        ]
    if series.kind in _BROAD:
        return [{**common, **_spans(series), "line": {"color": shade, "width": _BROAD[series.kind]}}]
    line = {"color": shade, "width": 2.25, "dash": series.style.dash}
    marks = {"color": shade, "symbol": series.style.symbol, "size": 6}
    few = len(series.x) <= _TEXT_LIMIT
    drawn = {**common, "type": "scatter", "mode": "lines+markers" if few else "lines", "line": line, "marker": marks}
    return [*_band(series, name), drawn]


def _spans(series: Series) -> dict[str, Any]:
    """Pieces of lines, each from a mark's x to its `high`."""
    ends = list(zip(series.x, series.high, strict=True))
    return {
        "type": "scatter", "mode": "lines", "customdata": None, "hovertemplate": None, "hoverinfo": "name",
        "x": [place for start, end in ends for place in (start, end, None)],
        "y": [height for y in series.y for height in (y, y, None)],
    }  # fmt: skip


def _points(series: Series, name: str, shade: str) -> dict[str, Any]:
    suffix = "-open" if series.hollow else ""
    marker: dict[str, Any] = {
        "color": shade, "symbol": series.style.symbol + suffix, "size": list(series.sizes) or 9,
        "line": {"width": 2 if series.hollow else 0, "color": shade}, "opacity": 1 if len(series.x) > 1 else 0.9,
    }  # fmt: skip
    if series.labelled:
        font = {"size": 12}
        return {
            "mode": "markers+text",
            "marker": marker,
            "text": [name],
            "textposition": "middle right",
            "textfont": font,
        }
    return {"mode": "markers", "marker": marker}


def _band(series: Series, name: str) -> list[dict[str, Any]]:
    """Two unseen lines with the space between them filled."""
    if not series.low or not series.high:
        return []
    edge = {"type": "scatter", "x": list(series.x), "mode": "lines", "line": {"width": 0}, "showlegend": False,
            "hoverinfo": "skip", "legendgroup": name}  # fmt: skip
    fill = {"fill": "tonexty", "fillcolor": color(f"{series.style.color}-band")}
    return [{**edge, "y": list(series.low)}, {**edge, "y": list(series.high), **fill}]


def _error_bars(series: Series) -> dict[str, Any] | None:
    if not series.low or not series.high:
        return None
    return {
        "type": "data", "symmetric": False, "thickness": 1.25, "width": 3, "color": color(series.style.color),
        "array": [_gap(high, y) for high, y in zip(series.high, series.y, strict=True)],
        "arrayminus": [_gap(y, low) for low, y in zip(series.low, series.y, strict=True)],
    }  # fmt: skip


def _gap(high: float | None, low: float | None) -> float:
    return 0.0 if high is None or low is None else max(0.0, high - low)


def _hover(series: Series, chart: Chart, say: Translator) -> list[str]:
    told = []
    for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        bounds = f" ({_bounds(series, i, chart.y)})" if series.low else ""
        note = f"<br>{say(series.notes[i])}" if i < len(series.notes) and series.notes[i] else ""
        told.append(f"<b>{say(series.name)}</b><br>{_figure(x, chart.x)} · {_figure(y, chart.y)}{bounds}{note}")
    return told


def _bounds(series: Series, i: int, axis: Axis) -> str:
    return quantities.between(_figure(series.low[i], axis), _figure(series.high[i], axis))


def _figure(value: float | str | None, axis: Axis) -> str:
    """A value with its axis' unit, as the tick labels have it."""
    if value is None or isinstance(value, str):
        return value or quantities.NOT_MEASURED
    if axis.unit == "s":
        return quantities.seconds(value)
    if axis.unit == "B":
        return quantities.size(value)
    if axis.unit:
        return f"{value:.3g}{axis.unit}"
    return quantities.count(value) if axis.log and not axis.ticks else _plain(value)


def _plain(value: float) -> str:
    return quantities.plain(value) if float(value).is_integer() else quantities.score(value)


def _crossing_shapes(crossing: Crossing) -> list[dict[str, Any]]:
    upright = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    area = {
        "type": "rect",
        "x0": crossing.low,
        "x1": crossing.high,
        "fillcolor": color("ink-band"),
        "line": {"width": 0},
    }
    line = {
        "type": "line",
        "x0": crossing.x,
        "x1": crossing.x,
        "line": {"color": color("muted"), "width": 1, "dash": "dot"},
    }
    return [{**upright, **area}, {**upright, **line}]


def _crossing_label(crossing: Crossing) -> dict[str, Any]:
    """The crossing's place above the plot; on a logarithmic axis Plotly takes an annotation's exponent."""
    return {
        "x": log10(crossing.x), "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
        "text": quantities.plain(round(crossing.x)), "font": {"size": 11},
    }  # fmt: skip


def heatmap_figure(heatmap: Heatmap, say: Translator) -> dict[str, Any]:
    """The Plotly figure of a matrix; cells are told by their number, since two rows or columns may have one name."""
    small = max(len(heatmap.rows), len(heatmap.columns)) <= _TEXT_LIMIT
    trace = {
        "type": "heatmap", "x": list(range(len(heatmap.columns))), "y": list(range(len(heatmap.rows))),
        "z": [list(shades) for shades in heatmap.shades], "zmin": 0, "showscale": False, "xgap": 2, "ygap": 2,
        "colorscale": [[0, color("heat-low")], [1, color("heat-high")]],
        "hovertext": [
            [f"{row} → {column}<br>{_in_cell(heatmap, i, j)}" for j, column in enumerate(heatmap.columns)]
            for i, row in enumerate(heatmap.rows)
        ],
        "hoverinfo": "text",
    }  # fmt: skip
    if heatmap.figures:
        trace |= {"zmax": 1, "text": [list(figures) for figures in heatmap.figures]}
        trace |= {"texttemplate": "%{text}"} if small else {}
    layout = {
        "xaxis": _named_axis(say(heatmap.x_title), heatmap.columns),
        "yaxis": {**_named_axis(say(heatmap.y_title), heatmap.rows), "autorange": "reversed"},
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout}


def _named_axis(title: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "title": {"text": title}, "tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names),
        "showgrid": False, "zeroline": False,
    }  # fmt: skip


def _in_cell(heatmap: Heatmap, row: int, column: int) -> str:
    share = f"{heatmap.shades[row][column]:.0%}"
    return f"{heatmap.figures[row][column]} ({share})" if heatmap.figures else share


def chart_table(chart: Chart) -> Table:
    """A chart's figures as a table; of a long line, some points evenly spaced and always the last; of spans, sums."""
    rows = []
    for series in chart.series:
        if series.kind in _BROAD:
            rows += _sums(series, chart)
        elif series.kind != "fit":
            for i in _chosen(len(series.x)):
                bounds = _bounds(series, i, chart.y) if series.low else ""
                y = Cell(_figure(series.y[i], chart.y), minor=bounds)
                rows.append(Row((Cell(series.name), Cell(_figure(series.x[i], chart.x)), y)))
    columns = (Column(_("series"), figure=False), Column(chart.x.title), Column(chart.y.title))
    return Table(chart.description, columns, tuple(rows))


def _sums(series: Series, chart: Chart) -> list[Row]:
    """How long the spans at each height are together."""
    sums: dict[float | None, float] = {}
    for start, end, y in zip(series.x, series.high, series.y, strict=True):
        sums[y] = sums.get(y, 0.0) + float(end or 0.0) - float(start)
    return [
        Row((Cell(series.name), Cell(_figure(total, Axis("", unit="s"))), Cell(_figure(y, chart.y))))
        for y, total in sums.items()
    ]


def _chosen(length: int) -> list[int]:
    stride = max(1, -(-length // _ROWS_PER_SERIES))
    return sorted({*range(length - 1, -1, -stride)})


def heatmap_table(heatmap: Heatmap) -> Table:
    """A matrix as a table of what stands in its cells; where that is nothing, of each row's strongest columns."""
    if not heatmap.figures:
        return _strongest(heatmap)
    columns = (Column(heatmap.y_title, figure=False), *(Column(label) for label in heatmap.columns))
    rows = tuple(
        Row((Cell(label), *(Cell(text) for text in texts)))
        for label, texts in zip(heatmap.rows, heatmap.figures, strict=True)
    )
    return Table(heatmap.description, columns, rows)


def _strongest(heatmap: Heatmap) -> Table:
    rows = []
    for label, shades in zip(heatmap.rows, heatmap.shades, strict=True):
        best = sorted(range(len(shades)), key=lambda j: (-shades[j], j))[:_STRONGEST]
        told = ", ".join(f"{heatmap.columns[j]} {shades[j]:.0%}" for j in best)
        rows.append(Row((Cell(label), Cell(told))))
    columns = (Column(heatmap.y_title, figure=False), Column(heatmap.x_title, figure=False))
    return Table(heatmap.description, columns, tuple(rows))


def alternative_text(chart: Chart | Explorer | Heatmap) -> Text:
    """What a screen reader says in place of the picture."""
    if isinstance(chart, Heatmap | Explorer):
        return _("{title}. {description}", title=chart.title, description=chart.description)
    drawn = sum(series.kind != "fit" for series in chart.series)
    return ngettext(
        "{title}: a chart with {count} series. {description}",
        "{title}: a chart with {count} series. {description}",
        drawn,
        title=chart.title,
        description=chart.description,
    )
