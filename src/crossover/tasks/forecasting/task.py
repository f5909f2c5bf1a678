"""Forecasting: from a window of a series to its next values, for embedded, named and user series.

Everything is scored in z-scores of train, in which the series' channels weigh the same. With window 4, horizon 2,
patch 2 and independent channels, the series 1 2 3 4 5 6 7 gives two rows: steps (1, 2), (3, 4) with target 5 6, and
steps (2, 3), (4, 5) with target 6 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from crossover.data.calendar import calendar_parts
from crossover.data.options import DataOptions
from crossover.data.panel import Panel
from crossover.data.timestamps import are_numbers
from crossover.errors import ConfigError
from crossover.tasks.base import Baseline, Split, TaskSpec
from crossover.tasks.forecasting.ahead import tails_of
from crossover.tasks.forecasting.baselines import common_period, forecasting_baselines
from crossover.tasks.forecasting.data import CO2, ELNINO, ETTH1, OWN, PANEL, PRICES, WEATHER, SeriesData
from crossover.tasks.forecasting.errors import forecast_error
from crossover.tasks.forecasting.reader import SeriesReader, forecasting_spec
from crossover.tasks.forecasting.scaling import Scaling
from crossover.tasks.forecasting.splits import Fold, SplitPanel, scaling_of, split_by_time, split_windows
from crossover.tasks.forecasting.windows import Windowing, WindowRows
from crossover.tasks.options import Choice, Whole, read_settings
from crossover.tasks.rows import RowTask

_LONGEST_AUTOMATIC_PATCH = 24

SETTINGS = {
    "channels": Choice(("independent", "joint"), "independent"),
    "head": Choice(("direct", "autoregressive", "seq2seq"), "direct"),
}
"""The settings whose defaults are the same for every data set."""


class Forecasting(SeriesReader, RowTask):
    """Windows of series to the values that follow; a row is a (window, channel) pair, or a window if joint."""

    splits: Mapping[Split, WindowRows]

    def __init__(
        self,
        spec: TaskSpec,
        data: SplitPanel,
        scaling: Scaling,
        splits: Mapping[Split, WindowRows],
        period: int | None,
    ) -> None:
        """`period` None is looked for in train."""
        windowing = splits["train"].windowing
        super().__init__(spec, data.panel.roles, scaling, windowing, tails_of(data.panel, windowing.window))
        self.ids = data.ids
        self.splits = splits
        self.objective = forecast_error(windowing.quantiles, data.ids)
        self.period = period
        if period is None:
            parts = zip(data.panel.series, data.rows["train"], strict=True)
            self.period = common_period([s.values_TC[r.start : r.stop] for s, r in parts if r.stop > r.start])

    def baselines(self, split: Split) -> list[Baseline]:
        """Last value, seasonal naive where the series has a season, ridge, exponential smoothing at some origins."""
        return forecasting_baselines(self.splits, split, self.period)


def build_forecasting(data: SeriesData, options: DataOptions) -> Forecasting:
    """The task of a data set for a user's options; ConfigError and DataError as `DataOptions` says."""
    name = data.name
    window, horizon = options.window or data.window, options.horizon or data.horizon
    for flag, value in (
        ("--window", options.window),
        ("--horizon", options.horizon),
        ("--backtest", options.backtest),
    ):
        if value is not None and value < 1:
            raise ConfigError(f"task {name!r}: {flag} is {value}: give a whole number from 1 up")
    settings = read_settings(name, options.settings, known_settings(data, window, options.backtest))
    if window % settings["patch"]:
        raise ConfigError(
            f"task {name!r}: a window of {window} does not divide into segments of {settings['patch']}: choose a "
            f"patch that divides it, such as {automatic_patch(window)}"
        )
    quantiles = read_quantiles(name, options.quantiles)
    found = data.load(options, settings, partial(split_by_time, fold=_fold(name, options, settings), horizon=horizon))
    calendar = read_calendar(name, found.panel) if options.calendar else ()
    scaling = scaling_of(found, calendar)
    windowing = Windowing(
        window=window,
        horizon=horizon,
        patch=settings["patch"],
        independent=settings["channels"] == "independent",
        normalise=settings["normalise"],
        autoregressive=settings["head"] != "direct",
        encoder=settings["head"] == "seq2seq",
        quantiles=quantiles,
        past=scaling.past.shape[1],
        future=scaling.future.shape[1],
        static=scaling.static_size,
    )
    splits, notes = split_windows(found, scaling, windowing)
    spec = forecasting_spec(
        name,
        len(found.channels),
        windowing,
        description=f"{data.description}: {window} values to the next {horizon}",
        budget=data.budget,
        batch_rows=data.batch_rows,
        embedded=data.embedded,
        defaults=data.defaults,
        recipes=data.recipes,
        references=() if quantiles or options.backtest else data.references,
        notes=(_told(settings), *_told_of(calendar), *data.notes, *found.notes, *notes),
    )
    return Forecasting(spec, found, scaling, splits, data.period)


def read_quantiles(task: str, given: str | None) -> tuple[float, ...]:
    """``"0.1,0.5,0.9"`` in ascending order; anything that is no set of quantiles with the median is a ConfigError."""
    if given is None:
        return ()
    try:
        quantiles = sorted({float(part) for part in given.split(",")})
    except ValueError:
        quantiles = []
    if not quantiles or not all(0 < quantile < 1 for quantile in quantiles):
        raise ConfigError(f"task {task!r}: --quantiles is {given!r}: give numbers between 0 and 1, as in 0.1,0.5,0.9")
    if 0.5 not in quantiles:
        raise ConfigError(
            f"task {task!r}: --quantiles is {given!r}, without the median, which is the forecast itself: add 0.5"
        )
    return tuple(quantiles)


def read_calendar(task: str, panel: Panel) -> tuple[str, ...]:
    """The parts of the calendar that the steps go through; ConfigError where they have no dates, or no part."""
    undated = [series for series in panel.series if series.timestamps is None or are_numbers(series.timestamps)]
    if undated:
        of = f" of series {undated[0].id!r}" if undated[0].id else ""
        raise ConfigError(
            f"task {task!r}: --calendar is read from dates, and the rows{of} have none: name their column with "
            "--time, or leave --calendar out"
        )
    parts = calendar_parts([series.seconds_L for series in panel.series if series.seconds_L is not None])
    if not parts:
        raise ConfigError(f"task {task!r}: --calendar has nothing to tell of steps of a year or more: leave it out")
    return parts


def _fold(task: str, options: DataOptions, settings: Mapping[str, Any]) -> Fold | None:
    if options.backtest is None:
        return None
    if settings["fold"] >= options.backtest:
        raise ConfigError(
            f"task {task!r}: setting fold={settings['fold']} with --backtest {options.backtest}: give a number from "
            f"0 to {options.backtest - 1}"
        )
    return Fold(index=settings["fold"], count=options.backtest)


def _told(settings: Mapping[str, Any]) -> str:
    """What decides how a window becomes steps, under the names that ``--set`` takes."""
    names: tuple[str, ...] = ("patch", "channels", "head", "normalise")
    names += ("fold",) if "fold" in settings else ()
    named = ", ".join(f"task.{name}={settings[name]}" for name in names)
    return f"Settings of the task: {named}."


def _told_of(calendar: Sequence[str]) -> tuple[str, ...]:
    return (f"Read from the timestamps and known ahead: {', '.join(calendar)}.",) if calendar else ()


def known_settings(data: SeriesData, window: int, backtest: int | None = None) -> dict[str, Choice | Whole]:
    """The settings of the family, with what suits this data set as defaults."""
    return {
        **SETTINGS,
        "normalise": Choice(("window", "last", "train"), data.normalise),
        "patch": Whole(data.patch if window == data.window else automatic_patch(window)),
        **({"fold": Whole(backtest - 1, minimum=0)} if backtest else {}),
        **data.settings,
    }


def automatic_patch(window: int) -> int:
    """The largest divisor of the window that is at most 24 and leaves at least two segments where it can."""
    most = min(_LONGEST_AUTOMATIC_PATCH, max(window // 2, 1))
    return next(size for size in range(most, 0, -1) if window % size == 0)


co2 = partial(build_forecasting, CO2)
elnino = partial(build_forecasting, ELNINO)
panel = partial(build_forecasting, PANEL)
etth1 = partial(build_forecasting, ETTH1)
weather = partial(build_forecasting, WEATHER)
prices = partial(build_forecasting, PRICES)
own = partial(build_forecasting, OWN)
