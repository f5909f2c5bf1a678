"""The half of a forecasting task that needs no data, and that a saved run brings back: files in, values out.

Shape suffixes: see `crossover.tasks.forecasting.windows`.
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
from crossover.data.panel import Panel, Roles
from crossover.errors import ConfigError, DataError
from crossover.models.ports import Continuous, PerRow, PerStep, SourceTarget
from crossover.tasks.base import Batch, TaskSpec
from crossover.tasks.forecasting.ahead import Ahead, Tail, read_tails, with_future_values
from crossover.tasks.forecasting.scaling import Scaling
from crossover.tasks.forecasting.windows import Windowing, WindowRows, in_units, restore_scores, restore_units

FAMILY = "forecasting"
_SHOWN_VALUES = 6


class SeriesReader:
    """The last window of each series in, its forecast out, in the series' own units.

    `roles` are the columns that a file is read by, `scaling` the statistics of train, by which z-scores are formed,
    `tails` the last window of each series that training saw.
    """

    ids: tuple[str, ...] = ("",)
    """Of the series whose numbers batches carry; a task knows them."""

    def __init__(
        self, spec: TaskSpec, roles: Roles, scaling: Scaling, windowing: Windowing, tails: tuple[Tail, ...]
    ) -> None:
        self.spec = spec
        self.roles = roles
        self.scaling = scaling
        self.windowing = windowing
        self.tails = tails

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.roles.targets

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: a series is read from a file."""
        raise DataError(f"task {self.spec.name!r} takes no text: give a file of the series with --file")

    def encode_ahead(self, file: Path | None = None, future_values: Path | None = None) -> Ahead:
        """The last window of each series as a batch without targets: of those that training saw, or of a file's.

        `future_values` is a file of the future covariates at the steps ahead, which the file of the series may hold
        too, in rows without a value of any target. DataError where a series is too short, or a covariate is missing.
        """
        window, horizon = self.windowing.window, self.windowing.horizon
        if file is None and not self.tails:
            raise DataError(f"the run of task {self.spec.name!r} holds no series to go on with: give one with --file")
        tails = self.tails if file is None else read_tails(file, self.roles, window)
        tails = with_future_values(tails, self.roles, horizon, future_values)
        if self.scaling.calendar and any(tail.clock is None or not tail.clock.dated for tail in tails):
            raise DataError(
                f"the model reads the calendar ({', '.join(self.scaling.calendar)}), and {file} has no dates: give "
                f"them in a column{f' {self.roles.time!r}' if self.roles.time else ''}"
            )
        panel = Panel(series=tuple(tail.opened(horizon) for tail in tails), roles=self.roles)
        data, unknown = self.scaling.apply(panel, window)
        if unknown:
            raise DataError(unknown[0].removesuffix("; it counts as none of them."))
        rows = WindowRows(
            data=data, windowing=self.windowing, origins_N=data.begins_S + window, series_N=np.arange(len(tails))
        )
        per_series = rows.rows_per_window
        return Ahead(
            batch=rows.gather(np.arange(len(rows))),
            labels=[tail.label(horizon) for tail in tails for _ in range(per_series)],
        )

    def rollout(self, step: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
        """Forecasts [B, H, K] of an autoregressive head (or [B, H, K, Q]): each segment from those predicted before.

        `step` takes further inputs [B, t, S + F] and returns the outputs [B, t, S] (or S * Q), carrying the model's
        state. Of quantiles the median is what goes on.
        """
        spec, ahead_BRF = self.windowing, batch.extra["ahead"]
        segments = [step(batch.inputs)[:, -1:]]
        while len(segments) < spec.horizon_segments:
            said = segments[-1]
            if spec.quantiles:
                each = said.unflatten(-1, (-1, spec.values_each)).sort(-1).values
                said = each[..., spec.quantiles.index(0.5)]
            place = len(segments) - 1
            segments.append(step(torch.cat([said, ahead_BRF[:, place : place + 1]], dim=2)))
        rolled_BRS = torch.cat(segments, dim=1)
        shape = (spec.horizon_segments * spec.patch, batch.extra["shift"].shape[2])
        values = rolled_BRS.reshape(batch.size, *shape, *((spec.values_each,) if spec.quantiles else ()))
        return values[:, : spec.horizon]

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """One forecast per row, ``{"values": {channel: [H values]}}``, in the series' units.

        With independent channels a row is one channel of a window, else all of them. Of quantiles the values are the
        median, and ``{"quantiles": {channel: {"0.1": [H values]}}}`` stands beside them.
        """
        values, quantiles = self._forecasts(outputs, batch)
        told: list[dict[str, Any]] = []
        for i, row in enumerate(batch.rows_B.tolist()):
            names = self._names(row)
            told.append({"values": dict(zip(names, values[i].T.tolist(), strict=True))})
            if quantiles is not None:
                told[-1]["quantiles"] = {
                    name: {f"{q}": quantiles[i, :, c, n].tolist() for n, q in enumerate(self.windowing.quantiles)}
                    for c, name in enumerate(names)
                }
        return told

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, Any]]:
        """The last values of a window, the first that followed, and the first predicted, in the series' units.

        ``"forecast"`` holds the whole of them for a picture. Of a panel the first window of each series is shown.
        """
        past = in_units(self._window(batch), batch)
        targets = in_units(batch.targets, batch)
        values, quantiles = self._forecasts(outputs, batch)
        first = batch.extra.get("first", torch.ones(batch.size, dtype=torch.bool))
        shown = []
        for i in first.nonzero().flatten().tolist()[:limit]:
            names = ", ".join(self._names(int(batch.rows_B[i])))
            if len(self.ids) > 1:
                names = f"{self.ids[int(batch.extra['series'][i])]} {names}"
            picture = {
                "name": names,
                "past": past[i, :, 0].tolist(),
                "target": targets[i, :, 0].tolist(),
                "values": values[i, :, 0].tolist(),
                "quantiles": {}
                if quantiles is None
                else {f"{q}": quantiles[i, :, 0, n].tolist() for n, q in enumerate(self.windowing.quantiles)},
            }
            shown.append(
                {
                    "input": f"{names}: … {_numbers(past[i, -_SHOWN_VALUES:])}",
                    "target": _numbers(targets[i, :_SHOWN_VALUES]) + " …",
                    "prediction": _numbers(values[i, :_SHOWN_VALUES]) + " …",
                    "forecast": picture,
                }
            )
        return shown

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "channels": list(self.channels),
            "roles": {**asdict(self.roles), "targets": list(self.channels)},
            "windowing": asdict(self.windowing),
            **self.scaling.to_json(),
            "tails": [tail.to_json() for tail in self.tails],
        }

    def _forecasts(self, outputs: Tensor, batch: Batch) -> tuple[np.ndarray, np.ndarray | None]:
        """Values [B, H, K] in units, and where quantiles are forecast, which have them as median, [B, H, K, Q]."""
        spec = self.windowing
        if not spec.quantiles:
            return restore_units(outputs, batch), None
        quantiles = restore_units(outputs, batch, len(spec.quantiles))
        return quantiles[..., spec.quantiles.index(0.5)], quantiles

    def _window(self, batch: Batch) -> Tensor:
        """The window [B, W, K] of each row in z-scores."""
        spec, channels = self.windowing, batch.extra["shift"].shape[2]
        steps = batch.inputs if batch.source is None else batch.source.inputs
        return restore_scores(steps[:, : spec.segments, : spec.patch * channels], batch)

    def _names(self, row: int) -> tuple[str, ...]:
        return (self.channels[row % len(self.channels)],) if self.windowing.independent else self.channels


def restore(artifacts: Mapping[str, Any]) -> SeriesReader:
    """The reader that `SeriesReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        windowing = build(Windowing, dict(artifacts["windowing"]), path="windowing")
        channels = [str(name) for name in artifacts["channels"]]
        roles = build(Roles, dict(artifacts.get("roles", {"targets": channels})), path="roles")
        scaling = Scaling.from_json(artifacts)
        tails = tuple(Tail.from_json(tail) for tail in artifacts.get("tails", []))
        spec = forecasting_spec(str(artifacts["name"]), len(channels), windowing)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise DataError(f"these are no artifacts of a forecast ({type(error).__name__}: {error})") from error
    return SeriesReader(spec, roles, scaling, windowing, tails)


def forecasting_spec(name: str, channels: int, windowing: Windowing, **fields: Any) -> TaskSpec:
    """The spec of a forecasting task; `fields` are further fields of `TaskSpec`, for a task that has its data."""
    rows_per_window, row_channels = (channels, 1) if windowing.independent else (1, channels)
    steps, decoder = windowing.segments + windowing.appended, windowing.autoregressive
    segment = windowing.patch * row_channels
    inputs = Continuous(channels=segment + windowing.features)
    direct = PerRow(size=windowing.horizon * row_channels * windowing.values_each, pool="flatten", steps=steps)
    spec: dict[str, Any] = {
        "name": name,
        "family": FAMILY,
        "description": f"{windowing.window} values of a series to the next {windowing.horizon}",
        "inputs": SourceTarget(source=inputs, target=inputs) if windowing.encoder else inputs,
        "outputs": PerStep(size=segment * windowing.values_each) if decoder else direct,
        "objective": "forecasting",
        "metric": "pinball" if windowing.quantiles else "mse",
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
