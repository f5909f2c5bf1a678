from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from crossover.tasks.forecasting.baselines import (
    detect_period,
    forecasting_baselines,
    last_value,
    seasonal_naive,
    smoothing_baseline,
)
from crossover.tasks.forecasting.ridge import choose_ridge, fit_ridges, targets_of
from crossover.tasks.forecasting.windows import SplitRows, Windowing, windows_between
from unit.tasks.forecasting.panels import scaled


def season(steps: int, period: int, *, noise: float = 0.1, channels: int = 1) -> np.ndarray:
    time_T1 = np.arange(steps)[:, None]
    phases_C = np.arange(channels)
    noise_TC = np.random.default_rng(0).normal(0, noise, (steps, channels))
    return (np.sin(2 * np.pi * (time_T1 / period + phases_C / 7)) + noise_TC).astype(np.float32)


def splits_of(values_TC: np.ndarray, **settings):
    windowing = Windowing(**{"window": 12, "horizon": 4, **settings})
    steps = len(values_TC)
    borders = {"train": (0, steps // 2), "valid": (steps // 2, 3 * steps // 4), "test": (3 * steps // 4, steps)}
    return {
        split: windows_between(split, scaled(values_TC), [SplitRows(start=start, stop=stop)], windowing)
        for split, (start, stop) in borders.items()
    }


def test_last_value_and_seasonal_naive_read_nothing_at_or_after_the_origin():
    values_TC = np.arange(20, dtype=np.float32)[:, None]
    origins_N = np.array([7, 8])
    assert last_value(values_TC, origins_N, 3)[:, :, 0].tolist() == [[6, 6, 6], [7, 7, 7]]
    assert seasonal_naive(values_TC, origins_N, 5, 3)[:, :, 0].tolist() == [[4, 5, 6, 4, 5], [5, 6, 7, 5, 6]]


@pytest.mark.parametrize("centre", ["none", "last"])
def test_ridge_is_what_scikit_learn_computes(centre):
    rows = splits_of(season(120, 10, channels=2))["train"]
    past_BW, future_BH = (part[:, :, 0].astype(np.float64) for part in rows.cut(np.arange(len(rows))))
    shift_B1 = past_BW[:, -1:] if centre == "last" else np.zeros_like(past_BW[:, -1:])
    expected = SklearnRidge(alpha=2.0).fit(past_BW - shift_B1, future_BH - shift_B1)
    (ridge,) = fit_ridges(rows, (2.0,), centre)
    assert np.allclose(ridge.weights_XH.T, expected.coef_, atol=1e-8)
    assert np.allclose(ridge.intercept_H, expected.intercept_, atol=1e-8)
    ahead_NHC = ridge.forecast(rows, np.arange(rows.windows))
    assert np.allclose(rows.as_rows(ahead_NHC)[:, :, 0], expected.predict(past_BW - shift_B1) + shift_B1, atol=1e-6)
    assert ridge.size == 12 * 4 + 4


def test_ridge_is_fitted_on_train_only():
    values_TC = season(160, 10)
    changed_TC = values_TC.copy()
    changed_TC[120:] += 50
    one, other = (choose_ridge(splits_of(v)["train"], splits_of(v)["valid"]) for v in (values_TC, changed_TC))
    assert np.array_equal(one.weights_XH, other.weights_XH)


def test_ridge_on_a_series_that_wanders_off_is_centred_on_the_last_value():
    steps_T1 = np.random.default_rng(0).normal(size=(400, 1))
    wandering_TC = np.concatenate([steps_T1[:200].cumsum(0), 60 + steps_T1[200:].cumsum(0)]).astype(np.float32)
    parts = splits_of(wandering_TC)
    assert choose_ridge(parts["train"], parts["valid"]).centre == "last"


@pytest.mark.parametrize("period", [7, 12, 24])
def test_the_period_is_found_under_noise_and_trend(period):
    values_TC = season(600, period, noise=0.3, channels=2) + np.linspace(0, 20, 600)[:, None]
    assert detect_period(values_TC) % period == 0
    assert detect_period(season(600, period, noise=0.05)) == period


def test_noise_and_constants_have_no_period():
    assert detect_period(np.random.default_rng(0).normal(size=(500, 1))) is None
    assert detect_period(np.zeros((500, 1))) is None


@pytest.mark.parametrize("independent", [True, False])
def test_every_baseline_but_smoothing_has_the_items_of_the_task(independent):
    parts = splits_of(season(240, 12, channels=3), independent=independent)
    found = forecasting_baselines(parts, "test", 12)
    names = [baseline.name.split(" (")[0] for baseline in found]
    smoothing = "exponential smoothing at some origins"
    assert names == ["last value", "seasonal naive", "ridge on the window", smoothing]
    for baseline in found[:-1]:
        assert baseline.items["loss"].shape == (len(parts["test"]),)
        assert baseline.score == pytest.approx(baseline.items["loss"].sum() / baseline.items["count"].sum())
        assert baseline.items["count_by_step"].sum() == parts["test"].windows * 4 * 3
    assert found[2].score < found[1].score < found[0].score
    assert [baseline.kind for baseline in found] == ["trivial", "trivial", "strong", "strong"]


def test_a_baseline_is_spread_by_its_errors_on_valid_step_by_step():
    values_TC, levels_Q = season(240, 12), np.array([0.1, 0.5, 0.9])
    values_TC[180:] *= 3
    parts = splits_of(values_TC, quantiles=tuple(levels_Q))
    valid_NH, test_NH = (
        (targets_of(rows, np.arange(rows.windows)) - last_value(values_TC, rows.origins_N, 4))[:, :, 0]
        for rows in (parts["valid"], parts["test"])
    )
    misses_NHQ = test_NH[:, :, None] - np.quantile(valid_NH, levels_Q, axis=0).T
    found = forecasting_baselines(parts, "test", 12)
    assert found[0].score == pytest.approx(np.maximum(levels_Q * misses_NHQ, (levels_Q - 1) * misses_NHQ).mean())
    assert [b.name.split(" (")[0] for b in found] == ["last value", "seasonal naive", "ridge on the window"]


def test_without_a_period_there_is_no_seasonal_forecast():
    parts = splits_of(season(240, 12))
    assert [b.name.split(" (")[0] for b in forecasting_baselines(parts, "valid", None)][1] == "ridge on the window"


def test_smoothing_says_at_how_many_origins_it_was_scored():
    parts = splits_of(season(2000, 12))
    baseline = smoothing_baseline(parts["test"], 12)
    assert baseline.items is None
    assert baseline.summary["origins"] == 56
    assert baseline.score < 0.05
