"""What a run tells while it trains: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

_PLAIN_SECONDS = 10.0
_LIVE_PER_SECOND = 8


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One run at one moment. `validation` is the best score so far; `seconds_left` None where nothing is known."""

    task: str
    model: str
    seed: int
    step: int
    fraction: float
    loss: float | None
    rate: float
    tokens_per_second: float
    seconds: float
    metric: str
    validation: float | None
    validated: bool = False
    """True right after a validation."""

    @property
    def seconds_left(self) -> float | None:
        """Training seconds to go at the pace so far."""
        return self.seconds * (1 - self.fraction) / self.fraction if self.fraction > 0 else None

    def line(self) -> str:
        """One line for people."""
        parts = [
            f"{self.task} {self.model} seed {self.seed}",
            f"{self.fraction:4.0%} step {self.step}",
            f"loss {self.loss:.4f}" if self.loss is not None else "",
            f"{self.metric} {self.validation:.4f}" if self.validation is not None else "",
            f"{self.tokens_per_second:,.0f} tok/s",
            f"{self.seconds_left:.0f} s left" if self.seconds_left is not None else "",
        ]
        return "  ".join(part for part in parts if part)


OnProgress = Callable[[Progress], None]


@contextmanager
def reporting(stream: TextIO | None = None) -> Iterator[OnProgress]:
    """A place to report to: redrawn in a terminal, else a line at each validation and every ten seconds."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _live(stream) as report:
            yield report
    else:
        yield _PlainLines(stream)


class _PlainLines:
    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.written = float("-inf")

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.validated or now - self.written >= _PLAIN_SECONDS:
            self.stream.write(progress.line() + "\n")
            self.stream.flush()
            self.written = now


@contextmanager
def _live(stream: TextIO) -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream)
    with Live(console=console, refresh_per_second=_LIVE_PER_SECOND, transient=True) as live:
        latest: dict[str, Progress] = {}

        def render() -> Text:
            return Text(latest["run"].line() if latest else "", overflow="ellipsis", no_wrap=True)

        live._get_renderable = render  # type: ignore[method-assign]

        def report(progress: Progress) -> None:
            latest["run"] = progress

        yield report
