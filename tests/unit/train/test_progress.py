from __future__ import annotations

import io
from dataclasses import replace

from crossover.train.progress import Progress, reporting

PROGRESS = Progress(
    task="tiny/sign",
    model="lstm",
    seed=2,
    step=30,
    fraction=0.25,
    loss=0.5,
    rate=0.01,
    tokens_per_second=12345.6,
    seconds=10.0,
    metric="accuracy",
    validation=0.75,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_says_where_a_run_stands() -> None:
    assert PROGRESS.line() == (
        "tiny/sign lstm seed 2   25% step 30  loss 0.5000  accuracy 0.7500  12,346 tok/s  30 s left"
    )
    started = replace(PROGRESS, fraction=0.0, loss=None, validation=None)
    assert started.seconds_left is None and "left" not in started.line() and "loss" not in started.line()


def test_without_a_terminal_there_is_a_line_at_first_and_at_validations() -> None:
    stream = io.StringIO()
    with reporting(stream) as report:
        for step in range(30, 40):
            report(replace(PROGRESS, step=step, validated=step == 35))
    lines = stream.getvalue().splitlines()
    assert ["step 30" in lines[0], "step 35" in lines[1], len(lines)] == [True, True, 2]
    assert "\x1b" not in stream.getvalue()


def test_in_a_terminal_the_line_is_redrawn(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with reporting(stream) as report:
        report(PROGRESS)
        report(replace(PROGRESS, step=31))
    assert "step 31" in stream.getvalue() and "\x1b[" in stream.getvalue()
