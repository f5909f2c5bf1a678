"""What timestamps say, as covariates: the same beside the training data, in a saved run, and in a new file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from crossover.data.calendar import calendar_features
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.tasks import RESTORERS
from crossover.tasks.forecasting.shops import shops
from crossover.tasks.forecasting.task import co2, own, panel
from unit.tasks.forecasting.panels import panel_csv

PARTS = ("weekday", "day", "month")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("calendar") / "shops.csv"
    path.write_text(panel_csv(shops(), ahead=False), encoding="utf-8")
    return path


def own_panel(path, **changes):
    options = {"target": "sales", "id": "shop", "past": "visitors", "static": "kind", "calendar": True}
    return own(DataOptions(**{"data": str(path), "window": 14, "horizon": 6, **options, **changes}))


def reader_of(task):
    return RESTORERS.get("forecasting")(json.loads(json.dumps(task.artifacts())))


def in_columns(task, features):
    """Future covariates in z-scores as they stand in a task's steps."""
    return (features - task.scaling.future[0]) / task.scaling.future[1]


def bare(tmp_path, time, name="bare.csv"):
    path = tmp_path / name
    values = [f"{t},{n % 7}" for n, t in enumerate(time)]
    path.write_text("\n".join(["t,load", *values]), encoding="utf-8")
    return path


def test_the_calendar_follows_the_future_covariates_of_each_step():
    task, without = panel(DataOptions(calendar=True)), panel(DataOptions())
    (series, *_), rows = shops().series, task.splits["train"]
    known = calendar_features(series.seconds_L[: len(series)], PARTS)
    found = rows.data.covariates.future_TK[: len(series)]
    assert np.allclose(found[:, 2:], in_columns(task, np.pad(known, ((0, 0), (2, 0))))[:, 2:], atol=1e-5)
    assert np.array_equal(found[:, :2], without.splits["train"].data.covariates.future_TK[: len(series)])
    assert task.spec.inputs.channels == without.spec.inputs.channels + task.windowing.patch * 2 * len(PARTS)
    assert "Read from the timestamps and known ahead: weekday, day, month." in task.spec.notes
    assert not any("known ahead" in note for note in without.spec.notes)


def test_a_run_knows_the_calendar_beyond_its_last_row_and_beyond_a_files(table):
    task = own_panel(table)
    ahead = reader_of(task).encode_ahead()
    found = shops().series[0]
    moments, patch = found.seconds_L[len(found) - 14 : len(found) + 6], task.windowing.patch
    assert ahead.labels[0]["timestamps"] == found.timestamps[len(found) : len(found) + 6]
    told = ahead.batch.inputs[0, :, 2 * patch : 8 * patch].reshape(-1, 6)[:20]
    assert np.allclose(told, in_columns(task, calendar_features(moments, PARTS)), atol=1e-5)
    assert torch.equal(reader_of(task).encode_ahead(table).batch.inputs, ahead.batch.inputs)


def test_the_ridge_reads_the_calendar_too():
    def ridge(**changes):
        task = co2(DataOptions(window=13, horizon=13, **changes))
        return next(b for b in task.baselines("test") if b.name.startswith("ridge"))

    with_months, without = ridge(calendar=True), ridge()
    assert with_months.name == "ridge on the window and covariates"
    assert with_months.score < 0.8 * without.score


def test_future_values_need_no_calendar(tmp_path, table):
    reader = reader_of(own_panel(table, future="promo,price"))
    with pytest.raises(DataError, match="promo, price at the 6 steps ahead"):
        reader.encode_ahead()
    lines = ["shop,day,promo,price"]
    for series in shops().series:
        for step in range(len(series), len(series) + 6):
            promo, price = series.future_LK[step]
            lines.append(f"{series.id},{series.timestamps[step]},{promo},{price}")
    plan = tmp_path / "plan.csv"
    plan.write_text("\n".join(lines), encoding="utf-8")
    assert reader.encode_ahead(None, plan).batch.inputs.isfinite().all()


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (range(400), "the rows have none: name their column with --time"),
        ([f"{1600 + n}-01-01" for n in range(400)], "nothing to tell of steps of a year or more"),
    ],
)
def test_steps_without_dates_or_of_years_have_no_calendar(tmp_path, times, reason):
    path = bare(tmp_path, times)
    with pytest.raises(ConfigError, match=reason):
        own(DataOptions(data=str(path), target="load", time="t", window=14, horizon=6, calendar=True))


def test_a_file_to_go_on_from_needs_dates_too(tmp_path):
    days = np.datetime64("2024-01-01") + np.arange(200)
    path = bare(tmp_path, days)
    reader = reader_of(own(DataOptions(data=str(path), target="load", window=14, horizon=6, calendar=True)))
    assert reader.encode_ahead(path).labels[0]["timestamps"][0] == "2024-07-19"
    plain = bare(tmp_path, range(200), "plain.csv")
    with pytest.raises(DataError, match=r"reads the calendar \(weekday, day, month\), and .*plain.csv has no dates"):
        reader.encode_ahead(plain)
