from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.models.ports import Continuous, PerRow, PerStep
from crossover.tasks import RESTORERS, TASKS
from crossover.tasks.forecasting.task import automatic_patch, co2, elnino, own


def write_series(path: Path, values_TC: np.ndarray, names: tuple[str, ...] = ("a", "b")) -> Path:
    days = np.datetime64("2020-01-01") + np.arange(len(values_TC))
    lines = [f"day,{','.join(names)}"]
    lines += [f"{day},{','.join(map(str, row))}" for day, row in zip(days, values_TC.tolist(), strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def options(path: Path, **changes) -> DataOptions:
    given = {"data": str(path), "time": "day", "window": 8, "horizon": 4, "settings": {"patch": 4}}
    return DataOptions(**{**given, **changes})


@pytest.fixture
def series(tmp_path) -> Path:
    values_TC = np.random.default_rng(0).normal(size=(100, 2)) * [1, 50] + [0, 1000]
    return write_series(tmp_path / "series.csv", values_TC)


def batch_of(task, split, rows=1000):
    return next(iter(task.batches(split, seed=0, epoch=0, batch=rows)))


def test_the_split_is_by_time_and_every_window_counts(series):
    task = own(options(series))
    assert {split: task.size(split) for split in ("train", "valid", "test")} == {
        "train": (70 - 12 + 1) * 2,
        "valid": (10 - 4 + 1) * 2,
        "test": (20 - 4 + 1) * 2,
    }
    assert task.spec.item_block == 4 * 2
    assert task.spec.inputs == Continuous(channels=4)
    assert task.spec.outputs == PerRow(size=4, pool="flatten", steps=2)


def test_the_scores_are_those_of_train_alone(tmp_path, series):
    values_TC = np.loadtxt(series, delimiter=",", skiprows=1, usecols=(1, 2))
    task = own(options(series))
    assert np.allclose(task.scaling.mean_SC[0], values_TC[:70].mean(0))
    assert np.allclose(task.scaling.deviation_SC[0], values_TC[:70].std(0))
    values_TC[70:] *= 100
    changed = own(options(write_series(tmp_path / "changed.csv", values_TC)))
    assert np.array_equal(task.scaling.mean_SC[0], changed.scaling.mean_SC[0])
    one, other = batch_of(task, "train"), batch_of(changed, "train")
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.targets, other.targets)


def test_joint_channels_are_one_row(series):
    task = own(options(series, settings={"patch": 4, "channels": "joint"}))
    assert task.size("test") == 17
    assert task.spec.inputs == Continuous(channels=8)
    assert task.spec.outputs == PerRow(size=8, pool="flatten", steps=2)
    batch = batch_of(task, "test")
    (first, *_) = task.decode(torch.zeros(17, 8), batch)
    assert set(first["values"]) == {"a", "b"}
    assert len(first["values"]["a"]) == 4


@pytest.mark.parametrize("channels", ["independent", "joint"])
@pytest.mark.parametrize("normalise", ["window", "last", "train"])
def test_perfect_outputs_score_zero_and_decode_to_the_series(series, channels, normalise):
    task = own(options(series, settings={"channels": channels, "normalise": normalise, "patch": 2}))
    batch = batch_of(task, "test")
    outputs = ((batch.targets - batch.extra["shift"]) / batch.extra["scale"]).flatten(1)
    items = task.metrics(outputs, batch)
    assert task.score(items)["mse"] == pytest.approx(0, abs=1e-9)
    values_TC = np.loadtxt(series, delimiter=",", skiprows=1, usecols=(1, 2))
    decoded = task.decode(outputs, batch)
    merged = {**decoded[0]["values"], **decoded[1]["values"]}
    expected = values_TC[80:84] if channels == "independent" else values_TC[81:85]
    assert np.allclose(merged["b"], expected[:, 1], rtol=1e-4)
    assert len(task.samples(outputs, batch, 3)) == 3


def test_an_autoregressive_head_predicts_from_its_own_outputs(series):
    task = own(options(series, horizon=5, settings={"patch": 2, "head": "autoregressive", "normalise": "train"}))
    assert (task.spec.decoding, task.spec.causal) == ("rollout", True)
    assert task.spec.outputs == PerStep(size=2)
    batch = batch_of(task, "test")
    seen = []

    def step(inputs):
        seen.append(inputs)
        return inputs + 1

    outputs = task.rollout(step, batch)
    assert [part.shape[1] for part in seen] == [4, 1, 1]
    last = batch.inputs[:, -1]
    expected = torch.cat([last + 1, last + 2, last + 3], dim=1)[:, :5]
    assert torch.allclose(outputs[:, :, 0], expected)
    assert task.metrics(outputs, batch)["squared_by_step"].shape == (task.size("test"), 5)
    forced = batch_of(task, "train")
    assert forced.inputs.shape[1] == 6
    assert task.count(forced) == forced.size * 5
    loss = task.loss(torch.zeros_like(forced.inputs), forced)
    assert loss.item() == pytest.approx(forced.targets.nan_to_num().square().sum().item(), rel=1e-5)


def test_a_forecast_of_a_users_file_reads_its_last_window(tmp_path, series):
    task = own(options(series))
    reader = RESTORERS.get("forecasting")(json.loads(json.dumps(task.artifacts())))
    assert reader.spec.inputs == task.spec.inputs
    assert reader.spec.outputs == task.spec.outputs
    batch = reader.encode_ahead(series).batch
    values_TC = np.loadtxt(series, delimiter=",", skiprows=1, usecols=(1, 2))
    shown = reader.decode(batch.inputs.reshape(2, 8), batch)
    assert np.allclose(shown[1]["values"]["b"], values_TC[-8:, 1], rtol=1e-4)
    short = write_series(tmp_path / "short.csv", values_TC[:5])
    with pytest.raises(DataError, match="has 5 rows: a forecast reads the last 8"):
        reader.encode_ahead(short)
    with pytest.raises(DataError, match="takes no text"):
        reader.encode(["a"])


def test_broken_artifacts_are_refused():
    with pytest.raises(DataError, match="no artifacts of a forecast"):
        RESTORERS.get("forecasting")({"channels": ["a"]})


def test_files_of_a_given_split_are_not_read_across(tmp_path):
    parts = [np.random.default_rng(i).normal(size=(60, 2)) for i in range(2)]
    train, test = (write_series(tmp_path / f"{i}.csv", part) for i, part in enumerate(parts))
    task = own(options(train, data=None, train=train, test=test))
    assert task.size("test") == (60 - 12 + 1) * 2
    assert task.size("train") + task.size("valid") == (52 - 11 + 8 - 3) * 2
    assert "The last 8 rows of 0.csv are the validation split." in task.spec.notes
    assert np.allclose(task.scaling.mean_SC[0], parts[0][:52].mean(0))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"settings": {"patch": 3}}, "window of 8 does not divide into segments of 3"),
        ({"settings": {"chanels": "joint"}}, "did you mean 'channels'"),
        ({"settings": {"head": "auto"}}, "head"),
        ({"window": 0}, "--window is 0"),
        ({"horizon": -1}, "--horizon is -1"),
        ({"split": "random"}, "--split is 'random'"),
        ({"text": "a"}, "does not read --text"),
        ({"quantiles": "0.1,0.9"}, "without the median"),
        ({"quantiles": "0,0.5"}, "numbers between 0 and 1"),
        ({"backtest": 0}, "--backtest is 0"),
        ({"backtest": 6}, "hold at most 5 spans of a horizon of 4: give a number up to 5"),
        ({"backtest": 2, "settings": {"fold": 2}}, "fold=2 with --backtest 2"),
        ({"target": "a", "past": "a"}, "column 'a' is given with --target and with --past"),
        ({"train": Path("a.csv")}, "give --data, or --train and --test"),
        ({"data": None}, "needs a series"),
        ({"data": "hf://a/b"}, "read from a file"),
    ],
)
def test_wrong_requests_are_refused_in_one_sentence(series, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        own(options(series, **changes))


def test_short_series_are_refused_with_the_numbers(series):
    with pytest.raises(DataError, match=r"valid split is too short: its 10 values.*window 8 \+ horizon 11"):
        own(options(series, horizon=11))


def test_a_target_column_may_be_chosen_or_misspelt(series):
    assert own(options(series, target="b")).channels == ("b",)
    with pytest.raises(DataError, match="unknown column"):
        own(options(series, target="c"))


def test_automatic_patches_divide_the_window():
    assert [automatic_patch(window) for window in (96, 60, 104, 36, 7, 2, 1)] == [24, 20, 13, 18, 1, 1, 1]


def test_embedded_series_are_real_and_their_gaps_counted():
    task = co2(DataOptions())
    assert task.spec.notes == (
        "Settings of the task: task.patch=13, task.channels=independent, task.head=direct, task.normalise=window.",
        "59 of 2284 weeks have no value and are interpolated linearly.",
    )
    assert {split: task.size(split) for split in ("train", "valid", "test")} == {
        "train": 1598 - 104 - 26 + 1,
        "valid": 230 - 26 + 1,
        "test": 456 - 26 + 1,
    }
    trivial, seasonal, ridge, _ = elnino(DataOptions()).baselines("valid")
    assert ridge.score < seasonal.score < trivial.score


def test_the_usual_split_of_etth1(tmp_path, monkeypatch):
    """On the real file where it is there, else on a stand-in of the same form that this test writes."""
    if not os.environ.get("CROSSOVER_DATA"):
        names = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
        hours = np.datetime64("2016-07-01T00:00:00") + np.arange(17420).astype("timedelta64[h]")
        values_TC = np.random.default_rng(0).normal(size=(17420, 7)).round(3)
        lines = ["date," + ",".join(names)]
        lines += [
            str(hour).replace("T", " ") + "," + ",".join(map(str, row))
            for hour, row in zip(hours, values_TC.tolist(), strict=True)
        ]
        (tmp_path / "forecasting").mkdir()
        (tmp_path / "forecasting" / "ETTh1.csv").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("CROSSOVER_DATA", str(tmp_path))
    task = TASKS.get("forecasting/etth1")(DataOptions())
    assert [task.size(split) // 7 for split in ("train", "valid", "test")] == [8449, 2785, 2785]
    assert task.channels[-1] == "OT"
    train_TC = task.splits["train"].data.values_TC[:8640]
    assert np.allclose(train_TC.mean(0), 0, atol=1e-4)
    assert np.allclose(train_TC.std(0), 1, atol=1e-4)
