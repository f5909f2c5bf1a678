"""What timestamps say by themselves of every step, of those ahead too: its place in the day, week, month and year."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_DAY = 86400.0
_CYCLES = {"hour": 1, "weekday": 7, "day": 28, "month": 365}
"""The parts of the calendar, and the days after which each begins anew, at the earliest."""


def calendar_parts(seconds: Iterable[np.ndarray]) -> tuple[str, ...]:
    """The parts that the usual step of these series is shorter than: of days ``weekday``, ``day`` and ``month``.

    None are left of steps of a year or more, and of series of one step.
    """
    steps, counts = np.unique(np.concatenate([np.diff(seconds_T) for seconds_T in seconds]), return_counts=True)
    if not len(steps):
        return ()
    usual = steps[counts.argmax()]
    return tuple(part for part, days in _CYCLES.items() if usual < days * _DAY)


def calendar_features(seconds_L: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """[L, 2 P]: the sine of each part's place in its cycle, then the cosine of each.

    `seconds_L` are seconds since 1970. An hour is told with its minutes; a month has 31 places, whatever its days.
    """
    moments = np.round(seconds_L).astype("datetime64[s]")
    days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
    turns = {
        "hour": (moments - days).astype(float) / _DAY,
        "weekday": (days.astype(int) + 3) % 7 / 7,
        "day": (days - months).astype(int) / 31,
        "month": months.astype(int) % 12 / 12,
    }
    angles_LP = 2 * np.pi * np.array([turns[part] for part in parts]).T
    return np.concatenate([np.sin(angles_LP), np.cos(angles_LP)], axis=1)
