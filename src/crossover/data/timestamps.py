"""Timestamps of a series: read in the format that fits them all, and checked for order, repeats and holes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from crossover.errors import DataError

FORMATS = (
    "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y-%m", "%Y/%m", "%Y年%m月%d日",
    "%b %d, %Y", "%d %b %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_EPOCH = datetime(1970, 1, 1)
_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def parse_timestamps(
    texts: Sequence[str], column: str, places: Sequence[str], path: Path, starts: Sequence[int] = (0,)
) -> np.ndarray:
    """[T] float64: seconds since 1970, or the numbers themselves where the texts are numbers and no dates.

    The format is the first that reads every text, ISO 8601 before the others; where day and month could be either
    way round, the one that gives times that ascend within each series, which begin at `starts`. A text that no
    format reads is a DataError.
    """
    readers = [_iso, _number, *(_strptime(f + t) for f in FORMATS for t in _TIMES)]
    read: list[np.ndarray] = []
    furthest = 0
    inside = np.ones(max(len(texts) - 1, 0), dtype=bool)
    inside[[start - 1 for start in starts if start > 0]] = False
    for reader in readers:
        values = _all(reader, texts)
        if len(values) == len(texts):
            read.append(values)
            if np.all(np.diff(values)[inside] > 0):
                return values
        furthest = max(furthest, len(values))
    if not read:
        given = texts[furthest][:40]
        raise DataError(
            f"{places[furthest]}, column {column!r} of {path} holds {given!r}: "
            "write timestamps like 2024-01-31 or 2024-01-31 13:00:00, all in one format"
        )
    return read[0]


def are_numbers(texts: Sequence[str]) -> bool:
    """Whether these timestamps are plain numbers (day 1, 2, 3) and no dates."""
    return len(_all(_iso, texts[:1])) == 0 and len(_all(_number, texts[:1])) == 1


def offset_of(text: str) -> float | None:
    """Seconds that a timestamp's offset lies ahead of UTC; None where it names no offset."""
    try:
        offset = datetime.fromisoformat(text).utcoffset()
    except ValueError:
        return None
    return None if offset is None else offset.total_seconds()


def _all(reader: Callable[[str], float], texts: Sequence[str]) -> np.ndarray:
    """What `reader` makes of the texts up to the first that it cannot read."""
    values = []
    for text in texts:
        try:
            values.append(reader(text))
        except (ValueError, OverflowError):
            break
    return np.array(values, dtype=np.float64)


def _number(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


def _iso(text: str) -> float:
    return _seconds(datetime.fromisoformat(text))


def _strptime(form: str) -> Callable[[str], float]:
    return lambda text: _seconds(datetime.strptime(text, form))


def _seconds(moment: datetime) -> float:
    naive = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta())
    return (naive - _EPOCH).total_seconds()


def check_order(
    seconds: np.ndarray, texts: Sequence[str], column: str, places: Sequence[str], path: Path, series: str = ""
) -> tuple[str, ...]:
    """Refuse timestamps that are repeated or go back, naming the first; note steps that are not like the others.

    `series` is the id of the series that these rows are, "" where a file holds a single one.
    """
    order = np.argsort(seconds, kind="stable")
    repeated = np.sort(order[1:][np.diff(seconds[order]) == 0])
    if len(repeated):
        first = int(repeated[0])
        of = f" of series {series!r}" if series else ""
        advice = "" if series else ", or name with --id the column that tells series apart"
        raise DataError(
            f"timestamps{of} in column {column!r} of {path} are repeated ({len(repeated)}, the first at "
            f"{places[first]}, {texts[first]}): keep one row for each time{advice}"
        )
    steps = np.diff(seconds)
    if np.any(steps < 0):
        back = int(np.argmax(steps < 0)) + 1
        raise DataError(
            f"{path} is not sorted by {column!r}: {places[back]} ({texts[back]}) comes before "
            f"{places[back - 1]} ({texts[back - 1]}): sort the rows by {column!r} first"
        )
    return _irregular(seconds, steps, texts, column)


def _irregular(seconds: np.ndarray, steps: np.ndarray, texts: Sequence[str], column: str) -> tuple[str, ...]:
    """Calendar months and years count as regular."""
    if len(steps) < 2:
        return ()
    usual, _ = Counter(steps.tolist()).most_common(1)[0]
    odd = np.flatnonzero(steps != usual)
    if len(odd) == 0 or _by_months(seconds):
        return ()
    first = int(odd[0])
    plain = len(_all(_number, texts[:1])) == 1
    return (
        f"{len(odd)} of {len(steps)} steps of {column!r} are not {usual if plain else _duration(usual)}, "
        f"the first from {texts[first]} to {texts[first + 1]}: rows are taken as equally far apart.",
    )


def _by_months(seconds: np.ndarray) -> bool:
    if np.any(np.abs(seconds) > 6e10):
        return False
    moments = [_EPOCH + timedelta(seconds=float(s)) for s in seconds]
    months = np.diff([12 * m.year + m.month for m in moments])
    same_day = len({(m.day, m.hour, m.minute, m.second) for m in moments}) == 1
    return same_day and bool(np.all(months == months[0])) and months[0] > 0


def _duration(seconds: float) -> str:
    for size, name in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds:g}"
