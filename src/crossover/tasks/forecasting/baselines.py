"""Simple forecasters to hold models against: last value, seasonal, ridge on the window, exponential smoothing.

All work on series in z-scores of train, [T, C], and predict from an origin, the index of the first value ahead;
none reads a value at or after its origin. Where quantiles are asked for, each forecast is spread by the quantiles of
its own errors on valid, step by step of the horizon. Shape suffixes: N windows, W window, H horizon, C channels, Q
quantiles.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from time import perf_counter
from typing import Literal

import numpy as np

from crossover.tasks.base import Baseline, Split, Sums
from crossover.tasks.forecasting.errors import error_items, forecast_error
from crossover.tasks.forecasting.ridge import CHUNK, choose_ridge, targets_of
from crossover.tasks.forecasting.windows import WindowRows

Forecaster = Callable[[WindowRows, np.ndarray], np.ndarray]
"""Rows and the numbers [N] of some of their windows to forecasts [N, H, C]."""

MOST_SMOOTHING_FITS = 56
LONGEST_SMOOTHED_PERIOD = 60
"""Beyond this the seasonal state is too large to be estimated from a few cycles."""

_SERIES_WITH_A_SAY = 20
"""Of a panel, so many of the longest series decide on its period."""


def forecasting_baselines(splits: Mapping[Split, WindowRows], split: Split, period: int | None) -> list[Baseline]:
    """Every baseline, fitted on train, its strength chosen on valid, scored on `split`.

    `period` is the number of steps of a season; None leaves the seasonal forecast out. Exponential smoothing reads
    no covariates and gives no quantiles, and is left out where quantiles are asked for.
    """
    rows = splits[split]
    found = [_scored("last value", "trivial", splits, split, _last_value, 0.0)]
    if period is not None and all(int((s.origins_N - s.begins_N).min()) >= period for s in (rows, splits["valid"])):
        name = f"seasonal naive (period {period})"
        found.append(_scored(name, "trivial", splits, split, _seasonal(period), 0.0))
    began = perf_counter()
    ridge = choose_ridge(splits["train"], splits["valid"])
    found.append(_scored(ridge.name, "strong", splits, split, ridge.forecast, perf_counter() - began, ridge.size))
    if not rows.windowing.quantiles:
        found.append(smoothing_baseline(rows, period))
    return found


def last_value(values_TC: np.ndarray, origins_N: np.ndarray, horizon: int) -> np.ndarray:
    """The last value before each origin, for the whole horizon."""
    return np.repeat(values_TC[origins_N - 1][:, None], horizon, axis=1)


def seasonal_naive(values_TC: np.ndarray, origins_N: np.ndarray, horizon: int, period: int) -> np.ndarray:
    """The value one season before, or as many seasons before as it takes to lie before the origin."""
    steps_H = np.arange(horizon)
    back_H = period * (steps_H // period + 1)
    return values_TC[origins_N[:, None] + steps_H - back_H]


def detect_period(values_TC: np.ndarray, *, longest: int = 400, threshold: float = 0.3) -> int | None:
    """The lag of the highest peak of the detrended series' autocorrelation, the mean over channels.

    None where no peak reaches `threshold`. A peak is a lag from 2 to a third of the series, at most `longest`, that
    is higher than both its neighbours.
    """
    count = len(values_TC)
    time_T = np.arange(count) - (count - 1) / 2
    values_TC = values_TC.astype(np.float64) - values_TC.mean(0)
    slope_C = time_T @ values_TC / max(float(time_T @ time_T), 1e-12)
    residual_TC = values_TC - time_T[:, None] * slope_C
    lags = min(longest, count // 3) + 1
    variance_C = np.maximum((residual_TC**2).sum(0), 1e-12)
    correlation_L = np.array(
        [((residual_TC[: count - lag] * residual_TC[lag:]).sum(0) / variance_C).mean() for lag in range(lags + 1)]
    )
    inner = correlation_L[1:-1]
    peaks = np.flatnonzero((inner > correlation_L[:-2]) & (inner >= correlation_L[2:]) & (inner >= threshold)) + 1
    peaks = peaks[peaks >= 2]
    return int(peaks[correlation_L[peaks].argmax()]) if len(peaks) else None


def common_period(series: Sequence[np.ndarray]) -> int | None:
    """The period that most of the longest series have; None where most have none."""
    longest = sorted(series, key=len, reverse=True)[:_SERIES_WITH_A_SAY]
    (period, _), *_ = Counter(detect_period(values_TC) for values_TC in longest).most_common(1)
    return period


def smoothing_baseline(rows: WindowRows, period: int | None) -> Baseline:
    """Holt-Winters (additive damped trend, additive season) fitted anew at some origins, for its cost.

    The origins lie evenly over the split; their number stands in the summary. It has no items, since
    it was not scored on the windows that the others were scored on.
    """
    began = perf_counter()
    channels = rows.data.values_TC.shape[1]
    count = min(rows.windows, max(4, MOST_SMOOTHING_FITS // channels))
    chosen = np.unique(np.linspace(0, rows.windows - 1, count).astype(int))
    origins, begins = rows.origins_N[chosen], rows.begins_N[chosen]
    horizon = rows.windowing.horizon
    season = period if period is not None and period <= LONGEST_SMOOTHED_PERIOD else None
    history = max(10 * (season or 1), 2 * rows.windowing.window)
    errors_NHC = np.empty((len(origins), horizon, channels))
    for (n, origin), c in product(enumerate(origins), range(channels)):
        past = rows.data.values_TC[max(begins[n], origin - history) : origin, c].astype(np.float64)
        errors_NHC[n, :, c] = _smoothed(past, horizon, season) - rows.data.values_TC[origin : origin + horizon, c]
    mse, mae = float((errors_NHC**2).mean()), float(np.abs(errors_NHC).mean())
    return Baseline(
        name="exponential smoothing at some origins",
        kind="strong",
        score=mse,
        seconds=perf_counter() - began,
        summary={"mse": mse, "mae": mae, "loss": mse, "origins": float(len(origins))},
    )


def _smoothed(past: np.ndarray, horizon: int, season: int | None) -> np.ndarray:
    """One Holt-Winters fit and its forecast; a history shorter than two seasons and ten values has no season."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    seasonal = season is not None and len(past) >= 2 * season + 10
    with warnings.catch_warnings():
        # A fit that stops at its limit of iterations still forecasts, and its error is what is reported.
        warnings.simplefilter("ignore")
        model = ExponentialSmoothing(
            past,
            trend="add",
            damped_trend=True,
            seasonal="add" if seasonal else None,
            seasonal_periods=season if seasonal else None,
            initialization_method="heuristic" if len(past) >= 10 else "estimated",
        )
        # The grid of starting points costs six times the fit itself and changes the error by a per cent or two.
        return np.asarray(model.fit(use_brute=False).forecast(horizon))


def _last_value(rows: WindowRows, windows_N: np.ndarray) -> np.ndarray:
    return last_value(rows.data.values_TC, rows.origins_N[windows_N], rows.windowing.horizon)


def _seasonal(period: int) -> Forecaster:
    return lambda rows, windows_N: seasonal_naive(
        rows.data.values_TC, rows.origins_N[windows_N], rows.windowing.horizon, period
    )


def _chunks(rows: WindowRows, forecast: Forecaster) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The numbers of some windows, their forecasts and what came, [n, H, C]."""
    for begin in range(0, rows.windows, CHUNK):
        windows_N = np.arange(begin, min(begin + CHUNK, rows.windows))
        yield windows_N, forecast(rows, windows_N), targets_of(rows, windows_N)


def error_quantiles(valid: WindowRows, forecast: Forecaster, quantiles: Sequence[float]) -> np.ndarray:
    """[H, 1, Q]: quantiles of what came less what was forecast on valid, over all windows and channels."""
    errors_NHC = np.concatenate([came - ahead for _, ahead, came in _chunks(valid, forecast)])
    errors_HN = errors_NHC.swapaxes(0, 1).reshape(errors_NHC.shape[1], -1)
    return np.quantile(errors_HN, quantiles, axis=1).T[:, None, :]


def _scored(
    name: str,
    kind: Literal["trivial", "strong"],
    splits: Mapping[Split, WindowRows],
    split: Split,
    forecast: Forecaster,
    fit_seconds: float,
    parameters: int | None = None,
) -> Baseline:
    rows, quantiles, began = splits[split], splits[split].windowing.quantiles, perf_counter()
    spread_H1Q = error_quantiles(splits["valid"], forecast, quantiles) if quantiles else None
    parts = []
    for windows_N, ahead_NHC, came_NHC in _chunks(rows, forecast):
        forecasts = ahead_NHC if spread_H1Q is None else ahead_NHC[..., None] + spread_H1Q
        scored = error_items(rows.as_rows(forecasts), rows.as_rows(came_NHC), quantiles)
        parts.append({**scored, **_groups(rows, windows_N)})
    items: Sums = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    summary = forecast_error(quantiles).summarise({key: values.sum(0) for key, values in items.items()})
    return Baseline(
        name=name,
        kind=kind,
        score=summary["loss"],
        seconds=fit_seconds + perf_counter() - began,
        parameters=parameters,
        items=items,
        summary=summary,
    )


def _groups(rows: WindowRows, windows_N: np.ndarray) -> Sums:
    """The series of each row, as the task's own items have it."""
    if rows.data.count == 1:
        return {}
    return {"group": np.repeat(rows.series_N[windows_N], rows.rows_per_window).astype(np.float64)}
