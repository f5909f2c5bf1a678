"""Forecasts from saved runs of every head and of presets of both families, and of what mixes them."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from crossover.cli import main
from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.inference.decode import Beam
from crossover.inference.forecast_table import forecast_csv
from crossover.inference.predictor import load
from crossover.measure.numerics import Numerics
from crossover.study.contest import prepare_model
from crossover.tasks import TASKS
from crossover.tasks.forecasting.shops import shops
from crossover.train.loop import train
from crossover.train.settings import TrainSettings
from unit.tasks.forecasting.panels import panel_csv

SIZE = "width=8,layers=2,max_length=64"


def trained(folder, model, head, **options):
    settings = {"patch": 7, "head": head}
    task = TASKS.get("forecasting/panel")(DataOptions(window=14, horizon=10, settings=settings, **options))
    settings = prepare_model(f"{model}[{SIZE}]", task.spec)
    return train(task, settings, TrainSettings(budget="1steps", seed=0), numerics=Numerics(), folder=folder)


@pytest.mark.parametrize(
    ("model", "head"),
    [
        ("lstm", "direct"),
        ("transformer", "direct"),
        ("mingru+attention", "direct"),
        ("gru", "autoregressive"),
        ("transformer", "autoregressive"),
        *((model, "seq2seq") for model in ("lstm", "transformer", "gnmt", "seq2seq", "lstm+attention", "mingru")),
    ],
)
def test_a_saved_run_forecasts_as_many_steps_as_it_was_trained_for(tmp_path, model, head):
    result = trained(tmp_path / "run", model, head)
    assert np.isfinite(result.record.summary["mse"])
    forecasts = load(tmp_path / "run").forecast()
    assert [forecast["id"] for forecast in forecasts] == [series.id for series in shops().series]
    assert all(len(forecast["values"]["sales"]) == len(forecast["timestamps"]) == 10 for forecast in forecasts)
    values = np.array([forecast["values"]["sales"] for forecast in forecasts])
    assert np.isfinite(values).all()
    few = load(tmp_path / "run").forecast(batch_rows=2)
    assert [forecast["id"] for forecast in few] == [forecast["id"] for forecast in forecasts]
    np.testing.assert_allclose([forecast["values"]["sales"] for forecast in few], values, rtol=1e-4)


@pytest.fixture(scope="module")
def quantile_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantiles") / "run"
    trained(folder, "gru", "seq2seq", quantiles="0.1,0.5,0.9")
    return folder


def test_quantiles_are_written_in_order_and_in_the_datas_units(quantile_run, tmp_path):
    out = tmp_path / "forecast.csv"
    assert main(["predict", str(quantile_run), "--out", str(out)]) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert len(rows) == 12 * 10
    assert list(rows[0]) == ["id", "time", "step", "target", "value", "q0.1", "q0.5", "q0.9"]
    assert all(float(row["q0.1"]) <= float(row["value"]) <= float(row["q0.9"]) for row in rows)
    assert rows[0]["value"] == rows[0]["q0.5"]
    last = shops().series[0].values_TC[-14:]
    assert 0 < np.mean([float(row["value"]) for row in rows[:10]]) < 3 * last.mean()


def test_a_file_is_gone_on_with_from_its_own_last_row(quantile_run, tmp_path, capsys):
    path = tmp_path / "shops.csv"
    path.write_text(panel_csv(shops()), encoding="utf-8")
    assert main(["predict", str(quantile_run), "--file", str(path), "--json"]) == 0
    of_file = json.loads(capsys.readouterr().out)["predictions"]
    for ours, theirs in zip(load(quantile_run).forecast(), of_file, strict=True):
        assert (ours["id"], ours["timestamps"]) == (theirs["id"], theirs["timestamps"])
        assert ours["values"]["sales"] == pytest.approx(theirs["values"]["sales"], rel=1e-4)


def test_text_has_no_use_for_a_forecast(quantile_run, capsys):
    assert main(["predict", str(quantile_run), "tomorrow"]) == 2
    assert "takes no text" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="so a beam has no meaning"):
        load(quantile_run).predict(["a"], writing=Beam(size=2))


def test_a_series_without_times_has_steps_alone():
    table = forecast_csv([{"values": {"load": [1.5, 2.25]}}])
    assert table == "step,target,value\n1,load,1.5\n2,load,2.25\n"
