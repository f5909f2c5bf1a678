"""How the values of a panel become z-scores: targets by their own series, covariates by all of train.

Shape suffixes: T steps, C channels, K covariates, S series, F features of the static covariates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossover.data.calendar import calendar_features
from crossover.data.columns import is_number
from crossover.data.panel import Panel, Series
from crossover.errors import DataError, unknown
from crossover.tasks.forecasting.covariates import Covariates


@dataclass(frozen=True, kw_only=True)
class ScaledPanel:
    """Series in z-scores of train, float32, one after the other; series s begins at `begins_S[s]`."""

    values_TC: np.ndarray
    begins_S: np.ndarray
    mean_SC: np.ndarray
    deviation_SC: np.ndarray
    covariates: Covariates | None = None

    @property
    def count(self) -> int:
        """Number of series."""
        return len(self.begins_S)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Statistics of train that prediction needs too.

    `mean_SC` and `deviation_SC` are those of each series of `ids`; a series that train does not have is scaled by
    the values that are given of it. `past` and `future` are [2, K], mean and deviation over all series; what is known
    ahead are the future covariates and, after them, the parts of the `calendar`.
    """

    ids: tuple[str, ...]
    mean_SC: np.ndarray
    deviation_SC: np.ndarray
    past: np.ndarray
    future: np.ndarray
    static: tuple[StaticColumn, ...] = ()
    calendar: tuple[str, ...] = ()

    def statistics(self, id: str, values_TC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation [C] of a series; of `values_TC` where train has none of it."""
        place = self._places.get(id)
        return statistics_of(values_TC) if place is None else (self.mean_SC[place], self.deviation_SC[place])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {id: place for place, id in enumerate(self.ids)}

    def apply(self, panel: Panel, window: int) -> tuple[ScaledPanel, list[str]]:
        """The panel in z-scores, and a sentence for each static value that train does not have: it is none of those.

        A series that train does not have is scaled by its first `window` values. Future covariates beyond the last
        value are left out.
        """
        found = [self.statistics(series.id, series.values_TC[:window]) for series in panel.series]
        values = [(s.values_TC - mean_C) / dev_C for s, (mean_C, dev_C) in zip(panel.series, found, strict=True)]
        past = [(series.past_TK - self.past[0]) / self.past[1] for series in panel.series]
        known = [known_ahead(series, self.calendar)[: len(series)] for series in panel.series]
        future = [(known_TK - self.future[0]) / self.future[1] for known_TK in known]
        static, unknown_values = [], []
        for series in panel.series:
            try:
                static.append(self.static_features(series.static))
            except DataError as error:
                static.append(np.zeros(self.static_size, dtype=np.float32))
                unknown_values.append(f"Series {series.id!r}: {error}; it counts as none of them.")
        covariates = Covariates(
            past_TK=np.concatenate(past).astype(np.float32),
            future_TK=np.concatenate(future).astype(np.float32),
            static_SF=np.stack(static),
        )
        scaled = ScaledPanel(
            values_TC=np.concatenate(values).astype(np.float32),
            begins_S=np.cumsum([0, *map(len, values)])[:-1],
            mean_SC=np.stack([mean_C for mean_C, _ in found]),
            deviation_SC=np.stack([deviation_C for _, deviation_C in found]),
            covariates=None if covariates.empty else covariates,
        )
        return scaled, unknown_values

    def static_features(self, values: Sequence[str]) -> np.ndarray:
        """[F] float32: a z-score for a number, else a one-hot vector; an unknown value is a DataError."""
        return np.concatenate(
            [np.empty(0, np.float32), *(c.features(v) for c, v in zip(self.static, values, strict=True))]
        )

    @property
    def static_size(self) -> int:
        """F."""
        return sum(column.size for column in self.static)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "ids": list(self.ids),
            "mean": self.mean_SC.tolist(),
            "deviation": self.deviation_SC.tolist(),
            "past": self.past.tolist(),
            "future": self.future.tolist(),
            "static": [column.to_json() for column in self.static],
            "calendar": list(self.calendar),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Scaling:
        """What `to_json` gave; the artifacts of a run from before there were panels hold one row of statistics."""
        nothing: list[list[float]] = [[], []]
        return cls(
            ids=tuple(str(id) for id in value.get("ids", [""])),
            mean_SC=np.atleast_2d(np.array(value["mean"], dtype=np.float64)),
            deviation_SC=np.atleast_2d(np.array(value["deviation"], dtype=np.float64)),
            past=np.array(value.get("past", nothing), dtype=np.float64),
            future=np.array(value.get("future", nothing), dtype=np.float64),
            static=tuple(StaticColumn.from_json(column) for column in value.get("static", [])),
            calendar=tuple(str(part) for part in value.get("calendar", [])),
        )


@dataclass(frozen=True, kw_only=True)
class StaticColumn:
    """A static covariate: numeric (z-scored by `mean` and `deviation`) or, with `values`, categorical."""

    name: str
    values: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.values) or 1

    def features(self, value: str) -> np.ndarray:
        """[size] float32; DataError for a value that train does not have."""
        if not self.values:
            if not is_number(value):
                raise DataError(f"static column {self.name!r} holds {value[:40]!r}: in training it held numbers")
            return np.array([(float(value) - self.mean) / self.deviation], dtype=np.float32)
        if value not in self.values:
            raise DataError(unknown(f"value of static column {self.name!r}", value, self.values))
        return np.array([value == known for known in self.values], dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "values": list(self.values), "mean": self.mean, "deviation": self.deviation}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StaticColumn:
        """What `to_json` gave."""
        return cls(
            name=str(value["name"]),
            values=tuple(str(known) for known in value["values"]),
            mean=float(value["mean"]),
            deviation=float(value["deviation"]),
        )


def known_ahead(series: Series, calendar: Sequence[str]) -> np.ndarray:
    """[L, K]: the future covariates of a series, and these parts of the calendar at its times."""
    if not calendar:
        return series.future_LK
    if series.seconds_L is None:
        raise DataError(f"series {series.id!r} has no timestamps to read the calendar from: give their column")
    return np.concatenate([series.future_LK, calendar_features(series.seconds_L, calendar)], axis=1)


def statistics_of(values_TK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation [K] over the steps; a constant column, whose mean is rounded, has the deviation 1."""
    if len(values_TK) == 0:
        return np.zeros(values_TK.shape[1]), np.ones(values_TK.shape[1])
    constant_K = (values_TK == values_TK[0]).all(0)
    return values_TK.mean(0), np.where(constant_K, 1.0, values_TK.std(0))


def static_column(name: str, values: Iterable[str]) -> StaticColumn:
    """The column whose values in train are these: numbers, or categories in their order."""
    found = sorted(set(values))
    if all(is_number(value) for value in found):
        mean, deviation = statistics_of(np.array([[float(value)] for value in found]))
        return StaticColumn(name=name, mean=float(mean[0]), deviation=float(deviation[0]))
    return StaticColumn(name=name, values=tuple(found))
