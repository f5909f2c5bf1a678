"""What a forecast is scored by: squared error, or the pinball loss of quantiles, in z-scores of train.

Shape suffixes: B rows, H horizon, K channels of a row, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.tasks.base import Batch, Sums
from crossover.tasks.forecasting.windows import restore_scores
from crossover.tasks.objectives import Objective, SquaredError

_MOST_SERIES_TOLD = 200


class ForecastError(SquaredError):
    """Squared error in z-scores of train, whatever space the model works in: outputs are scaled back first.

    With several `series` their numbers go with the items, as the groups that a bootstrap's blocks stay in.
    """

    def __init__(self, series: Sequence[str] = ("",)) -> None:
        self.series = tuple(series)

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Squared error, summed over values."""
        return super().loss(restore_scores(outputs, batch), batch)

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Squared and absolute error of each row, and by step of the horizon."""
        return {**super().metrics(restore_scores(outputs, batch), batch), **_groups(batch, self.series)}

    def details(self, items: Sums) -> dict[str, Any]:
        """MSE at each step of the horizon, and of each series."""
        return {**super().details(items), **_by_series(items, self.series)}


class QuantileError:
    """The pinball loss of quantiles, max(q (y - f), (q - 1) (y - f)), in z-scores of train.

    It is summed over values and quantiles (Koenker and Bassett 1978); where y is missing nothing is scored. The
    median's absolute error and the coverage of each quantile and of the outermost two are told beside it.
    """

    def __init__(self, quantiles: Sequence[float], series: Sequence[str] = ("",)) -> None:
        self.quantiles = tuple(quantiles)
        self.series = tuple(series)

    def count(self, batch: Batch) -> int:
        """Values that are not missing, times quantiles."""
        return int((~batch.targets.isnan()).sum()) * len(self.quantiles)

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Pinball loss, summed; `label_smoothing` has no meaning here and is ignored."""
        return self._pinball(restore_scores(outputs, batch, len(self.quantiles)), batch.targets).sum()

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Pinball loss and the median's absolute error of each row, values below each quantile, by step the loss."""
        items = self.items(restore_scores(outputs, batch, len(self.quantiles)), batch.targets)
        return {**items, **_groups(batch, self.series)}

    def items(self, forecasts_BHKQ: Tensor, targets_BHK: Tensor) -> Sums:
        """The statistics of quantiles that are z-scores of train."""
        pinball_BHKQ = self._pinball(forecasts_BHKQ, targets_BHK)
        scored_BHK = ~targets_BHK.isnan()
        median = self.quantiles.index(0.5)
        errors_BHK = (forecasts_BHKQ[..., median] - targets_BHK).abs()
        below_BHKQ = (targets_BHK[..., None] <= forecasts_BHKQ) & scored_BHK[..., None]
        inside_BHK = below_BHKQ[..., -1] & (targets_BHK >= forecasts_BHKQ[..., 0])
        values = {
            "loss": pinball_BHKQ.sum((1, 2, 3)),
            "count": scored_BHK.sum((1, 2)) * len(self.quantiles),
            "absolute": errors_BHK.nan_to_num().sum((1, 2)),
            "below": below_BHKQ.sum((1, 2)),
            "inside": inside_BHK.sum((1, 2)),
            "loss_by_step": pinball_BHKQ.sum((2, 3)),
            "count_by_step": scored_BHK.sum(2) * len(self.quantiles),
        }
        return {name: value.numpy(force=True).astype(np.float64) for name, value in values.items()}

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Mean pinball loss over values and quantiles, MAE of the median, and shares of values below quantiles."""
        count = max(float(sums["count"]), 1e-12)
        values = count / len(self.quantiles)
        pinball = float(sums["loss"]) / count
        shares = {
            f"below_{quantile}": float(below) / values
            for quantile, below in zip(self.quantiles, np.atleast_1d(sums["below"]), strict=True)
        }
        coverage = {"coverage": float(sums["inside"]) / values} if len(self.quantiles) > 1 else {}
        return {"pinball": pinball, "mae": float(sums["absolute"]) / values, **coverage, **shares, "loss": pinball}

    def details(self, items: Sums) -> dict[str, Any]:
        """Pinball loss at each step of the horizon and of each series, and each quantile's share beside its own."""
        counts_H = np.maximum(items["count_by_step"].sum(0), 1e-12)
        scores = self.summarise({name: values.sum(0) for name, values in items.items()})
        return {
            "by_step": (items["loss_by_step"].sum(0) / counts_H).tolist(),
            "coverage": [{"quantile": q, "share": scores[f"below_{q}"]} for q in self.quantiles],
            **_by_series(items, self.series),
        }

    def _pinball(self, forecasts_BHKQ: Tensor, targets_BHK: Tensor) -> Tensor:
        """[B, H, K, Q], zero where the target is missing."""
        errors_BHKQ = targets_BHK[..., None] - forecasts_BHKQ
        levels_Q = torch.tensor(self.quantiles, dtype=errors_BHKQ.dtype, device=errors_BHKQ.device)
        pinball_BHKQ = torch.maximum(levels_Q * errors_BHKQ, (levels_Q - 1) * errors_BHKQ)
        return torch.where(targets_BHK.isnan()[..., None], torch.zeros_like(pinball_BHKQ), pinball_BHKQ)


def forecast_error(quantiles: Sequence[float], series: Sequence[str] = ("",)) -> Objective:
    """The objective of a forecast: pinball loss where quantiles are asked for, else squared error."""
    return QuantileError(quantiles, series) if quantiles else ForecastError(series)


def error_items(forecasts: np.ndarray, targets_BHK: np.ndarray, quantiles: Sequence[float] = ()) -> Sums:
    """The items of the objective for any predictor whose outputs are z-scores: what a baseline reports.

    `forecasts` are [B, H, K], or [B, H, K, Q] of quantiles.
    """
    targets = torch.from_numpy(np.ascontiguousarray(targets_BHK))
    outputs = torch.from_numpy(np.ascontiguousarray(forecasts)).to(targets.dtype)
    if quantiles:
        return QuantileError(quantiles).items(outputs, targets)
    rows = torch.arange(len(targets))
    batch = Batch(inputs=targets, lengths_B=torch.ones_like(rows), targets=targets, rows_B=rows)
    return SquaredError().metrics(outputs, batch)


def _groups(batch: Batch, series: Sequence[str]) -> Sums:
    return {"group": batch.extra["series"].numpy(force=True).astype(np.float64)} if len(series) > 1 else {}


def _by_series(items: Sums, series: Sequence[str]) -> dict[str, Any]:
    """The loss of each series that was scored, the worst first."""
    if len(series) < 2:
        return {}
    group_N = items["group"].astype(int)
    losses_S, counts_S = (np.bincount(group_N, items[name], minlength=len(series)) for name in ("loss", "count"))
    rows_S = np.bincount(group_N, minlength=len(series))
    scored = [(losses_S[s] / counts_S[s], int(rows_S[s]), name) for s, name in enumerate(series) if counts_S[s]]
    scored.sort(key=lambda entry: -entry[0])
    if len(scored) > _MOST_SERIES_TOLD:
        scored = scored[: _MOST_SERIES_TOLD // 2] + scored[-_MOST_SERIES_TOLD // 2 :]
    return {"by_series": [{"series": name, "score": float(score), "rows": rows} for score, rows, name in scored]}
