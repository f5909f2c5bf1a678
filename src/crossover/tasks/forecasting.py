"""Forecasting: from a window of a series to its next values, for embedded, named and user series.

Everything is scored in z-scores of train, in which the series' channels weigh the same. With window 4, horizon 2,
patch 2 and independent channels, the series 1 2 3 4 5 6 7 gives two rows: steps (1, 2), (3, 4) with target 5 6, and
steps (2, 3), (4, 5) with target 6 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.options import DataOptions
from crossover.data.series import read_series
from crossover.errors import ConfigError, DataError
from crossover.models.ports import Continuous, PerRow, PerStep
from crossover.tasks.base import Baseline, Batch, Split, TaskSpec
from crossover.tasks.forecasting_baselines import detect_period, forecasting_baselines
from crossover.tasks.forecasting_data import CO2, ELNINO, ETTH1, OWN, PRICES, WEATHER, SeriesData, SplitSeries
from crossover.tasks.options import Choice, Whole, read_settings
from crossover.tasks.rows import RowTask
from crossover.tasks.windows import ForecastError, Windowing, WindowRows, restore, windows_between

_SHOWN_VALUES = 6
_LONGEST_AUTOMATIC_PATCH = 24

SETTINGS: Mapping[str, Choice | Whole] = {
    "channels": Choice(("independent", "joint"), "independent"),
    "normalise": Choice(("window", "last", "train"), "window"),
    "head": Choice(("direct", "autoregressive"), "direct"),
}


class Forecasting(RowTask):
    """Windows of a series to the values that follow; a row is a (window, channel) pair, or a window if joint."""

    splits: Mapping[Split, WindowRows]

    def __init__(self, spec: TaskSpec, data: SplitSeries, windowing: Windowing, period: int | None) -> None:
        """`period` None is looked for in train; raises DataError for a split without a single window."""
        train_TC = data.values_TC[data.rows["train"].start : data.rows["train"].stop]
        self.spec = spec
        self.windowing = windowing
        self.channels = data.channels
        self.mean_C, deviation_C = train_TC.mean(0), train_TC.std(0)
        self.deviation_C = np.where(deviation_C > 0, deviation_C, 1.0)
        self.period = detect_period(train_TC) if period is None else period
        values_TC = self._scores(data.values_TC)
        self.splits = {split: windows_between(split, values_TC, rows, windowing) for split, rows in data.rows.items()}
        self.objective = ForecastError()

    def rollout(self, step: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
        """Forecasts [B, H, K] of an autoregressive head: each segment is predicted from those predicted before.

        `step` takes further inputs [B, t, S] and returns the outputs [B, t, S], carrying the model's state.
        """
        segments = [step(batch.inputs)[:, -1:]]
        while len(segments) < self.windowing.horizon_segments:
            segments.append(step(segments[-1]))
        rolled_BRS = torch.cat(segments, dim=1)
        channels = batch.extra["shift"].shape[2]
        values_BLK = rolled_BRS.reshape(batch.size, self.windowing.horizon_segments * self.windowing.patch, channels)
        return values_BLK[:, : self.windowing.horizon]

    def baselines(self, split: Split) -> list[Baseline]:
        """Last value, seasonal naive where the series has a season, ridge, exponential smoothing at some origins."""
        return forecasting_baselines(self.splits, split, self.period)

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The last values of a window, the first that followed, and the first predicted, in the series' units."""
        inputs_BLK = self._restored(batch.inputs, batch)[:, -_SHOWN_VALUES:]
        targets_BHK = self._units(batch.targets.numpy(force=True), batch)[:, :_SHOWN_VALUES]
        predictions_BHK = self._restored(outputs, batch)[:, :_SHOWN_VALUES]
        return [
            {
                "input": f"{self._channel(row)}: … {_numbers(inputs_BLK[i])}",
                "target": _numbers(targets_BHK[i]) + " …",
                "prediction": _numbers(predictions_BHK[i]) + " …",
            }
            for i, row in enumerate(batch.rows_B[:limit].tolist())
        ]

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """One forecast per window, ``{"values": {channel: [H values]}}``, in the series' units.

        With independent channels, one per (window, channel) row.
        """
        values_BHK = self._restored(outputs, batch)
        return [
            {"values": dict(zip(self._names(row), values_BHK[i].T.tolist(), strict=True))}
            for i, row in enumerate(batch.rows_B.tolist())
        ]

    def encode_file(self, path: Path) -> Batch:
        """The last window of a file with the same channels, without targets; DataError if it is too short."""
        series = read_series(path, targets=self.channels)
        window = self.windowing.window
        if len(series.values_TC) < window:
            raise DataError(f"{path} has {len(series.values_TC)} rows: a forecast reads the last {window}")
        missing_HC = np.full((self.windowing.horizon, len(self.channels)), np.nan, dtype=np.float32)
        values_TC = np.concatenate([self._scores(series.values_TC[-window:]), missing_HC])
        rows = WindowRows(values_TC=values_TC, windowing=self.windowing, first=window, windows=1)
        return rows.gather(np.arange(len(rows)))

    def artifacts(self) -> dict[str, Any]:
        """Channels, the statistics of train, and how windows are cut."""
        return {
            "channels": list(self.channels),
            "mean": self.mean_C.tolist(),
            "deviation": self.deviation_C.tolist(),
            "window": self.windowing.window,
            "horizon": self.windowing.horizon,
            "patch": self.windowing.patch,
            "independent": self.windowing.independent,
            "normalise": self.windowing.normalise,
            "autoregressive": self.windowing.autoregressive,
        }

    def _scores(self, values_TC: np.ndarray) -> np.ndarray:
        return ((values_TC - self.mean_C) / self.deviation_C).astype(np.float32)

    def _restored(self, outputs: Tensor, batch: Batch) -> np.ndarray:
        return self._units(restore(outputs, batch).numpy(force=True), batch)

    def _units(self, scores_BLK: np.ndarray, batch: Batch) -> np.ndarray:
        """z-scores of train to the series' own units."""
        mean, deviation = self.mean_C, self.deviation_C
        if self.windowing.independent:
            channels_B = batch.rows_B.numpy(force=True) % len(self.channels)
            mean, deviation = mean[channels_B, None, None], deviation[channels_B, None, None]
        return scores_BLK * deviation + mean

    def _names(self, row: int) -> tuple[str, ...]:
        return (self.channels[row % len(self.channels)],) if self.windowing.independent else self.channels

    def _channel(self, row: int) -> str:
        return ", ".join(self._names(row))


def build_forecasting(data: SeriesData, options: DataOptions) -> Forecasting:
    """The task of a data set for a user's options; ConfigError and DataError as `DataOptions` says."""
    name = data.name
    window, horizon = options.window or data.window, options.horizon or data.horizon
    for flag, value in (("--window", options.window), ("--horizon", options.horizon)):
        if value is not None and value < 1:
            raise ConfigError(f"task {name!r}: {flag} is {value}: give a whole number from 1 up")
    patch = Whole(data.patch if window == data.window else automatic_patch(window))
    settings = read_settings(name, options.settings, {**SETTINGS, "patch": patch, **data.settings})
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
    return Forecasting(_spec(data, series, windowing), series, windowing, data.period)


def automatic_patch(window: int) -> int:
    """The largest divisor of the window that is at most 24 and leaves at least two segments where it can."""
    most = min(_LONGEST_AUTOMATIC_PATCH, max(window // 2, 1))
    return next(size for size in range(most, 0, -1) if window % size == 0)


def _spec(data: SeriesData, series: SplitSeries, windowing: Windowing) -> TaskSpec:
    rows_per_window = len(series.channels) if windowing.independent else 1
    row_channels = 1 if windowing.independent else len(series.channels)
    steps, decoder = windowing.segments, windowing.autoregressive
    size = windowing.horizon * row_channels
    segment = windowing.patch * row_channels
    return TaskSpec(
        name=data.name,
        family="forecasting",
        description=f"{data.description}: {windowing.window} values to the next {windowing.horizon}",
        inputs=Continuous(channels=segment),
        outputs=PerStep(size=segment) if decoder else PerRow(size=size, pool="flatten", steps=steps),
        objective="forecasting",
        metric="mse",
        higher_is_better=False,
        causal=decoder,
        margin=0.03,
        margin_kind="relative",
        decoding="rollout" if decoder else "none",
        budget=data.budget,
        batch_rows=data.batch_rows,
        max_length=steps + (windowing.horizon_segments if decoder else 0),
        item_block=windowing.horizon * rows_per_window,
        embedded=data.embedded,
        unit="values",
        defaults=data.defaults,
        recipes=data.recipes,
        references=data.references,
        notes=(*data.notes, *series.notes),
    )


co2 = partial(build_forecasting, CO2)
elnino = partial(build_forecasting, ELNINO)
etth1 = partial(build_forecasting, ETTH1)
weather = partial(build_forecasting, WEATHER)
prices = partial(build_forecasting, PRICES)
own = partial(build_forecasting, OWN)


def _numbers(values_LK: np.ndarray) -> str:
    """Values as short text; of several channels each step in brackets."""
    if values_LK.shape[1] == 1:
        return " ".join(f"{value:.4g}" for value in values_LK[:, 0])
    return " ".join("(" + " ".join(f"{value:.4g}" for value in step) + ")" for step in values_LK)
