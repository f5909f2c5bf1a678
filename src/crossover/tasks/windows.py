"""Windows over a series as rows: views of one array, cut and normalised when a batch is asked for.

Shape suffixes: T steps of the series, C its channels, W window, H horizon, B rows, K channels of a row (1 when
channels are independent, else C), P segments of a window, S values of a segment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from crossover.errors import DataError
from crossover.tasks.base import Batch, Split, Sums
from crossover.tasks.objectives import SquaredError

Normalise = Literal["window", "last", "train"]


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """How a series becomes rows.

    `patch` consecutive values are one step of the model, so a window has window / patch steps. `independent` makes
    each (window, channel) pair a row. `normalise` takes from each row its window's mean and deviation (``window``,
    as in RevIN, Kim et al. 2022), its last value (``last``, as in NLinear, Zeng et al. 2023), or nothing beyond the
    z-scores of train (``train``). `autoregressive` rows of train hold the horizon too, for teacher forcing.
    """

    window: int
    horizon: int
    patch: int = 1
    independent: bool = True
    normalise: Normalise = "window"
    autoregressive: bool = False

    @property
    def segments(self) -> int:
        """Steps of the model in a window."""
        return self.window // self.patch

    @property
    def horizon_segments(self) -> int:
        """Steps of the model that cover the horizon; the last one may reach beyond it."""
        return -(-self.horizon // self.patch)


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """The rows [start, stop) of a series that belong to a split, and from where on its windows may read.

    A window of valid or test may reach back into the rows before `start`: their values were known by then.
    """

    readable: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class WindowRows:
    """The windows of one split, with the same use as `Rows`; nothing is copied before `gather`.

    `values_TC` is the series in z-scores of train, float32. A window is named by its origin, the index of the first
    value to predict: origins run from `first` to `first + windows - 1`, the window ends before its origin and the
    horizon begins there. Row w * C + c is channel c of window w when channels are independent, else row w is
    window w. `forced` rows are those that train an autoregressive head.
    """

    values_TC: np.ndarray
    windowing: Windowing
    first: int
    windows: int
    forced: bool = False

    def __len__(self) -> int:
        return self.windows * self.rows_per_window

    @property
    def rows_per_window(self) -> int:
        """C when channels are independent, else 1."""
        return self.values_TC.shape[1] if self.windowing.independent else 1

    @property
    def origins_N(self) -> np.ndarray:
        """Index in the series of the first predicted value of each window."""
        return np.arange(self.first, self.first + self.windows)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row: the same for all."""
        steps = self.windowing.segments + (self.windowing.horizon_segments - 1 if self.forced else 0)
        return np.full(len(self), steps, dtype=np.int64)

    def cut(self, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The window [B, W, K] and the horizon [B, H, K] of these rows, in z-scores."""
        span = self.windowing.window + self.windowing.horizon
        view_NCL = np.lib.stride_tricks.sliding_window_view(self.values_TC, span, axis=0)
        starts_B = np.asarray(rows_B) // self.rows_per_window + self.first - self.windowing.window
        if self.windowing.independent:
            values_BLK = view_NCL[starts_B, np.asarray(rows_B) % self.rows_per_window][:, :, None]
        else:
            values_BLK = view_NCL[starts_B].swapaxes(1, 2)
        return values_BLK[:, : self.windowing.window], values_BLK[:, self.windowing.window :]

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows: inputs [B, P, S] normalised, targets [B, H, K] in z-scores.

        Forced rows have inputs [B, P + R - 1, S] and targets [B, (P + R - 1) * patch, K], one segment later than the
        inputs and NaN (not scored) outside the horizon, R being the number of segments that cover the horizon.
        """
        past_BWK, future_BHK = self.cut(rows_B)
        shift_B1K, scale_B1K = normalisation(past_BWK, self.windowing.normalise)
        values_BLK, targets_BLK = past_BWK, future_BHK
        if self.forced:
            values_BLK, targets_BLK = self._forced(past_BWK, future_BHK)
        inputs_BLK = (values_BLK - shift_B1K) / scale_B1K
        steps, patch = values_BLK.shape[1] // self.windowing.patch, self.windowing.patch
        return Batch(
            inputs=torch.from_numpy(inputs_BLK.reshape(len(rows_B), steps, patch * values_BLK.shape[2])),
            lengths_B=torch.from_numpy(self.lengths_N[rows_B]),
            targets=torch.from_numpy(np.ascontiguousarray(targets_BLK)),
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            extra={"shift": torch.from_numpy(shift_B1K), "scale": torch.from_numpy(scale_B1K)},
        )

    def as_rows(self, values_NHC: np.ndarray) -> np.ndarray:
        """Values [N, H, C] of N windows in the order of the rows: [N * C, H, 1] when channels are independent."""
        if not self.windowing.independent:
            return values_NHC
        return values_NHC.swapaxes(1, 2).reshape(-1, values_NHC.shape[1], 1)

    def _forced(self, past_BWK: np.ndarray, future_BHK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        patch, horizon = self.windowing.patch, self.windowing.horizon
        forced = (self.windowing.horizon_segments - 1) * patch
        values_BLK = np.concatenate([past_BWK, future_BHK[:, :forced]], axis=1)
        targets_BLK = np.full_like(values_BLK, np.nan)
        # The output of the window's last segment is the first that lies in the horizon.
        begin = self.windowing.window - patch
        targets_BLK[:, begin : begin + horizon] = future_BHK
        return values_BLK, targets_BLK


class ForecastError(SquaredError):
    """Squared error in z-scores of train, whatever space the model works in: outputs are scaled back first."""

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Squared error, summed over values."""
        return super().loss(restore_scores(outputs, batch), batch)

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Squared and absolute error of each row, and by step of the horizon."""
        return super().metrics(restore_scores(outputs, batch), batch)


def restore_scores(outputs: Tensor, batch: Batch) -> Tensor:
    """Model outputs, normalised as their rows were, to z-scores of train [B, L, K]."""
    shift_B1K, scale_B1K = batch.extra["shift"], batch.extra["scale"]
    channels = shift_B1K.shape[2]
    values_BLK = outputs.reshape(len(outputs), math.prod(outputs.shape[1:]) // channels, channels)
    return values_BLK * scale_B1K + shift_B1K


def normalisation(past_BWK: np.ndarray, normalise: Normalise) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale [B, 1, K] of each row, from its window alone."""
    zeros_B1K = np.zeros_like(past_BWK[:, :1])
    if normalise == "window":
        deviation_B1K = np.sqrt(past_BWK.var(axis=1, keepdims=True) + np.float32(1e-5))
        return past_BWK.mean(axis=1, keepdims=True), deviation_B1K
    if normalise == "last":
        return past_BWK[:, -1:].copy(), zeros_B1K + 1
    return zeros_B1K, zeros_B1K + 1


def windows_between(split: Split, values_TC: np.ndarray, rows: SplitRows, windowing: Windowing) -> WindowRows:
    """The windows whose horizons lie in `rows`; a split too short for one is a DataError with the numbers."""
    readable, start, stop = rows.readable, rows.start, rows.stop
    first = max(start, readable + windowing.window)
    windows = stop - windowing.horizon - first + 1
    if windows < 1:
        raise DataError(
            f"the {split} split is too short: its {stop - start} values, with {start - readable} before them to read "
            f"from, hold no example of window {windowing.window} + horizon {windowing.horizon}: shorten --window or "
            f"--horizon, or give a longer series"
        )
    forced = windowing.autoregressive and split == "train"
    return WindowRows(values_TC=values_TC, windowing=windowing, first=first, windows=windows, forced=forced)


def error_items(predictions_BHK: np.ndarray, targets_BHK: np.ndarray) -> Sums:
    """The items of `ForecastError` for any predictor whose outputs are z-scores: what a baseline reports."""
    targets = torch.from_numpy(np.ascontiguousarray(targets_BHK))
    rows = torch.arange(len(targets))
    batch = Batch(inputs=targets, lengths_B=torch.ones_like(rows), targets=targets, rows_B=rows)
    return SquaredError().metrics(torch.from_numpy(np.ascontiguousarray(predictions_BHK)).to(targets.dtype), batch)
