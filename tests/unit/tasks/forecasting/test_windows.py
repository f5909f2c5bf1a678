from __future__ import annotations

import numpy as np
import pytest
import torch

from crossover.errors import DataError
from crossover.tasks.forecasting.errors import ForecastError, error_items
from crossover.tasks.forecasting.scaling import statistics_of
from crossover.tasks.forecasting.windows import (
    SplitRows,
    Windowing,
    WindowRows,
    normalisation,
    restore_scores,
    windows_between,
)
from unit.tasks.forecasting.panels import scaled


def rows_of(values, *, forced=False, **settings) -> WindowRows:
    values_TC = np.asarray(values, dtype=np.float32)
    windowing = Windowing(**{"normalise": "train", **settings})
    origins_N = np.arange(windowing.window, len(values_TC) - windowing.horizon + 1)
    series_N = np.zeros_like(origins_N)
    return WindowRows(
        data=scaled(values_TC), windowing=windowing, origins_N=origins_N, series_N=series_N, forced=forced
    )


def test_worked_example_of_the_family():
    rows = rows_of([[1], [2], [3], [4], [5], [6], [7]], window=4, horizon=2, patch=2)
    batch = rows.gather(np.arange(len(rows)))
    assert batch.inputs.tolist() == [[[1, 2], [3, 4]], [[2, 3], [4, 5]]]
    assert batch.targets.tolist() == [[[5], [6]], [[6], [7]]]
    assert batch.lengths_B.tolist() == rows.lengths_N.tolist() == [2, 2]


def test_independent_rows_go_channel_by_channel_within_a_window():
    rows = rows_of([[1, 10], [2, 20], [3, 30], [4, 40]], window=2, horizon=1)
    batch = rows.gather(np.arange(len(rows)))
    assert batch.inputs[:, :, 0].tolist() == [[1, 2], [10, 20], [2, 3], [20, 30]]
    assert batch.targets[:, 0, 0].tolist() == [3, 30, 4, 40]
    ahead_NHC = np.array([[[3, 30]], [[4, 40]]], dtype=np.float32)
    assert np.array_equal(rows.as_rows(ahead_NHC), batch.targets.numpy())


def test_joint_rows_hold_every_channel_of_every_value_of_a_segment():
    rows = rows_of([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50]], window=4, horizon=1, patch=2, independent=False)
    batch = rows.gather(np.arange(len(rows)))
    assert batch.inputs.tolist() == [[[1, 10, 2, 20], [3, 30, 4, 40]]]
    assert batch.targets.tolist() == [[[5, 50]]]


def test_forced_rows_are_one_segment_ahead_and_scored_in_the_horizon_only():
    rows = rows_of([[i] for i in range(1, 10)], window=4, horizon=3, patch=2, forced=True)
    batch = rows.gather(np.array([0]))
    assert batch.inputs.tolist() == [[[1, 2], [3, 4], [5, 6]]]
    assert np.array_equal(batch.targets[0, :, 0].numpy(), [np.nan, np.nan, 5, 6, 7, np.nan], equal_nan=True)
    assert batch.lengths_B.tolist() == rows.lengths_N[:1].tolist() == [3]


def test_an_empty_slice_of_a_batch_keeps_its_shapes():
    rows = rows_of(np.ones((9, 3)), window=4, horizon=2, patch=2)
    batch = rows.gather(np.array([], dtype=np.int64))
    assert batch.inputs.shape == (0, 2, 2)
    assert batch.targets.shape == (0, 2, 1)
    assert ForecastError().count(batch) == 0


def test_windows_are_views_until_they_are_gathered():
    rows = rows_of(np.zeros((200_000, 4)), window=1000, horizon=500)
    assert len(rows) == (200_000 - 1499) * 4
    past_BWK, future_BHK = rows.cut(np.array([5]))
    assert past_BWK.shape == (1, 1000, 1)
    assert future_BHK.shape == (1, 500, 1)


@pytest.mark.parametrize("normalise", ["window", "last", "train"])
def test_outputs_are_scaled_back_to_the_space_of_the_targets(normalise):
    values_TC = np.random.default_rng(0).normal(3, 2, (40, 2))
    rows = rows_of(values_TC, window=8, horizon=4, patch=4, independent=False, normalise=normalise)
    batch = rows.gather(np.arange(5))
    perfect = (batch.targets - batch.extra["shift"]) / batch.extra["scale"]
    assert ForecastError().loss(perfect.flatten(1), batch).item() == pytest.approx(0, abs=1e-8)
    past_BWK, _ = rows.cut(np.arange(5))
    assert np.allclose(restore_scores(batch.inputs, batch).numpy(), past_BWK, atol=1e-5)


def test_normalisation_reads_the_window_only():
    values_TC = np.random.default_rng(0).normal(size=(30, 1))
    changed_TC = values_TC.copy()
    changed_TC[8:] += 100
    for normalise in ("window", "last"):
        one, other = (
            rows_of(v, window=8, horizon=4, normalise=normalise).gather(np.array([0]))
            for v in (values_TC, changed_TC)
        )
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.extra["shift"], other.extra["shift"])
        assert torch.equal(one.extra["scale"], other.extra["scale"])


def test_a_constant_window_is_scaled_by_a_positive_number():
    _, scale_B1K = normalisation(np.full((1, 5, 1), 7.0, dtype=np.float32), "window")
    assert scale_B1K.item() == pytest.approx(1e-5**0.5)


def test_the_metric_is_in_scores_of_train_whatever_the_normalisation():
    values_TC = np.random.default_rng(1).normal(size=(30, 2))
    rows = rows_of(values_TC, window=8, horizon=4, normalise="window")
    batch = rows.gather(np.arange(len(rows)))
    outputs = torch.randn(len(rows), 4)
    items = ForecastError().metrics(outputs, batch)
    predictions = outputs[..., None] * batch.extra["scale"] + batch.extra["shift"]
    same = error_items(predictions.numpy(), batch.targets.numpy())
    assert items["loss"].sum() == pytest.approx(((predictions - batch.targets) ** 2).sum().item(), rel=1e-5)
    assert all(np.allclose(items[key], same[key]) for key in items)


def test_windows_of_a_later_split_reach_back_but_their_horizons_do_not():
    values_TC = np.arange(30, dtype=np.float32)[:, None]
    windowing = Windowing(window=6, horizon=3, normalise="train")
    train = windows_between("train", scaled(values_TC), [SplitRows(start=0, stop=18)], windowing)
    test = windows_between("test", scaled(values_TC), [SplitRows(start=18, stop=30)], windowing)
    assert (train.windows, test.windows) == (18 - 6 - 3 + 1, 12 - 3 + 1)
    assert train.gather(np.arange(len(train))).targets.max() == 17
    targets = test.gather(np.arange(len(test))).targets
    assert (targets.min(), targets.max()) == (18, 29)
    assert test.gather(np.array([0])).inputs.flatten().tolist() == [12, 13, 14, 15, 16, 17]


def test_windows_do_not_reach_from_one_series_into_another():
    windowing = Windowing(window=6, horizon=3, normalise="train")
    data = scaled(np.arange(20.0)[:, None], 100 + np.arange(5.0)[:, None], 200 + np.arange(12.0)[:, None])
    rows = windows_between("test", data, [SplitRows(start=0, stop=n) for n in (20, 5, 12)], windowing)
    batch = rows.gather(np.arange(len(rows)))
    assert batch.extra["series"].tolist() == [0] * 12 + [2] * 4
    assert batch.extra["first"].nonzero().flatten().tolist() == [0, 12]
    steps = torch.cat([batch.inputs[:, :, 0], batch.targets[:, :, 0]], dim=1)
    assert torch.all(steps.diff() == 1)


def test_a_split_too_short_for_one_window_is_refused_with_the_numbers():
    values_TC = np.zeros((30, 1), dtype=np.float32)
    windowing = Windowing(window=8, horizon=5)
    assert windows_between("test", scaled(values_TC), [SplitRows(start=25, stop=30)], windowing).windows == 1
    with pytest.raises(DataError, match=r"test split is too short: its 4 values, with 26 .* window 8 \+ horizon 5"):
        windows_between("test", scaled(values_TC), [SplitRows(start=26, stop=30)], windowing)
    with pytest.raises(DataError, match="train split is too short: its 12 values, with 0"):
        windows_between("train", scaled(values_TC), [SplitRows(start=0, stop=12)], windowing)


def test_a_constant_column_has_the_deviation_1_whatever_its_mean_is_rounded_to():
    values_TK = np.stack([np.full(140, 0.1), np.full(140, 7.0), np.arange(140) * 1e-9], axis=1)
    assert values_TK[:, 0].std() > 0
    deviation_K = statistics_of(values_TK)[1]
    assert deviation_K[:2].tolist() == [1, 1]
    assert deviation_K[2] == pytest.approx(values_TK[:, 2].std())
