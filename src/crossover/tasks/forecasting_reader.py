"""The half of a forecasting task that needs no data, and that a saved run brings back: files in, values out.

Shape suffixes: see `crossover.tasks.windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.config import build
from crossover.data.series import read_series
from crossover.errors import ConfigError, DataError
from crossover.models.ports import Continuous, PerRow, PerStep
from crossover.tasks.base import Batch, TaskSpec
from crossover.tasks.windows import Windowing, WindowRows, restore_scores

FAMILY = "forecasting"
_SHOWN_VALUES = 6


class SeriesReader:
    """The last window of a series in, its forecast out, in the series' own units.

    `mean_C` and `deviation_C` are the statistics of train, by which the z-scores are formed.
    """

    def __init__(
        self,
        spec: TaskSpec,
        channels: tuple[str, ...],
        mean_C: np.ndarray,
        deviation_C: np.ndarray,
        windowing: Windowing,
    ) -> None:
        self.spec = spec
        self.channels = channels
        self.mean_C = mean_C
        self.deviation_C = deviation_C
        self.windowing = windowing

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: a series is read from a file."""
        raise DataError(f"task {self.spec.name!r} takes no text: give a file of the series with --file")

    def encode_file(self, path: Path) -> Batch:
        """The last window of a file with the same channels, without targets; DataError if it is too short."""
        series = read_series(path, targets=self.channels)
        window = self.windowing.window
        if len(series.values_TC) < window:
            raise DataError(f"{path} has {len(series.values_TC)} rows: a forecast reads the last {window}")
        missing_HC = np.full((self.windowing.horizon, len(self.channels)), np.nan, dtype=np.float32)
        values_TC = np.concatenate([self.scores(series.values_TC[-window:]), missing_HC])
        rows = WindowRows(values_TC=values_TC, windowing=self.windowing, first=window, windows=1)
        return rows.gather(np.arange(len(rows)))

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

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """One forecast per row, ``{"values": {channel: [H values]}}``, in the series' units.

        With independent channels a row is one channel of a window, else all of them.
        """
        values_BHK = self._restored(outputs, batch)
        return [
            {"values": dict(zip(self._names(row), values_BHK[i].T.tolist(), strict=True))}
            for i, row in enumerate(batch.rows_B.tolist())
        ]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The last values of a window, the first that followed, and the first predicted, in the series' units."""
        inputs_BLK = self._restored(batch.inputs, batch)[:, -_SHOWN_VALUES:]
        targets_BHK = self._units(batch.targets.numpy(force=True), batch)[:, :_SHOWN_VALUES]
        predictions_BHK = self._restored(outputs, batch)[:, :_SHOWN_VALUES]
        return [
            {
                "input": f"{', '.join(self._names(row))}: … {_numbers(inputs_BLK[i])}",
                "target": _numbers(targets_BHK[i]) + " …",
                "prediction": _numbers(predictions_BHK[i]) + " …",
            }
            for i, row in enumerate(batch.rows_B[:limit].tolist())
        ]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "channels": list(self.channels),
            "mean": self.mean_C.tolist(),
            "deviation": self.deviation_C.tolist(),
            "windowing": asdict(self.windowing),
        }

    def scores(self, values_TC: np.ndarray) -> np.ndarray:
        """Values in the series' units to z-scores of train, float32."""
        return ((values_TC - self.mean_C) / self.deviation_C).astype(np.float32)

    def _restored(self, outputs: Tensor, batch: Batch) -> np.ndarray:
        return self._units(restore_scores(outputs, batch).numpy(force=True), batch)

    def _units(self, scores_BLK: np.ndarray, batch: Batch) -> np.ndarray:
        """z-scores of train to the series' own units."""
        mean, deviation = self.mean_C, self.deviation_C
        if self.windowing.independent:
            channels_B = batch.rows_B.numpy(force=True) % len(self.channels)
            mean, deviation = mean[channels_B, None, None], deviation[channels_B, None, None]
        return scores_BLK * deviation + mean

    def _names(self, row: int) -> tuple[str, ...]:
        return (self.channels[row % len(self.channels)],) if self.windowing.independent else self.channels


def restore(artifacts: Mapping[str, Any]) -> SeriesReader:
    """The reader that `SeriesReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        windowing = build(Windowing, dict(artifacts["windowing"]), path="windowing")
        channels = tuple(str(name) for name in artifacts["channels"])
        mean_C, deviation_C = (np.array(artifacts[key], dtype=np.float64) for key in ("mean", "deviation"))
        spec = forecasting_spec(str(artifacts["name"]), len(channels), windowing)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise DataError(f"these are no artifacts of a forecast ({type(error).__name__}: {error})") from error
    return SeriesReader(spec, channels, mean_C, deviation_C, windowing)


def forecasting_spec(name: str, channels: int, windowing: Windowing, **fields: Any) -> TaskSpec:
    """The spec of a forecasting task; `fields` are further fields of `TaskSpec`, for a task that has its data."""
    rows_per_window, row_channels = (channels, 1) if windowing.independent else (1, channels)
    steps, decoder = windowing.segments, windowing.autoregressive
    segment = windowing.patch * row_channels
    direct = PerRow(size=windowing.horizon * row_channels, pool="flatten", steps=steps)
    spec: dict[str, Any] = {
        "name": name,
        "family": FAMILY,
        "description": f"{windowing.window} values of a series to the next {windowing.horizon}",
        "inputs": Continuous(channels=segment),
        "outputs": PerStep(size=segment) if decoder else direct,
        "objective": "forecasting",
        "metric": "mse",
        "higher_is_better": False,
        "causal": decoder,
        "margin": 0.03,
        "margin_kind": "relative",
        "further_metrics": ("mae",),
        "decoding": "rollout" if decoder else "none",
        "max_length": steps + (windowing.horizon_segments if decoder else 0),
        "item_block": windowing.horizon * rows_per_window,
        "unit": "values",
    }
    return TaskSpec(**{**spec, **fields})


def _numbers(values_LK: np.ndarray) -> str:
    """Values as short text; of several channels each step in brackets."""
    if values_LK.shape[1] == 1:
        return " ".join(f"{value:.4g}" for value in values_LK[:, 0])
    return " ".join("(" + " ".join(f"{value:.4g}" for value in step) + ")" for step in values_LK)
