from pathlib import Path

import numpy as np
import pytest

from crossover.data.clock import Clock, clock_of
from crossover.data.timestamps import parse_timestamps


def clock(*days: str) -> Clock:
    return clock_of(np.array(days, dtype="datetime64[s]").astype(float), list(days))


def told(found: Clock, count: int) -> list[str]:
    return found.texts(found.ahead(count))


@pytest.mark.parametrize(
    ("days", "following"),
    [
        (("2024-01-01", "2024-01-02", "2024-01-03"), ["2024-01-04", "2024-01-05"]),
        (("2023-12-31", "2024-01-31", "2024-02-29"), ["2024-03-31", "2024-04-30"]),
        (("2024-01-01", "2024-02-01", "2024-03-01"), ["2024-04-01", "2024-05-01"]),
        (("2024-01-01", "2024-01-08", "2024-01-15"), ["2024-01-22", "2024-01-29"]),
        (
            ("2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-11", "2024-01-12"),
            ["2024-01-15", "2024-01-16"],
        ),
        (("2024-01-01T22:00", "2024-01-01T23:00", "2024-01-02T00:00"), ["2024-01-02 01:00:00"]),
        (("2024-01-01",), ["2024-01-02"]),
    ],
)  # fmt: skip
def test_times_go_on_as_they_came(days, following):
    assert told(clock(*days), len(following)) == following


def test_times_with_an_offset_go_on_with_it():
    texts = [f"2024-01-01T{hour}:00+05:30" for hour in ("21", "22", "23")]
    found = clock_of(parse_timestamps(texts, "time", texts, Path()), texts)
    assert told(found, 2) == ["2024-01-02 00:00:00+05:30", "2024-01-02 01:00:00+05:30"]


def test_plain_numbers_go_on_as_numbers():
    found = clock_of(np.array([10.0, 20.0, 30.0]), ["10", "20", "30"])
    assert not found.dated
    assert told(found, 2) == ["40", "50"]
