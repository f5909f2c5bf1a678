"""Windows over series as rows: views of one array, cut and normalised when a batch is asked for.

Shape suffixes: T steps of all series, one series after the other, C their channels, W window, H horizon, B rows, K
channels of a row (1 when channels are independent, else C), P segments of a window, R segments that cover the
horizon, S values of a segment, F features of the covariates at a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from crossover.errors import DataError
from crossover.models.encoder import Source
from crossover.tasks.base import Batch, Split
from crossover.tasks.forecasting.scaling import ScaledPanel

Normalise = Literal["window", "last", "train"]


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """How a series becomes rows.

    `patch` consecutive values are one step of the model, so a window has window / patch steps. `independent` makes
    each (window, channel) pair a row. `normalise` takes from each row its window's mean and deviation (``window``,
    as in RevIN, Kim et al. 2022), its last value (``last``, as in NLinear, Zeng et al. 2023), or nothing beyond the
    z-scores of train (``train``). `autoregressive` rows of train hold the horizon too, for teacher forcing; with
    `encoder` the window is read whole by an encoder, and only the horizon's steps are the model's own. `quantiles`
    are forecast instead of one value. `past` and `future` are the numbers of covariates of either kind, `static`
    that of features that are the same at every step; `crossover.tasks.forecasting.covariates` tells how a step holds
    them.
    """

    window: int
    horizon: int
    patch: int = 1
    independent: bool = True
    normalise: Normalise = "window"
    autoregressive: bool = False
    encoder: bool = False
    quantiles: tuple[float, ...] = ()
    past: int = 0
    future: int = 0
    static: int = 0

    @property
    def segments(self) -> int:
        """Steps of the model in a window."""
        return self.window // self.patch

    @property
    def horizon_segments(self) -> int:
        """Steps of the model that cover the horizon; the last one may reach beyond it."""
        return -(-self.horizon // self.patch)

    @property
    def appended(self) -> int:
        """Steps after the window that tell a direct head the covariates of the horizon."""
        return self.horizon_segments if self.future and not self.autoregressive else 0

    @property
    def features(self) -> int:
        """What covariates add to a step."""
        varying = self.past + self.future
        return self.patch * varying + self.static + (1 if varying else 0)

    @property
    def values_each(self) -> int:
        """Outputs for each value to forecast."""
        return len(self.quantiles) or 1


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """The rows [start, stop) of a series that belong to a split.

    A window of valid or test may reach back into the rows before `start`: their values were known by then.
    """

    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class WindowRows:
    """The windows of one split, with the same use as `Rows`; nothing is copied before `gather`.

    A window is named by its origin, the index in `data` of the first value to predict: the window ends before its
    origin and the horizon begins there. `series_N` is the number of the series of each window. Row w * C + c is
    channel c of window w when channels are independent, else row w is window w. `forced` rows are those that train
    an autoregressive head.
    """

    data: ScaledPanel
    windowing: Windowing
    origins_N: np.ndarray
    series_N: np.ndarray
    forced: bool = False

    def __len__(self) -> int:
        return self.windows * self.rows_per_window

    @property
    def windows(self) -> int:
        """Number of windows, N."""
        return len(self.origins_N)

    @property
    def rows_per_window(self) -> int:
        """C when channels are independent, else 1."""
        return self.data.values_TC.shape[1] if self.windowing.independent else 1

    @property
    def begins_N(self) -> np.ndarray:
        """The index at which the series of each window begins."""
        return self.data.begins_S[self.series_N]

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row: the same for all."""
        spec = self.windowing
        steps = (1 if spec.encoder else spec.segments) + spec.appended
        return np.full(len(self), steps + (spec.horizon_segments - 1 if self.forced else 0), dtype=np.int64)

    def windows_of(self, rows_B: np.ndarray) -> np.ndarray:
        """The window of each row."""
        return np.asarray(rows_B) // self.rows_per_window

    def cut(self, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The window [B, W, K] and the horizon [B, H, K] of these rows, in z-scores."""
        span = self.windowing.window + self.windowing.horizon
        view_NCL = np.lib.stride_tricks.sliding_window_view(self.data.values_TC, span, axis=0)
        starts_B = self.origins_N[self.windows_of(rows_B)] - self.windowing.window
        if self.windowing.independent:
            values_BLK = view_NCL[starts_B, np.asarray(rows_B) % self.rows_per_window][:, :, None]
        else:
            values_BLK = view_NCL[starts_B].swapaxes(1, 2)
        return values_BLK[:, : self.windowing.window], values_BLK[:, self.windowing.window :]

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows: inputs [B, P, S + F] normalised, targets [B, H, K] in z-scores.

        A direct head's inputs go on for R steps, without values, where there are covariates of the horizon. Forced
        rows have inputs [B, P + R - 1, S + F] and targets [B, (P + R - 1) * patch, K], one segment later than the
        inputs and NaN (not scored) outside the horizon. With an encoder the window is the source, and the inputs
        begin at its last segment.
        """
        past_BWK, future_BHK = self.cut(rows_B)
        shift_B1K, scale_B1K = normalisation(past_BWK, self.windowing.normalise)
        values_BLK, targets_BLK = past_BWK, future_BHK
        if self.forced:
            values_BLK, targets_BLK = self._forced(past_BWK, future_BHK)
        steps_BPS = self._segments((values_BLK - shift_B1K) / scale_B1K)
        spec, windows_B, source = self.windowing, self.windows_of(rows_B), None
        features_BPF = self._features(windows_B, lead=int(spec.autoregressive))
        if spec.encoder:
            read_BPS = steps_BPS[:, : spec.segments]
            read_BPF = self._features(windows_B, lead=0)[:, : spec.segments]
            read = torch.from_numpy(np.concatenate([read_BPS, read_BPF], axis=2))
            source = Source(read, torch.full((len(rows_B),), spec.segments), padded=False)
            steps_BPS, features_BPF = steps_BPS[:, spec.segments - 1 :], features_BPF[:, spec.segments - 1 :]
        steps_BPS = np.pad(steps_BPS, ((0, 0), (0, spec.appended), (0, 0)))
        own = steps_BPS.shape[1]
        extra = {"shift": shift_B1K, "scale": scale_B1K, "series": self.series_N[windows_B], **self._units(rows_B)}
        if self.data.count > 1:
            extra["first"] = (windows_B == 0) | (self.series_N[windows_B] != self.series_N[windows_B - 1])
        if spec.autoregressive:
            extra["ahead"] = features_BPF[:, own:]
        return Batch(
            inputs=torch.from_numpy(np.concatenate([steps_BPS, features_BPF[:, :own]], axis=2)),
            lengths_B=torch.from_numpy(self.lengths_N[rows_B]),
            targets=torch.from_numpy(np.ascontiguousarray(targets_BLK)),
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            extra={name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in extra.items()},
            source=source,
        )

    def as_rows(self, values_NHC: np.ndarray) -> np.ndarray:
        """Values [N, H, C, …] of N windows in the order of the rows: [N * C, H, 1, …] with independent channels."""
        if not self.windowing.independent:
            return values_NHC
        values_NCH = values_NHC.swapaxes(1, 2)
        return values_NCH.reshape(-1, *values_NCH.shape[2:])[:, :, None]

    def _forced(self, past_BWK: np.ndarray, future_BHK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        patch, horizon = self.windowing.patch, self.windowing.horizon
        forced = (self.windowing.horizon_segments - 1) * patch
        values_BLK = np.concatenate([past_BWK, future_BHK[:, :forced]], axis=1)
        targets_BLK = np.full_like(values_BLK, np.nan)
        # The output of the window's last segment is the first that lies in the horizon.
        begin = self.windowing.window - patch
        targets_BLK[:, begin : begin + horizon] = future_BHK
        return values_BLK, targets_BLK[:, begin if self.windowing.encoder else 0 :]

    def _units(self, rows_B: np.ndarray) -> dict[str, np.ndarray]:
        """Mean and deviation [B, 1, K] of each row's series, by which z-scores become values."""
        series_B = self.series_N[self.windows_of(rows_B)]
        found = {"mean": self.data.mean_SC[series_B], "deviation": self.data.deviation_SC[series_B]}
        if self.windowing.independent:
            channels_B1 = (np.asarray(rows_B) % self.rows_per_window)[:, None]
            found = {name: np.take_along_axis(values_BC, channels_B1, axis=1) for name, values_BC in found.items()}
        return {name: values_BK[:, None].astype(np.float32) for name, values_BK in found.items()}

    def _segments(self, values_BLK: np.ndarray) -> np.ndarray:
        size, length, channels = values_BLK.shape
        return values_BLK.reshape(size, length // self.windowing.patch, self.windowing.patch * channels)

    def _features(self, windows_B: np.ndarray, *, lead: int) -> np.ndarray:
        """Features [B, P + R - lead, F] of the covariates; see `Covariates.steps`."""
        spec = self.windowing
        if self.data.covariates is None:
            return np.empty((len(windows_B), spec.segments + spec.horizon_segments - lead, 0), dtype=np.float32)
        return self.data.covariates.steps(
            self.origins_N[windows_B],
            self.series_N[windows_B],
            window=spec.window,
            horizon=spec.horizon,
            patch=spec.patch,
            lead=lead,
        )


def restore_scores(outputs: Tensor, batch: Batch, quantiles: int = 0) -> Tensor:
    """Model outputs, normalised as their rows were, to z-scores of train [B, L, K], or [B, L, K, Q] of quantiles.

    Quantiles that cross are put in order.
    """
    shift_B1K, scale_B1K = batch.extra["shift"], batch.extra["scale"]
    channels = shift_B1K.shape[2]
    steps = math.prod(outputs.shape[1:]) // (channels * max(quantiles, 1))
    if not quantiles:
        return outputs.reshape(len(outputs), steps, channels) * scale_B1K + shift_B1K
    values_BLKQ = outputs.reshape(len(outputs), steps, channels, quantiles).sort(-1).values
    return values_BLKQ * scale_B1K[..., None] + shift_B1K[..., None]


def normalisation(past_BWK: np.ndarray, normalise: Normalise) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale [B, 1, K] of each row, from its window alone."""
    zeros_B1K = np.zeros_like(past_BWK[:, :1])
    if normalise == "window":
        deviation_B1K = np.sqrt(past_BWK.var(axis=1, keepdims=True) + np.float32(1e-5))
        return past_BWK.mean(axis=1, keepdims=True), deviation_B1K
    if normalise == "last":
        return past_BWK[:, -1:].copy(), zeros_B1K + 1
    return zeros_B1K, zeros_B1K + 1


def restore_units(outputs: Tensor, batch: Batch, quantiles: int = 0) -> np.ndarray:
    """Model outputs to values in the units of their series, shaped as `restore_scores` says."""
    return in_units(restore_scores(outputs, batch, quantiles), batch)


def in_units(scores: Tensor, batch: Batch) -> np.ndarray:
    """z-scores of train [B, L, K, …] to values in the units of their series, float64."""
    shape = (*batch.extra["mean"].shape, *([1] * (scores.ndim - 3)))
    mean, deviation = (batch.extra[name].reshape(shape).numpy(force=True) for name in ("mean", "deviation"))
    return scores.numpy(force=True).astype(np.float64) * deviation + mean


def origins_between(rows: SplitRows, windowing: Windowing) -> np.ndarray:
    """Origins of the windows of one series whose horizons lie in `rows`, as indices of that series; may be none."""
    return np.arange(max(rows.start, windowing.window), rows.stop - windowing.horizon + 1)


def windows_between(split: Split, data: ScaledPanel, rows: Sequence[SplitRows], windowing: Windowing) -> WindowRows:
    """The windows of every series whose horizons lie in its `rows`; a split without any is a DataError.

    No window reaches from one series into another.
    """
    found = [origins_between(part, windowing) for part in rows]
    sizes = [len(origins) for origins in found]
    if not sum(sizes):
        raise DataError(_too_short(split, rows, windowing))
    return WindowRows(
        data=data,
        windowing=windowing,
        origins_N=np.concatenate([origins + begin for origins, begin in zip(found, data.begins_S, strict=True)]),
        series_N=np.repeat(np.arange(len(rows)), sizes),
        forced=windowing.autoregressive and split == "train",
    )


def _too_short(split: Split, rows: Sequence[SplitRows], windowing: Windowing) -> str:
    example = f"window {windowing.window} + horizon {windowing.horizon}: shorten --window or --horizon, or give"
    given = [part for part in rows if part.stop > part.start]
    if len(given) != 1:
        series = f"none of its {len(given)} series holds"
        return f"the {split} split is too short: {series} an example of {example} longer ones"
    (part,) = given
    return (
        f"the {split} split is too short: its {part.stop - part.start} values, with {part.start} before them to read "
        f"from, hold no example of {example} a longer series"
    )
