"""What a forecast beyond the last row goes on from: the end of each series, its clock, what is known ahead.

Shape suffixes: W window, C channels, K covariates, L steps for which future covariates are known (W and some ahead).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossover.config import build
from crossover.data.clock import Clock, clock_of
from crossover.data.columns import read_columns
from crossover.data.panel import Panel, Roles, Series, read_panel
from crossover.errors import DataError
from crossover.tasks.base import Batch


@dataclass(frozen=True)
class Ahead:
    """A batch to forecast from, and for each of its rows what it is a forecast of: the series and the times."""

    batch: Batch
    labels: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The last window of a series, in its own units; `clock` and `seconds_W` are None for a series without times."""

    id: str
    values_WC: np.ndarray
    past_WK: np.ndarray
    future_LK: np.ndarray
    static: tuple[str, ...] = ()
    clock: Clock | None = None
    seconds_W: np.ndarray | None = None

    @property
    def known_ahead(self) -> np.ndarray:
        """Future covariates beyond the last value [L - W, K]."""
        return self.future_LK[len(self.values_WC) :]

    def opened(self, horizon: int) -> Series:
        """The window as a series with room for the horizon, whose values are NaN."""
        missing, length, seconds_L = ((0, horizon), (0, 0)), len(self.values_WC) + horizon, None
        if self.clock is not None and self.seconds_W is not None:
            seconds_L = np.concatenate([self.seconds_W, self.clock.ahead(horizon)])
        return Series(
            id=self.id,
            values_TC=np.pad(self.values_WC, missing, constant_values=np.nan),
            past_TK=np.pad(self.past_WK, missing),
            future_LK=self.future_LK[:length] if self.future_LK.shape[1] else np.empty((length, 0)),
            static=self.static,
            seconds_L=seconds_L,
        )

    def label(self, horizon: int) -> dict[str, Any]:
        """The name of the series, where it has one, and the times of the horizon, where there are any."""
        label: dict[str, Any] = {"id": self.id} if self.id else {}
        if self.clock is not None:
            label["timestamps"] = self.clock.texts(self.clock.ahead(horizon))
        return label

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "id": self.id,
            "values": self.values_WC.tolist(),
            "past": self.past_WK.tolist(),
            "future": self.future_LK.tolist(),
            "static": list(self.static),
            "clock": None if self.clock is None else asdict(self.clock),
            "seconds": None if self.seconds_W is None else self.seconds_W.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tail:
        """What `to_json` gave."""
        window = len(value["values"])
        seconds = value.get("seconds")
        past, future = (np.array(value[key], dtype=np.float64) for key in ("past", "future"))
        return cls(
            id=str(value["id"]),
            values_WC=np.array(value["values"], dtype=np.float64),
            past_WK=past.reshape(window, -1),
            future_LK=future.reshape(len(value["future"]), -1),
            static=tuple(str(known) for known in value["static"]),
            clock=None if value["clock"] is None else build(Clock, value["clock"], path="clock"),
            seconds_W=None if seconds is None else np.array(seconds, dtype=np.float64),
        )


def tails_of(panel: Panel, window: int) -> tuple[Tail, ...]:
    """The last window of each series that is long enough; of a series cut into files, that of the last file."""
    found = {series.id: _tail(series, window) for series in panel.series if len(series) >= window}
    return tuple(found.values())


def _tail(series: Series, window: int) -> Tail:
    begin, clock, seconds_W = len(series) - window, None, None
    if series.seconds_L is not None and series.timestamps is not None:
        clock = clock_of(series.seconds_L[: len(series)], series.timestamps)
        seconds_W = series.seconds_L[begin : len(series)]
    return Tail(
        id=series.id,
        values_WC=series.values_TC[begin:],
        past_WK=series.past_TK[begin:],
        future_LK=series.future_LK[begin:],
        static=series.static,
        clock=clock,
        seconds_W=seconds_W,
    )


def read_tails(path: Path, roles: Roles, window: int) -> tuple[Tail, ...]:
    """The last window of each series of a file; DataError where one is too short."""
    if roles.time not in read_columns(path).values:
        roles = replace(roles, time=None)
    panel = read_panel(path, roles)
    for series in panel.series:
        if len(series) < window:
            of = f" of series {series.id!r}" if series.id else ""
            raise DataError(f"{path} has {len(series)} rows{of}: a forecast reads the last {window}")
    return tails_of(panel, window)


def with_future_values(tails: Sequence[Tail], roles: Roles, horizon: int, path: Path | None) -> tuple[Tail, ...]:
    """The tails with their future covariates for the whole horizon, from `path` where it is given.

    DataError, one sentence, where the model reads future covariates and some of their values are not known.
    """
    if not roles.future:
        if path is not None:
            raise DataError(f"the model reads no future covariates, so {path} has no use: leave --future-values out")
        return tuple(tails)
    if path is None:
        for tail in tails:
            if len(tail.known_ahead) < horizon:
                raise DataError(_missing(tail, roles, horizon, horizon - len(tail.known_ahead), None))
        return tuple(tails)
    given = _future_series(path, roles)
    return tuple(_extended(tail, given, roles, horizon, path) for tail in tails)


def _future_series(path: Path, roles: Roles) -> dict[str, Series]:
    time = roles.time if roles.time in read_columns(path).values else None
    panel = read_panel(path, Roles(targets=roles.future, time=time, id=roles.id))
    return {series.id: series for series in panel.series}


def _extended(tail: Tail, given: Mapping[str, Series], roles: Roles, horizon: int, path: Path) -> Tail:
    series = given.get(tail.id)
    rows: list[np.ndarray] = []
    if series is not None and tail.clock is not None and series.seconds_L is not None:
        by_time = dict(zip(series.seconds_L.tolist(), series.values_TC, strict=True))
        rows = [by_time[time] for time in tail.clock.ahead(horizon).tolist() if time in by_time]
    elif series is not None:
        rows = list(series.values_TC[:horizon])
    if len(rows) < horizon:
        raise DataError(_missing(tail, roles, horizon, horizon - len(rows), path))
    window_LK = tail.future_LK[: len(tail.values_WC)]
    return replace(tail, future_LK=np.concatenate([window_LK, np.stack(rows)]))


def _missing(tail: Tail, roles: Roles, horizon: int, lacking: int, path: Path | None) -> str:
    names = ", ".join(roles.future)
    of = f" of series {tail.id!r}" if tail.id else ""
    times = tail.label(horizon).get("timestamps")
    which = f" ({times[0]} to {times[-1]})" if times else ""
    columns = ", ".join(name for name in (roles.id, roles.time, *roles.future) if name)
    needed = f"the model reads {names} at the {horizon} steps ahead{of}{which}"
    if path is None:
        return (
            f"{needed} and {lacking} of them are not known: give them with --future-values FILE (columns {columns})"
        )
    return f"{needed} and {path} lacks {lacking} of them: add them to it (columns {columns})"
