"""The series that forecasting tasks are built on: embedded, by name, and a user's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.catalogue import locate
from crossover.data.options import DataOptions
from crossover.data.series import Series, read_series
from crossover.data.splits import time_split
from crossover.errors import ConfigError, DataError
from crossover.tasks.base import Reference, Split
from crossover.tasks.options import Choice, Whole, refuse_unread
from crossover.tasks.windows import Normalise, SplitRows

SHARES = (0.7, 0.1, 0.2)
"""Train, valid and test by time, where a series has no split of its own."""


@dataclass(frozen=True, kw_only=True)
class SplitSeries:
    """A series in its own units [T, C], and the rows of each split."""

    values_TC: np.ndarray
    channels: tuple[str, ...]
    rows: Mapping[Split, SplitRows]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SeriesData:
    """A data set of the family: where it comes from and what suits it, as found on its validation split.

    `period` is the season in steps, if known.
    """

    name: str
    description: str
    load: Callable[[DataOptions, dict[str, Any]], SplitSeries]
    window: int
    horizon: int
    patch: int
    period: int | None = None
    normalise: Normalise = "window"
    settings: Mapping[str, Choice | Whole] = field(default_factory=dict)
    embedded: bool = False
    budget: str = "60s"
    batch_rows: int = 32
    defaults: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()


def split_by_time(series: Series, ends: tuple[int, int, int] | None = None) -> SplitSeries:
    """The series with the rows of each split: up to these ends, or by `SHARES`.

    Windows of valid and test may read the rows before their split, as is usual for the benchmarks of this kind.
    """
    if ends is None:
        parts = time_split(len(series.values_TC), SHARES)
        ends = (len(parts["train"]), len(parts["train"]) + len(parts["valid"]), len(series.values_TC))
    if len(series.values_TC) < ends[2]:
        raise DataError(f"the series has {len(series.values_TC)} rows and its split needs {ends[2]}: get it anew")
    train, valid, test = ends
    return SplitSeries(
        values_TC=series.values_TC,
        channels=series.channels,
        rows={
            "train": SplitRows(readable=0, start=0, stop=train),
            "valid": SplitRows(readable=0, start=train, stop=valid),
            "test": SplitRows(readable=0, start=valid, stop=test),
        },
        notes=series.notes,
    )


def load_co2(options: DataOptions, settings: dict[str, Any]) -> SplitSeries:
    """Weekly CO2 at Mauna Loa, 1958-2001 (statsmodels); the weeks without a value are interpolated."""
    import statsmodels.api as sm

    _named("forecasting/co2", options)
    frame = sm.datasets.co2.load_pandas().data
    values_T = frame["co2"].to_numpy(dtype=np.float64)
    known_T = ~np.isnan(values_T)
    steps_T = np.arange(len(values_T))
    values_T = np.interp(steps_T, steps_T[known_T], values_T[known_T])
    note = f"{int((~known_T).sum())} of {len(values_T)} weeks have no value and are interpolated linearly."
    return split_by_time(Series(values_T[:, None], ("co2",), None, (note,)))


def load_elnino(options: DataOptions, settings: dict[str, Any]) -> SplitSeries:
    """Monthly sea surface temperature of the eastern Pacific, 1950-2010 (statsmodels): 732 months."""
    import statsmodels.api as sm

    _named("forecasting/elnino", options)
    frame = sm.datasets.elnino.load_pandas().data
    values_T = frame.drop(columns="YEAR").to_numpy(dtype=np.float64).reshape(-1)
    return split_by_time(Series(values_T[:, None], ("temperature",), None))


def load_etth1(options: DataOptions, settings: dict[str, Any]) -> SplitSeries:
    """ETTh1 with its usual split: 12, 4 and 4 months of 30 days by the hour."""
    _named("forecasting/etth1", options)
    hours = 30 * 24
    return split_by_time(read_series(locate("forecasting/etth1"), time="date"), (12 * hours, 16 * hours, 20 * hours))


def load_weather(options: DataOptions, settings: dict[str, Any]) -> SplitSeries:
    """Daily minimum or maximum temperature of Melbourne, 1981-1990."""
    _named("forecasting/weather", options)
    file = locate("forecasting/weather") / f"daily-{settings['series']}-temperatures.csv"
    return split_by_time(read_series(file, time="Date"))


def load_prices(options: DataOptions, settings: dict[str, Any]) -> SplitSeries:
    """Daily exchange rates of eight currencies, 1990-2016."""
    _named("forecasting/prices", options)
    return split_by_time(read_series(locate("forecasting/prices")))


def load_own(options: DataOptions, settings: dict[str, Any]) -> SplitSeries:
    """A user's series: one file split by time, or files of a split (valid: the end of train where none is given)."""
    task = "forecasting"
    refuse_unread(
        task,
        options,
        reads=("data", "train", "valid", "test", "split", "target", "time", "horizon", "window", "fill_gaps"),
    )
    if options.split not in (None, "time"):
        raise ConfigError(f"task {task!r}: --split is {options.split!r}: a series is split by time, leave it out")
    if options.data is not None:
        if options.train or options.valid or options.test:
            raise ConfigError(f"task {task!r}: give --data, or --train and --test, and not both")
        if options.data.startswith("hf://"):
            raise ConfigError(f"task {task!r}: a series is read from a file, not from {options.data!r}: download it")
        return split_by_time(_read(Path(options.data), options))
    if options.train is None or options.test is None:
        raise ConfigError(f"task {task!r} needs a series: give --data FILE --target COLUMN, or --train and --test")
    return _given_split(options.train, options.valid, options.test, options)


def _given_split(train: Path, valid: Path | None, test: Path, options: DataOptions) -> SplitSeries:
    """Files one after the other; no window reaches from one into another."""
    paths = [train, *([valid] if valid else []), test]
    series = [_read(path, options) for path in paths]
    for path, part in zip(paths, series, strict=True):
        if part.channels != series[0].channels:
            raise DataError(
                f"{path} has the channels {', '.join(part.channels)}, {train} has {', '.join(series[0].channels)}: "
                f"name those to use with --target"
            )
    stops = np.cumsum([len(part.values_TC) for part in series]).tolist()
    starts = [0, *stops[:-1]]
    rows = [SplitRows(readable=start, start=start, stop=stop) for start, stop in zip(starts, stops, strict=True)]
    notes = [note for part in series for note in part.notes]
    if valid is None:
        share = SHARES[1] / (SHARES[0] + SHARES[1])
        cut = stops[0] - round(share * stops[0])
        rows[:1] = [SplitRows(readable=0, start=0, stop=cut), SplitRows(readable=0, start=cut, stop=stops[0])]
        notes.append(f"The last {stops[0] - cut} rows of {train.name} are the validation split.")
    return SplitSeries(
        values_TC=np.concatenate([part.values_TC for part in series]),
        channels=series[0].channels,
        rows={"train": rows[0], "valid": rows[1], "test": rows[2]},
        notes=tuple(notes),
    )


def _read(path: Path, options: DataOptions) -> Series:
    targets = tuple(name.strip() for name in (options.target or "").split(",") if name.strip())
    return read_series(path, targets=targets, time=options.time, fill_gaps=options.fill_gaps)


def _named(task: str, options: DataOptions) -> None:
    """A data set with a name reads no files of the user's."""
    refuse_unread(task, options, reads=("horizon", "window"))


_INFORMER = "Zhou et al. 2021, Informer, arXiv 2012.07436, tables 1 and 2"
_INFORMER_NOTE = "other horizons and windows than ours; the last partial batch of test windows was left out"

CO2 = SeriesData(
    name="forecasting/co2",
    description="weekly CO2 at Mauna Loa, 1958-2001",
    load=load_co2,
    window=104,
    horizon=26,
    patch=13,
    period=52,
    embedded=True,
    budget="20s",
    defaults={"width": 64, "dropout": 0.1},
    recipes={"lstm": {"lr": 2e-3}, "gru": {"lr": 2e-3}, "transformer": {"lr": 2e-3}},
)
ELNINO = SeriesData(
    name="forecasting/elnino",
    description="monthly sea surface temperature of the eastern Pacific, 1950-2010",
    load=load_elnino,
    window=36,
    horizon=12,
    patch=12,
    period=12,
    embedded=True,
    budget="20s",
    defaults={"width": 32, "dropout": 0.2},
    recipes={"lstm": {"lr": 1e-3}, "gru": {"lr": 1e-3}, "transformer": {"lr": 1e-3}},
)
ETTH1 = SeriesData(
    name="forecasting/etth1",
    description="hourly load and oil temperature of an electricity transformer, 7 channels",
    load=load_etth1,
    window=96,
    horizon=96,
    patch=24,
    period=24,
    budget="60s",
    batch_rows=256,
    references=(
        Reference(name="Informer, horizon 24", metric="mse", score=0.577, source=_INFORMER, note=_INFORMER_NOTE),
        Reference(name="Informer, horizon 168", metric="mse", score=0.931, source=_INFORMER, note=_INFORMER_NOTE),
        Reference(name="LSTMa, horizon 24", metric="mse", score=0.650, source=_INFORMER, note=_INFORMER_NOTE),
        Reference(name="LSTMa, horizon 168", metric="mse", score=1.212, source=_INFORMER, note=_INFORMER_NOTE),
    ),
    normalise="last",
    # Chosen on validation, and on the last quarter of train held out: the validation months are unlike the rest.
    defaults={"width": 128, "dropout": 0.3},
    # A norm before the head hides how far a window reaches from its last value: plain recurrent layers keep it.
    recipes={
        "*": {"average": 0.995, "final_rate": 1.0, "lr": 2e-3},
        "lstm": {"style": "classic", "layers": 1},
        "gru": {"style": "classic", "layers": 1},
        "transformer": {"width": 64},
    },
)
WEATHER = SeriesData(
    name="forecasting/weather",
    description="daily temperature of Melbourne, 1981-1990",
    load=load_weather,
    window=120,
    horizon=30,
    patch=15,
    period=365,
    settings={"series": Choice(("min", "max"), "min")},
    budget="30s",
    normalise="train",
    defaults={"width": 32, "dropout": 0.2},
    recipes={"lstm": {"lr": 1e-3}, "gru": {"lr": 1e-3}, "transformer": {"lr": 1e-3}},
)
PRICES = SeriesData(
    name="forecasting/prices",
    description="daily exchange rates of eight currencies, 1990-2016",
    load=load_prices,
    window=96,
    horizon=96,
    patch=24,
    budget="30s",
    batch_rows=256,
    normalise="last",
    defaults={"width": 32, "dropout": 0.2},
    recipes={"lstm": {"lr": 5e-4}, "gru": {"lr": 5e-4}, "transformer": {"lr": 5e-4}},
)
OWN = SeriesData(
    name="forecasting",
    description="your own series (--data FILE --target COLUMN)",
    load=load_own,
    window=96,
    horizon=24,
    patch=24,
    defaults={"width": 64, "dropout": 0.2},
)
