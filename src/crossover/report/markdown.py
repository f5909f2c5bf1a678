"""The report as Markdown: the same sections; a chart is told by its figures."""

from __future__ import annotations

from collections.abc import Iterator

from crossover.report.blocks import (
    Block,
    Bullets,
    Callout,
    Cell,
    Chart,
    Command,
    Explorer,
    Heatmap,
    Paragraph,
    Report,
    Section,
    Table,
)
from crossover.report.figures import chart_table, heatmap_table
from crossover.report.messages import Translator


def render_markdown(report: Report, say: Translator) -> str:
    """The whole report in one string."""
    parts = [f"# {_line(say(report.title))}", _line(" · ".join(say(fact) for fact in report.facts))]
    parts.extend(part for block in report.summary for part in _block(block, say))
    parts.extend(part for section in report.sections for part in _section(section, say, level=2))
    return "\n\n".join(part for part in parts if part) + "\n"


def render_table(table: Table, say: Translator) -> str:
    """One table, without its caption."""
    lines = [
        _cells([_line(say(column.title)) for column in table.columns]),
        _cells(["---:" if column.figure else ":---" for column in table.columns]),
    ]
    for row in table.rows:
        told = [_cell(cell, say) for cell in row.cells]
        lines.append(_cells([f"**{told[0]}**" if row.strong else told[0], *told[1:]]))
    return "\n".join(lines)


def _section(section: Section, say: Translator, level: int) -> Iterator[str]:
    yield f"{'#' * level} {_line(say(section.title))}"
    for block in section.blocks:
        yield from _block(block, say)
    for part in section.parts:
        yield from _section(part, say, level + 1)


def _block(block: Block, say: Translator) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield _line(say(text))
        case Callout():
            said = [f"**{_line(say(part))}**" for part in (block.heading, block.label) if part]
            yield "> " + " · ".join([*said, _line(f"{say(block.text)} {say(block.detail)}")])
        case Bullets(items):
            yield "\n".join(f"- {_line(say(item))}" for item in items)
        case Command(text):
            yield f"```sh\n{text}\n```"
        case Table():
            yield f"**{_line(say(block.caption))}**"
            yield render_table(block, say)
        case Chart():
            yield f"**{_line(say(block.title))}.** {_line(say(block.description))}"
            yield render_table(chart_table(block), say)
        case Explorer():
            yield f"**{_line(say(block.title))}.** {_line(say(block.description))}"
            yield render_table(chart_table(block.first), say)
        case Heatmap():
            yield f"**{_line(say(block.title))}.** {_line(say(block.description))}"
            yield render_table(heatmap_table(block), say)


def _cell(cell: Cell, say: Translator) -> str:
    text, minor = say(cell.text), say(cell.minor)
    if cell.code:
        return f"`{text.replace('`', ' ').replace('|', chr(92) + '|')}`"
    return _line(f"{text} ({minor})" if minor else text)


def _cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(text: str) -> str:
    """`text` on one line, with what Markdown would take for markup escaped."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
