"""Forecasting: from a window of a series to its next values, for embedded, named and user series.

Everything is scored in z-scores of train, in which the series' channels weigh the same. With window 4, horizon 2,
patch 2 and independent channels, the series 1 2 3 4 5 6 7 gives two rows: steps (1, 2), (3, 4) with target 5 6, and
steps (2, 3), (4, 5) with target 6 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.tasks.base import Baseline, Split, TaskSpec
from crossover.tasks.forecasting_baselines import detect_period, forecasting_baselines
from crossover.tasks.forecasting_data import CO2, ELNINO, ETTH1, OWN, PRICES, WEATHER, SeriesData, SplitSeries
from crossover.tasks.forecasting_reader import SeriesReader, forecasting_spec
from crossover.tasks.options import Choice, Whole, read_settings
from crossover.tasks.rows import RowTask
from crossover.tasks.windows import ForecastError, Windowing, WindowRows, windows_between

_LONGEST_AUTOMATIC_PATCH = 24


class Forecasting(SeriesReader, RowTask):
    """Windows of a series to the values that follow; a row is a (window, channel) pair, or a window if joint."""

    splits: Mapping[Split, WindowRows]

    def __init__(self, spec: TaskSpec, data: SplitSeries, windowing: Windowing, period: int | None) -> None:
        """`period` None is looked for in train; raises DataError for a split without a single window."""
        train_TC = data.values_TC[data.rows["train"].start : data.rows["train"].stop]
        mean_C, deviation_C = train_TC.mean(0), train_TC.std(0)
        deviation_C = np.where(deviation_C > 0, deviation_C, 1.0)
        super().__init__(spec, data.channels, mean_C, deviation_C, windowing)
        self.period = detect_period(train_TC) if period is None else period
        values_TC = self.scores(data.values_TC)
        self.splits = {split: windows_between(split, values_TC, rows, windowing) for split, rows in data.rows.items()}
        self.objective = ForecastError()

    def baselines(self, split: Split) -> list[Baseline]:
        """Last value, seasonal naive where the series has a season, ridge, exponential smoothing at some origins."""
        return forecasting_baselines(self.splits, split, self.period)


def build_forecasting(data: SeriesData, options: DataOptions) -> Forecasting:
    """The task of a data set for a user's options; ConfigError and DataError as `DataOptions` says."""
    name = data.name
    window, horizon = options.window or data.window, options.horizon or data.horizon
    for flag, value in (("--window", options.window), ("--horizon", options.horizon)):
        if value is not None and value < 1:
            raise ConfigError(f"task {name!r}: {flag} is {value}: give a whole number from 1 up")
    settings = read_settings(name, options.settings, known_settings(data, window))
    if window % settings["patch"]:
        raise ConfigError(
            f"task {name!r}: a window of {window} does not divide into segments of {settings['patch']}: choose a "
            f"patch that divides it, such as {automatic_patch(window)}"
        )
    windowing = Windowing(
        window=window,
        horizon=horizon,
        patch=settings["patch"],
        independent=settings["channels"] == "independent",
        normalise=settings["normalise"],
        autoregressive=settings["head"] == "autoregressive",
    )
    series = data.load(options, settings)
    spec = forecasting_spec(
        name,
        len(series.channels),
        windowing,
        description=f"{data.description}: {window} values to the next {horizon}",
        budget=data.budget,
        batch_rows=data.batch_rows,
        embedded=data.embedded,
        defaults=data.defaults,
        recipes=data.recipes,
        references=data.references,
        notes=(_told(settings), *data.notes, *series.notes),
    )
    return Forecasting(spec, series, windowing, data.period)


def _told(settings: Mapping[str, Any]) -> str:
    """What decides how a window becomes steps, under the names that ``--set`` takes."""
    names = ("patch", "channels", "head", "normalise")
    named = ", ".join(f"task.{name}={settings[name]}" for name in names)
    return f"Settings of the task: {named}."


def known_settings(data: SeriesData, window: int) -> dict[str, Choice | Whole]:
    """The settings of the family, with what suits this data set as defaults."""
    return {
        "channels": Choice(("independent", "joint"), "independent"),
        "normalise": Choice(("window", "last", "train"), data.normalise),
        "head": Choice(("direct", "autoregressive"), "direct"),
        "patch": Whole(data.patch if window == data.window else automatic_patch(window)),
        **data.settings,
    }


def automatic_patch(window: int) -> int:
    """The largest divisor of the window that is at most 24 and leaves at least two segments where it can."""
    most = min(_LONGEST_AUTOMATIC_PATCH, max(window // 2, 1))
    return next(size for size in range(most, 0, -1) if window % size == 0)


co2 = partial(build_forecasting, CO2)
elnino = partial(build_forecasting, ELNINO)
etth1 = partial(build_forecasting, ETTH1)
weather = partial(build_forecasting, WEATHER)
prices = partial(build_forecasting, PRICES)
own = partial(build_forecasting, OWN)
