"""The report as one HTML file: everything inside it, so that it opens offline and can be sent along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossover.files import write_file
from crossover.report.blocks import Chart, Explorer, Heatmap, Report, Table
from crossover.report.figures import alternative_text, chart_figure, chart_table, heatmap_figure, heatmap_table
from crossover.report.markdown import render_markdown
from crossover.report.messages import Translator, translate
from crossover.report.model import build_report

_TEMPLATES = Path(__file__).resolve().parent / "templates"
HTML_LANGUAGES = {"en": "en", "zh": "zh-Hans"}


def write_report(study: Mapping[str, Any], folder: Path, lang: str | None = None) -> Path:
    """Write ``report.html`` and ``report.md`` into `folder`; returns the HTML file's path.

    `study` is what `study.json` holds, `lang` a language of `messages.languages` (None: the locale's). Raises
    ConfigError for an unknown language and CheckpointError where the files cannot be written.
    """
    say = translate(lang)
    report = build_report(study)
    write_file(folder / "report.md", render_markdown(report, say))
    path = folder / "report.html"
    write_file(path, render_html(report, say))
    return path


def render_html(report: Report, say: Translator) -> str:
    """The whole page in one string."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = anchor
    environment.tests["drawn"] = lambda block: isinstance(block, Chart | Explorer | Heatmap)
    return environment.get_template("report.html").render(
        report=report,
        say=say,
        _=say.gettext,
        lang=HTML_LANGUAGES.get(say.lang, say.lang),
        figure=lambda chart: _figure(chart, say),
        figures_of=_figures_of,
        alternative=lambda chart: say(alternative_text(chart)),
        style=_asset("report.css"),
        script=_asset("report.js"),
        plotly=get_plotlyjs(),
    )


def anchor(name: str) -> str:
    """A section's or chart's name as an HTML id."""
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")


def _figure(chart: Chart | Explorer | Heatmap, say: Translator) -> dict[str, Any] | list[dict[str, Any]]:
    if isinstance(chart, Explorer):
        return [chart_figure(each, say) for each in chart.charts]
    return chart_figure(chart, say) if isinstance(chart, Chart) else heatmap_figure(chart, say)


def _figures_of(chart: Chart | Explorer | Heatmap) -> Table:
    if isinstance(chart, Explorer):
        return chart_table(chart.first)
    return chart_table(chart) if isinstance(chart, Chart) else heatmap_table(chart)


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
