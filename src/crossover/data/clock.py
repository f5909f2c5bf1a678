"""How the times of a series go on beyond its last: month ends, business days, hours, or plain numbers."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from crossover.data.timestamps import are_numbers, offset_of

_MONDAY_TO_FRIDAY = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The time of the last value, and the step to the next.

    `last` and the results of `ahead` are seconds since 1970, or plain numbers where `dated` is False. `frequency` is
    an alias of pandas (``"ME"``, ``"B"``) where one fits every step, else the usual step in seconds or numbers.
    `offset` are the seconds ahead of UTC that the last time is written with, None where it names no offset.
    """

    last: float
    frequency: str | float
    dated: bool
    offset: float | None = None

    def ahead(self, count: int) -> np.ndarray:
        """The next `count` times [count]."""
        if isinstance(self.frequency, str):
            import pandas

            start = pandas.Timestamp(self.last, unit="s")
            times = pandas.date_range(start, periods=count + 1, freq=self.frequency)
            times = times[times > start][:count]
            return np.array([time.timestamp() for time in times])
        return self.last + self.frequency * np.arange(1, count + 1)

    def texts(self, times: Sequence[float] | np.ndarray) -> list[str]:
        """Times as ISO 8601 to the day where they all are whole days, else to the second; numbers as numbers.

        Times of a series with an offset are written with it.
        """
        if not self.dated:
            return [f"{time:.12g}" for time in times]
        if self.offset is not None:
            zone = timezone(timedelta(seconds=self.offset))
            return [(_EPOCH + timedelta(seconds=round(time))).astimezone(zone).isoformat(" ") for time in times]
        moments = np.round(np.asarray(times)).astype("datetime64[s]")
        days = moments.astype("datetime64[D]")
        whole = bool((days == moments).all()) and self.last % 86400 == 0
        return [str(moment).replace("T", " ") for moment in (days if whole else moments)]


def clock_of(seconds_T: np.ndarray, texts: Sequence[str]) -> Clock:
    """The clock of a series with these times (`crossover.data.timestamps.parse_timestamps`), in order."""
    dated = not are_numbers(texts)
    last, offset = float(seconds_T[-1]), offset_of(texts[len(seconds_T) - 1])
    return Clock(last=last, frequency=_frequency(seconds_T, dated), dated=dated, offset=offset)


def _frequency(seconds_T: np.ndarray, dated: bool) -> str | float:
    if len(seconds_T) < 2:
        return 86400.0 if dated else 1.0
    usual, _ = Counter(np.diff(seconds_T).tolist()).most_common(1)[0]
    if not dated:
        return float(usual)
    import pandas

    times = pandas.to_datetime(seconds_T, unit="s")
    if len(times) > 2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if (alias := pandas.infer_freq(times)) is not None:
                return str(alias)
    if usual == 86400.0 and len(times) > _MONDAY_TO_FRIDAY and bool((times.day_of_week < _MONDAY_TO_FRIDAY).all()):
        # Holidays are missing, so no alias fits every step.
        return "B"
    return float(usual)
