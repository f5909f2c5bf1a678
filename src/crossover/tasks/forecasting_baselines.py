"""Simple forecasters to hold models against: last value, seasonal, ridge on the window, exponential smoothing.

All work on a series in z-scores of train, [T, C], and predict from an origin, the index of the first value ahead;
none reads a value at or after its origin. Shape suffixes: N origins, W window, H horizon, C channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Literal

import numpy as np

from crossover.tasks.base import Baseline, Split, Sums
from crossover.tasks.objectives import SquaredError
from crossover.tasks.windows import WindowRows, error_items

Forecaster = Callable[[np.ndarray], np.ndarray]
"""Origins [N] to forecasts [N, H, C]."""

RIDGE_STRENGTHS = tuple(10.0**power for power in range(-3, 6))
MOST_SMOOTHING_FITS = 56
LONGEST_SMOOTHED_PERIOD = 60
"""Beyond this the seasonal state is too large to be estimated from a few cycles."""

_CHUNK = 1024


def forecasting_baselines(splits: Mapping[Split, WindowRows], split: Split, period: int | None) -> list[Baseline]:
    """Every baseline, fitted on train, its strength chosen on valid, scored on `split`.

    `period` is the number of steps of a season; None leaves the seasonal forecast out.
    """
    rows = splits[split]
    values_TC, horizon = rows.values_TC, rows.windowing.horizon
    found = [_scored("last value", "trivial", rows, lambda origins_N: last_value(values_TC, origins_N, horizon), 0.0)]
    if period is not None and period <= rows.first:
        name = f"seasonal naive (period {period})"
        seasonal = _seasonal(values_TC, horizon, period)
        found.append(_scored(name, "trivial", rows, seasonal, 0.0))
    began = perf_counter()
    ridge = choose_ridge(splits["train"], splits["valid"])
    found.append(_scored(ridge.name, "strong", rows, ridge.forecaster(values_TC), perf_counter() - began, ridge.size))
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


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """A linear map from a window to its horizon, one for all channels.

    With ``centre="last"`` both are taken relative to the window's last value.
    """

    weights_WH: np.ndarray
    intercept_H: np.ndarray
    strength: float
    centre: Literal["none", "last"]

    @property
    def name(self) -> str:
        """What a table calls it."""
        return "ridge on the window" + (", relative to its last value" if self.centre == "last" else "")

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.weights_WH.size + self.intercept_H.size

    def forecaster(self, values_TC: np.ndarray) -> Forecaster:
        """Forecasts of this series."""
        window = len(self.weights_WH)
        view_NCW = np.lib.stride_tricks.sliding_window_view(values_TC, window, axis=0)

        def forecast(origins_N: np.ndarray) -> np.ndarray:
            past_NCW = view_NCW[origins_N - window].astype(np.float64)
            shift_NC1 = past_NCW[..., -1:] if self.centre == "last" else np.zeros_like(past_NCW[..., -1:])
            ahead_NCH = (past_NCW - shift_NC1) @ self.weights_WH + self.intercept_H + shift_NC1
            return ahead_NCH.swapaxes(1, 2)

        return forecast


def fit_ridges(rows: WindowRows, strengths: tuple[float, ...], centre: Literal["none", "last"]) -> list[Ridge]:
    """One ridge per strength, in closed form: (X'X + strength I)^-1 X'Y of the centred windows of all channels."""
    window, horizon = rows.windowing.window, rows.windowing.horizon
    sum_L, product_LL, count = np.zeros(window + horizon), np.zeros((window, window + horizon)), 0
    for values_NL in _channel_windows(rows):
        values_NL = values_NL - values_NL[:, window - 1 : window] if centre == "last" else values_NL
        sum_L += values_NL.sum(0)
        product_LL += values_NL[:, :window].T @ values_NL
        count += len(values_NL)
    mean_L = sum_L / count
    product_LL -= count * np.outer(mean_L[:window], mean_L)
    ridges = []
    for strength in strengths:
        weights_WH = np.linalg.solve(product_LL[:, :window] + strength * np.eye(window), product_LL[:, window:])
        intercept_H = mean_L[window:] - mean_L[:window] @ weights_WH
        ridges.append(Ridge(weights_WH=weights_WH, intercept_H=intercept_H, strength=strength, centre=centre))
    return ridges


def choose_ridge(train: WindowRows, valid: WindowRows) -> Ridge:
    """The strength, and whether to centre on the last value, that give the lowest squared error on valid."""
    centres: tuple[Literal["none", "last"], ...] = ("none", "last")
    ridges = [ridge for centre in centres for ridge in fit_ridges(train, RIDGE_STRENGTHS, centre)]
    errors = [_mean_squared_error(valid, ridge.forecaster(valid.values_TC)) for ridge in ridges]
    return ridges[int(np.argmin(errors))]


def smoothing_baseline(rows: WindowRows, period: int | None) -> Baseline:
    """Holt-Winters (additive damped trend, additive season) fitted anew at some origins, for its cost.

    The origins lie evenly over the split; their number stands in the name and the summary. It has no items, since
    it was not scored on the windows that the others were scored on.
    """
    began = perf_counter()
    channels = rows.values_TC.shape[1]
    count = min(rows.windows, max(4, MOST_SMOOTHING_FITS // channels))
    origins = np.unique(np.linspace(rows.first, rows.first + rows.windows - 1, count).astype(int))
    horizon = rows.windowing.horizon
    season = period if period is not None and period <= LONGEST_SMOOTHED_PERIOD else None
    history = max(10 * (season or 1), 2 * rows.windowing.window)
    errors_NHC = np.empty((len(origins), horizon, channels))
    for (n, origin), c in product(enumerate(origins), range(channels)):
        past = rows.values_TC[max(0, origin - history) : origin, c].astype(np.float64)
        errors_NHC[n, :, c] = _smoothed(past, horizon, season) - rows.values_TC[origin : origin + horizon, c]
    mse, mae = float((errors_NHC**2).mean()), float(np.abs(errors_NHC).mean())
    return Baseline(
        name=f"exponential smoothing ({len(origins)} of {rows.windows} origins)",
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


def _seasonal(values_TC: np.ndarray, horizon: int, period: int) -> Forecaster:
    return lambda origins_N: seasonal_naive(values_TC, origins_N, horizon, period)


def _channel_windows(rows: WindowRows) -> Iterator[np.ndarray]:
    """All windows with their horizons [N, W + H] of one channel after the other, float64."""
    span, start = rows.windowing.window + rows.windowing.horizon, rows.first - rows.windowing.window
    view_NCL = np.lib.stride_tricks.sliding_window_view(rows.values_TC, span, axis=0)[start : start + rows.windows]
    for c in range(rows.values_TC.shape[1]):
        yield view_NCL[:, c].astype(np.float64)


def _chunks(rows: WindowRows, forecast: Forecaster) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Forecasts and what came, [n, H, C], some windows at a time."""
    steps_H = np.arange(rows.windowing.horizon)
    for begin in range(0, rows.windows, _CHUNK):
        origins_N = rows.origins_N[begin : begin + _CHUNK]
        yield forecast(origins_N), rows.values_TC[origins_N[:, None] + steps_H]


def _mean_squared_error(rows: WindowRows, forecast: Forecaster) -> float:
    errors, count = 0.0, 0
    for ahead_NHC, came_NHC in _chunks(rows, forecast):
        errors += float(((ahead_NHC - came_NHC) ** 2).sum())
        count += came_NHC.size
    return errors / count


def _scored(
    name: str,
    kind: Literal["trivial", "strong"],
    rows: WindowRows,
    forecast: Forecaster,
    fit_seconds: float,
    parameters: int | None = None,
) -> Baseline:
    began = perf_counter()
    parts = [error_items(rows.as_rows(ahead), rows.as_rows(came)) for ahead, came in _chunks(rows, forecast)]
    items: Sums = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    summary = SquaredError().summarise({key: values.sum(0) for key, values in items.items()})
    return Baseline(
        name=name,
        kind=kind,
        score=summary["mse"],
        seconds=fit_seconds + perf_counter() - began,
        parameters=parameters,
        items=items,
        summary=summary,
    )
