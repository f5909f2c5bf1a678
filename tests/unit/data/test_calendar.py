from __future__ import annotations

import numpy as np
import pytest

from crossover.data.calendar import calendar_features, calendar_parts


def seconds(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]").astype(float)


def every(step: str, count: int = 9) -> np.ndarray:
    unit = step[-1]
    steps = np.datetime64("2024-01", unit) + int(step[:-1]) * np.arange(count)
    return steps.astype("datetime64[s]").astype(float)


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        ("15m", ("hour", "weekday", "day", "month")),
        ("1h", ("hour", "weekday", "day", "month")),
        ("1D", ("weekday", "day", "month")),
        ("7D", ("day", "month")),
        ("1M", ("month",)),
        ("3M", ("month",)),
        ("1Y", ()),
    ],
)  # fmt: skip
def test_the_parts_are_those_that_steps_go_through(step, parts):
    assert calendar_parts([every(step)]) == parts


def test_the_usual_step_of_all_series_decides():
    days = every("1D")
    assert calendar_parts([days, every("1h", 4), days[[0, 1, 4]]]) == ("weekday", "day", "month")
    assert calendar_parts([days[:1]]) == ()


@pytest.mark.parametrize(
    ("part", "moment", "turn"),
    [
        ("hour", "1969-12-31T18:00", 18 / 24),
        ("hour", "2024-02-29T06:30", 6.5 / 24),
        ("weekday", "2024-01-01", 0),
        ("weekday", "1960-02-07", 6 / 7),
        ("day", "2024-03-01", 0),
        ("day", "2023-12-31T23:00", 30 / 31),
        ("month", "2024-01-31", 0),
        ("month", "1959-12-01", 11 / 12),
    ],
)
def test_each_part_is_told_by_its_place_in_its_cycle(part, moment, turn):
    angle = 2 * np.pi * turn
    assert calendar_features(seconds(moment), [part])[0] == pytest.approx([np.sin(angle), np.cos(angle)], abs=1e-9)


def test_sines_come_first_in_the_order_of_the_parts():
    found = calendar_features(seconds("2024-03-04", "2024-10-07"), ("weekday", "month"))
    assert found.shape == (2, 4)
    assert found[:, 0] == pytest.approx([0, 0]) and found[:, 2] == pytest.approx([1, 1])
    assert found[:, 1] == pytest.approx([np.sin(np.pi / 3), -1])
