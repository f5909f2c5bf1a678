"""Ridge from a window, with all that is known of the covariates, to its horizon: the strong simple forecaster.

Shape suffixes: N windows, W window, H horizon, C channels, X inputs (the window, then the covariates), L = X + H.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossover.tasks.forecasting.windows import WindowRows

RIDGE_STRENGTHS = tuple(10.0**power for power in range(-3, 6))
CHUNK = 1024
"""Windows held in memory at once."""

Centre = Literal["none", "last"]


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """A linear map from a window and its covariates to its horizon, one for all channels and series.

    With ``centre="last"`` the window and the horizon are taken relative to the window's last value.
    """

    weights_XH: np.ndarray
    intercept_H: np.ndarray
    strength: float
    centre: Centre
    covariates: bool = False

    @property
    def name(self) -> str:
        """What a table calls it."""
        return "ridge on the window" + (" and covariates" if self.covariates else "")

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.weights_XH.size + self.intercept_H.size

    def forecast(self, rows: WindowRows, windows_N: np.ndarray) -> np.ndarray:
        """Forecasts [N, H, C] of these windows of `rows`."""
        ahead = []
        for inputs_NX, shift_N1 in _inputs(rows, windows_N, self.centre):
            ahead.append(inputs_NX @ self.weights_XH + self.intercept_H + shift_N1)
        return np.stack(ahead, axis=2)


def fit_ridges(rows: WindowRows, strengths: tuple[float, ...], centre: Centre) -> list[Ridge]:
    """One ridge per strength, in closed form: (X'X + strength I)^-1 X'Y of the centred windows of all channels."""
    sum_L, product_XL, count = np.zeros(0), np.zeros((0, 0)), 0
    for begin in range(0, rows.windows, CHUNK):
        windows_N = np.arange(begin, min(begin + CHUNK, rows.windows))
        came_NHC = targets_of(rows, windows_N)
        for channel, (inputs_NX, shift_N1) in enumerate(_inputs(rows, windows_N, centre)):
            values_NL = np.concatenate([inputs_NX, came_NHC[:, :, channel] - shift_N1], axis=1)
            if not count:
                sum_L, product_XL = np.zeros(values_NL.shape[1]), np.zeros((inputs_NX.shape[1], values_NL.shape[1]))
            sum_L += values_NL.sum(0)
            product_XL += inputs_NX.T @ values_NL
            count += len(values_NL)
    size, mean_L = len(product_XL), sum_L / count
    product_XL -= count * np.outer(mean_L[:size], mean_L)
    ridges = []
    for strength in strengths:
        weights_XH = np.linalg.solve(product_XL[:, :size] + strength * np.eye(size), product_XL[:, size:])
        ridges.append(
            Ridge(
                weights_XH=weights_XH,
                intercept_H=mean_L[size:] - mean_L[:size] @ weights_XH,
                strength=strength,
                centre=centre,
                covariates=size > rows.windowing.window,
            )
        )
    return ridges


def choose_ridge(train: WindowRows, valid: WindowRows) -> Ridge:
    """The strength, and whether to centre on the last value, that give the lowest squared error on valid."""
    centres: tuple[Centre, ...] = ("none", "last")
    ridges = [ridge for centre in centres for ridge in fit_ridges(train, RIDGE_STRENGTHS, centre)]
    errors = [_squared_error(valid, ridge) for ridge in ridges]
    return ridges[int(np.argmin(errors))]


def targets_of(rows: WindowRows, windows_N: np.ndarray) -> np.ndarray:
    """What came [N, H, C] after the origins of these windows."""
    return rows.data.values_TC[rows.origins_N[windows_N][:, None] + np.arange(rows.windowing.horizon)]


def _squared_error(rows: WindowRows, ridge: Ridge) -> float:
    chunks = (np.arange(begin, min(begin + CHUNK, rows.windows)) for begin in range(0, rows.windows, CHUNK))
    return sum(float(((ridge.forecast(rows, some) - targets_of(rows, some)) ** 2).sum()) for some in chunks)


def _inputs(rows: WindowRows, windows_N: np.ndarray, centre: Centre) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each channel what the ridge reads [N, X], float64, and what its horizon is relative to [N, 1]."""
    window, origins_N = rows.windowing.window, rows.origins_N[windows_N]
    past_NWC = rows.data.values_TC[(origins_N - window)[:, None] + np.arange(window)].astype(np.float64)
    known_NX = np.empty((len(windows_N), 0))
    if rows.data.covariates is not None:
        series_N = rows.series_N[windows_N]
        known_NX = rows.data.covariates.flat(origins_N, series_N, window=window, horizon=rows.windowing.horizon)
    for channel in range(past_NWC.shape[2]):
        past_NW = past_NWC[:, :, channel]
        shift_N1 = past_NW[:, -1:] if centre == "last" else np.zeros_like(past_NW[:, -1:])
        yield np.concatenate([past_NW - shift_N1, known_NX], axis=1), shift_N1
