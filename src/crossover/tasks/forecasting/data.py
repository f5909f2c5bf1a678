"""The series that forecasting tasks are built on: embedded, by name, and a user's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.catalogue import locate
from crossover.data.options import DataOptions
from crossover.data.panel import Roles, read_panel, single_series
from crossover.errors import ConfigError
from crossover.tasks.base import Reference
from crossover.tasks.forecasting.shops import shops
from crossover.tasks.forecasting.splits import SplitPanel, split_by_files
from crossover.tasks.forecasting.windows import Normalise
from crossover.tasks.options import Choice, Whole, refuse_unread

Splitter = Callable[..., SplitPanel]
"""`split_by_time` with the fold and the horizon that are asked for."""


@dataclass(frozen=True, kw_only=True)
class SeriesData:
    """A data set of the family: where it comes from and what suits it, as found on its validation split.

    `period` is the season in steps, if known.
    """

    name: str
    description: str
    load: Callable[[DataOptions, dict[str, Any], Splitter], SplitPanel]
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


def load_co2(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """Weekly CO2 at Mauna Loa, 1958-2001 (statsmodels); the weeks without a value are interpolated."""
    import statsmodels.api as sm

    _named("forecasting/co2", options)
    frame = sm.datasets.co2.load_pandas().data
    values_T = frame["co2"].to_numpy(dtype=np.float64)
    known_T = ~np.isnan(values_T)
    steps_T = np.arange(len(values_T))
    values_T = np.interp(steps_T, steps_T[known_T], values_T[known_T])
    note = f"{int((~known_T).sum())} of {len(values_T)} weeks have no value and are interpolated linearly."
    weeks = [f"{week:%Y-%m-%d}" for week in frame.index]
    return split(single_series(values_T[:, None], ("co2",), (note,), weeks))


def load_elnino(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """Monthly sea surface temperature of the eastern Pacific, 1950-2010 (statsmodels): 732 months."""
    import statsmodels.api as sm

    _named("forecasting/elnino", options)
    frame = sm.datasets.elnino.load_pandas().data
    values_T = frame.drop(columns="YEAR").to_numpy(dtype=np.float64).reshape(-1)
    months = [f"{year:.0f}-{month:02d}-01" for year in frame["YEAR"] for month in range(1, 13)]
    return split(single_series(values_T[:, None], ("temperature",), timestamps=months))


def load_etth1(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """ETTh1 with its usual split: 12, 4 and 4 months of 30 days by the hour."""
    _named("forecasting/etth1", options)
    hours = 30 * 24
    panel = read_panel(locate("forecasting/etth1"), Roles(time="date"))
    return split(panel, (12 * hours, 16 * hours, 20 * hours))


def load_weather(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """Daily minimum or maximum temperature of Melbourne, 1981-1990."""
    _named("forecasting/weather", options)
    file = locate("forecasting/weather") / f"daily-{settings['series']}-temperatures.csv"
    return split(read_panel(file, Roles(time="Date")))


def load_prices(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """Daily exchange rates of eight currencies, 1990-2016."""
    _named("forecasting/prices", options)
    return split(read_panel(locate("forecasting/prices"), Roles()))


def load_shops(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """Daily sales of shops, by rule: see `crossover.tasks.forecasting.shops`."""
    _named("forecasting/panel", options)
    return split(shops())


def load_own(options: DataOptions, settings: dict[str, Any], split: Splitter) -> SplitPanel:
    """A user's series: one file split by time, or files of a split (valid: the end of train where none is given)."""
    task = "forecasting"
    refuse_unread(task, options, reads=(*_OWN_FILES, *_COLUMNS, *_ANY, "split", "fill_gaps"))
    if options.split not in (None, "time"):
        raise ConfigError(f"task {task!r}: --split is {options.split!r}: a series is split by time, leave it out")
    roles = _roles(task, options)
    read = partial(read_panel, roles=roles, fill_gaps=options.fill_gaps)
    if options.data is not None:
        if options.train or options.valid or options.test:
            raise ConfigError(f"task {task!r}: give --data, or --train and --test, and not both")
        if options.data.startswith("hf://"):
            raise ConfigError(f"task {task!r}: a series is read from a file, not from {options.data!r}: download it")
        return split(read(Path(options.data)))
    if options.train is None or options.test is None:
        raise ConfigError(f"task {task!r} needs a series: give --data FILE --target COLUMN, or --train and --test")
    if options.backtest is not None:
        raise ConfigError(f"task {task!r}: --backtest cuts one file into folds: give it with --data, not --train")
    valid = read(options.valid) if options.valid else None
    return split_by_files(read(options.train), valid, read(options.test), (options.train, options.test))


def _roles(task: str, options: DataOptions) -> Roles:
    """The columns that the options name; ConfigError for one with two roles."""
    listed = {name: _names(getattr(options, name)) for name in ("target", "past", "future", "static")}
    single = {name: (value,) for name in ("id", "time") if (value := getattr(options, name)) is not None}
    owners: dict[str, str] = {}
    for role, names in {**single, **listed}.items():
        for name in names:
            if name in owners and {role, owners[name]} != {"id", "static"}:
                raise ConfigError(
                    f"task {task!r}: column {name!r} is given with --{owners[name]} and with --{role}: choose one"
                )
            owners[name] = role
    return Roles(
        targets=listed["target"],
        time=options.time,
        id=options.id,
        past=listed["past"],
        future=listed["future"],
        static=listed["static"],
    )


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


_ANY = ("horizon", "window", "quantiles", "backtest", "calendar")
_OWN_FILES = ("data", "train", "valid", "test")
_COLUMNS = ("target", "time", "id", "past", "future", "static")


def _named(task: str, options: DataOptions) -> None:
    """A data set with a name reads no files of the user's."""
    refuse_unread(task, options, reads=_ANY)


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
PANEL = SeriesData(
    name="forecasting/panel",
    description="daily sales of twelve shops by rule, with promotions and prices known ahead",
    load=load_shops,
    window=28,
    horizon=14,
    patch=7,
    period=7,
    embedded=True,
    budget="20s",
    defaults={"width": 64, "dropout": 0.1},
    recipes={"*": {"lr": 5e-3}},
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
