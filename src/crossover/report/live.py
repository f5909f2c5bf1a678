"""What is seen while runs train: a view that redraws itself in a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from crossover.report import quantities
from crossover.report.messages import Message, Text, Translator, _, translate
from crossover.report.verdicts import metric_name
from crossover.train.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.live import Live

_REDRAWS_PER_SECOND = 4
_LINE_SECONDS = 10.0
_GAP = 2
_BAR, _LEAST_BAR = 24, 10
SHORT_METRICS: dict[str, str | Message] = {
    "mse": "mse",
    "mae": "mae",
    "ssim": "ssim",
    "rollout_mse": "mse/rollout",
    "nats": _("nats/token"),
    "nats_per_character": _("nats/char"),
    "bits_per_character": _("bits/char"),
}
"""Names of metrics where room is short; the others are short as they are."""


class LiveView:
    """Takes `Progress` events and shows the latest; used as a context, and called with each event.

    In a terminal it is redrawn in place and gone at the end; elsewhere (a pipe, a log file) it writes a line when a
    run begins, after each validation, and at most every ten seconds in between. `tell` writes a message above it.
    """

    def __init__(
        self, lang: str | None = None, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say: Translator = translate(lang)
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live: Live | None = None
        self._latest: Progress | None = None
        self._part: Text | None = None
        self._written = float("-inf")

    def __enter__(self) -> LiveView:
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(file=self._stream),
                refresh_per_second=_REDRAWS_PER_SECOND,
                transient=True,
                get_renderable=self._drawn,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, line: str) -> None:
        """A message that stays: above the view in a terminal, a line elsewhere."""
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def begin(self, stage: str, number: int, total: int) -> None:
        """Say which part of a study begins: trial (``search``) or run (``train``) `number` of `total`."""
        said = _("trial {number} of {total}") if stage == "search" else _("run {number} of {total}")
        self._part = said.filled(number=quantities.whole(number), total=quantities.whole(total))

    def __call__(self, progress: Progress) -> None:
        """Show one event."""
        begins = self._latest is None or _run(self._latest) != _run(progress)
        self._latest = progress
        now = self._clock()
        if self._live is None and (begins or progress.validated or now - self._written >= _LINE_SECONDS):
            self.tell(
                "  ".join([*self._heading(progress), *map(self._say, (*figures(progress), *spare_figures(progress)))])
            )
            self._written = now

    def _heading(self, progress: Progress) -> list[str]:
        part = [self._say(self._part)] if self._part is not None else []
        return [*part, progress.task, progress.model, self._say(_("seed {seed}", seed=str(progress.seed)))]

    def _drawn(self) -> Group:
        """The latest event on two lines: what runs, and how far and how well."""
        from rich.console import Group
        from rich.text import Text as Line

        if self._latest is None:
            return Group()
        heading = " · ".join(self._heading(self._latest))
        told, spare = ([self._say(figure) for figure in of(self._latest)] for of in (figures, spare_figures))
        return Group(Line(heading, style="bold"), _Row(self._latest.fraction, told, spare))


@dataclass(frozen=True)
class _Row:
    """The bar and the figures; where room is short the bar shrinks, then the spare ones go, the last first."""

    fraction: float
    figures: list[str]
    spare: list[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text as Line

        shown, room = self.fitting(options.max_width)
        if not room:
            yield Line((" " * _GAP).join(shown))
            return
        line = Table.grid(padding=(0, _GAP))
        bar = ProgressBar(total=1.0, completed=self.fraction, width=room)
        line.add_row(bar, *(Line(figure, no_wrap=True) for figure in shown))
        yield line

    def fitting(self, width: int) -> tuple[list[str], int]:
        """The figures for a row of `width` columns, and how many of them remain for the bar: none if too few."""
        from rich.cells import cell_len

        for kept in range(len(self.spare), -1, -1):
            shown = [*self.figures, *self.spare[:kept]]
            room = width - sum(cell_len(figure) + _GAP for figure in shown)
            if room >= _LEAST_BAR:
                return shown, min(_BAR, room)
        return self.figures, 0


def _run(progress: Progress) -> tuple[str, str, int]:
    return progress.task, progress.model, progress.seed


def figures(progress: Progress) -> list[Text]:
    """How far the run is and how well it does."""
    told: list[Text] = [f"{progress.fraction:4.0%}", _("step {step}", step=quantities.whole(progress.step))]
    if progress.loss is not None:
        told.append(_("loss {loss}", loss=quantities.score(progress.loss)))
    if progress.validation is not None:
        metric = SHORT_METRICS.get(progress.metric) or metric_name(progress.metric)
        told.append(_("{metric} {score}", metric=metric, score=quantities.score(progress.validation)))
    return told


def spare_figures(progress: Progress) -> list[Text]:
    """How long the run still takes, and how fast it goes: what a narrow terminal can do without."""
    told: list[Text] = []
    if progress.seconds_left is not None:
        told.append(_("{seconds} left", seconds=quantities.seconds(progress.seconds_left)))
    return [*told, _("{rate} tokens/s", rate=quantities.whole(progress.tokens_per_second))]
