"""A table for a terminal that cuts no word and no figure: it takes another shape where it would be too wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table
    from rich.text import Text as Line

_GAP = 2
_LEAST_PROSE = 24


@dataclass(frozen=True)
class Grid:
    """A table in the shape that fits its width: upright, turned on its side, or a short list per row.

    No word and no figure is cut. The columns in `figures` are set to the right; a `prose` table's last column holds
    sentences and takes what room the others leave.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[Line]]
    figures: range
    prose: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.shaped(options.max_width)

    def shaped(self, room: int) -> RenderableType:
        """The table as it fits into `room` columns."""
        from rich.text import Text as Line

        lines = [[Line(title) for title in self.titles], *self.rows]
        turned = [list(line) for line in zip(*lines, strict=True)]
        shapes: list[tuple[Sequence[Sequence[Line]], range]] = [(lines, self.figures)]
        if not self.prose:
            shapes.append((turned, range(1, len(lines))))
        for cells, figures in shapes:
            if widths := _widths(cells, room, self.prose):
                return _upright(cells, figures, widths)
        return self._listed()

    def _listed(self) -> RenderableType:
        """Each row as a block: its name, then a line per further column."""
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text as Line

        blocks: list[RenderableType] = []
        for name, *values in self.rows:
            block = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
            block.add_column(overflow="fold")
            block.add_column(overflow="fold")
            for title, value in zip(self.titles[1:], values, strict=True):
                block.add_row(Line(title), value)
            blocks += [name, Padding(block, (0, 0, 0, _GAP), expand=False)]
        return Group(*blocks)


def _widths(lines: Sequence[Sequence[Line]], room: int, prose: bool) -> list[int] | None:
    """Every column's width where the table fits into `room`, breaking between words if it must; None if it cannot."""
    room -= _GAP * (len(lines[0]) - 1)
    columns = list(zip(*lines, strict=True))
    wide = [max(cell.cell_len for cell in column) for column in columns]
    # The names in the first column stay on one line, only their heading may break.
    names = max((cell.cell_len for cell in columns[0][1:]), default=0)
    widths = [max(names, _longest_word(columns[0][0]))]
    widths += [max(map(_longest_word, column)) for column in columns[1:]]
    if prose:
        widths[-1] = min(wide[-1], _LEAST_PROSE)
    left = room - sum(widths)
    if left < 0:
        return None
    for i, most in enumerate(wide):
        more = min(left, most - widths[i])
        widths[i], left = widths[i] + more, left - more
    return widths


def _longest_word(cell: Line) -> int:
    return max((word.cell_len for word in cell.split(" ")), default=0)


def _broken(cell: Line, width: int) -> Line:
    """`cell` with line breaks at its spaces; Rich would also break between a figure and its unit."""
    from rich.text import Text as Line

    lines: list[Line] = []
    for word in cell.split(" "):
        if lines and lines[-1].cell_len + 1 + word.cell_len <= width:
            lines[-1] = Line(" ").join([lines[-1], word])
        else:
            lines.append(word)
    return Line("\n").join(lines)


def _upright(lines: Sequence[Sequence[Line]], figures: range, widths: Sequence[int]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, _GAP - 1, 0, 0))
    head, *rows = [[_broken(cell, width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    for i, (heading, width) in enumerate(zip(head, widths, strict=True)):
        table.add_column(heading, justify="right" if i in figures else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
