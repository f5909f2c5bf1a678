from __future__ import annotations

import pytest

from crossover.cli.units import parse_bytes, parse_seconds
from crossover.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10ms", 0.01),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("15m", 900.0),
        ("2 min", 120.0),
        ("2h", 7200.0),
        (" 250us ", 0.00025),
        ("250µs", 0.00025),
        ("1e-3s", 0.001),
        ("3S", 3.0),
    ],
)
def test_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--time-limit") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("200MB", 2e8), ("1.5GiB", 1.5 * 2**30), ("64kib", 65536), ("10 kB", 1e4), ("1b", 1)],
)
def test_bytes(text: str, size: float) -> None:
    assert parse_bytes(text, "--max-memory") == size


def test_nothing_stays_nothing() -> None:
    assert parse_seconds(None, "--time-limit") is None and parse_bytes(None, "--max-memory") is None


@pytest.mark.parametrize("text", ["", "10", "ms", "10 parsecs", "ten ms", "-5s", "5s5", "nan s", "inf s", "1 2s"])
def test_what_is_no_amount_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_seconds(text, "--max-latency")
    assert str(caught.value) == (
        f"--max-latency {text!r} is not an amount: write a number and a unit, such as 10ms, 1.5s, 15m or 2h"
    )


@pytest.mark.parametrize("text", ["0s", "0.0ms"])
def test_zero_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is zero: give a positive amount"):
        parse_seconds(text, "--max-latency")
