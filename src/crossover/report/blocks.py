"""The parts a report is made of, in no language and no file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from crossover.report.messages import Text

Tone = Literal["good", "bad", "warning", "neutral"]


@dataclass(frozen=True)
class Paragraph:
    """One or more sentences."""

    text: Text


@dataclass(frozen=True)
class Callout:
    """A sentence that must not be overlooked: a verdict or a warning.

    `label` is its badge, `heading` says what it is about, `detail` is said smaller below it.
    """

    text: Text
    tone: Tone = "neutral"
    label: Text = ""
    heading: Text = ""
    detail: Text = ""


@dataclass(frozen=True)
class Bullets:
    """Sentences that stand side by side."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Command:
    """A command line that the reader can run."""

    text: str


@dataclass(frozen=True)
class Cell:
    """A table cell; `minor` is said smaller (bounds, a source), `color` is a palette name for the dot before it.

    `picture` is a PNG data URI, drawn above the text, which is its alternative. `section` is the name of the section
    that tells more.
    """

    text: Text
    minor: Text = ""
    color: str = ""
    tone: Tone = "neutral"
    code: bool = False
    picture: str = ""
    section: str = ""


@dataclass(frozen=True)
class Column:
    """A table's column; figures are set to the right."""

    title: Text
    figure: bool = True
    note: Text = ""


@dataclass(frozen=True)
class Row:
    """A table's row; a muted one is a baseline or a published result, a strong one the best."""

    cells: tuple[Cell, ...]
    muted: bool = False
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table; its first column names the row."""

    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Axis:
    """A chart's axis. `unit` is what tick labels end with; `ticks` are shown exactly where given."""

    title: Text
    log: bool = False
    unit: str = ""
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Style:
    """How one model looks in every chart: colour (a palette name), marker symbol and dash."""

    color: str
    symbol: str = "circle"
    dash: str = "solid"


@dataclass(frozen=True)
class Series:
    """One model's marks in a chart. `low` and `high` are drawn as a band (lines) or as bars (points).

    `sizes` are marker diameters in pixels, `notes` one text per mark for the pointer; `hollow` marks have no filling.
    Marks that are spans lie from `x` to `high` at the height `y`, those in front are slimmer.
    """

    name: Text
    style: Style
    x: Sequence[float | str]
    y: Sequence[float | None]
    kind: Literal["line", "level", "points", "bars", "fit", "spans", "front"] = "line"
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    sizes: Sequence[float] = ()
    notes: Sequence[Text] = ()
    hollow: bool = False
    labelled: bool = False


@dataclass(frozen=True)
class Crossing:
    """A marked place on the x axis, with its interval, at the height where the curves meet."""

    name: Text
    x: float
    low: float
    high: float
    y: float


@dataclass(frozen=True)
class Chart:
    """Series over two axes. `description` says in a sentence what is shown: the alternative text and the caption.

    Bars at the same place stand on one another if they are `stacked`, else side by side.
    """

    name: str
    title: Text
    description: Text
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    crossings: tuple[Crossing, ...] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Control:
    """A slider over settings that have names; `start` is the one that it stands at first."""

    title: Text
    labels: tuple[str, ...]
    start: int = 0


@dataclass(frozen=True)
class Explorer:
    """A chart for every setting of some controls, the last of which moves fastest; one is shown at a time."""

    name: str
    title: Text
    description: Text
    controls: tuple[Control, ...]
    charts: tuple[Chart, ...]

    @property
    def first(self) -> Chart:
        """The chart of the settings that the controls start at."""
        place = 0
        for control in self.controls:
            place = place * len(control.labels) + control.start
        return self.charts[place]


@dataclass(frozen=True)
class Heatmap:
    """A matrix: `shades` from 0 to 1, row by row, and what stands in each cell; nothing where the shade says all."""

    name: str
    title: Text
    description: Text
    x_title: Text
    y_title: Text
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    shades: tuple[tuple[float, ...], ...]
    figures: tuple[tuple[str, ...], ...] = ()


Block = Paragraph | Callout | Bullets | Command | Table | Chart | Explorer | Heatmap


@dataclass(frozen=True)
class Section:
    """A titled run of blocks; sub-sections are one level deep."""

    name: str
    title: Text
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = field(default=())


@dataclass(frozen=True)
class Report:
    """A whole report: its summary stands on top, its sections below."""

    title: Text
    facts: tuple[Text, ...]
    summary: tuple[Block, ...]
    sections: tuple[Section, ...]
