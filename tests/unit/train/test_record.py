from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from tiny_task import TinyTask, tiny_model

from crossover.errors import CheckpointError
from crossover.measure.numerics import Numerics
from crossover.train.loop import train
from crossover.train.record import (
    RunRecord,
    environment,
    finite,
    load_items,
    load_record,
    metrics_log,
    save_items,
    save_record,
)
from crossover.train.results import step_intervals
from crossover.train.settings import TrainSettings

NUMERICS = Numerics.default()


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = train(TinyTask(), tiny_model(), TrainSettings(budget="4steps"), numerics=NUMERICS).record
    save_record(tmp_path, record)
    loaded = load_record(tmp_path)
    assert loaded.to_json() == record.to_json() and loaded.score == record.score
    assert set(record.to_json()) == {field.name for field in fields(RunRecord)}


def test_a_record_of_a_later_release_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    record = train(TinyTask(), tiny_model(), TrainSettings(budget="2steps"), numerics=NUMERICS).record
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**record.to_json(), "novelty": 1}))
    assert load_record(tmp_path).steps == 2
    for damaged in ("{", "[]", "{}", '{"score": 3}'):
        path.write_text(damaged)
        with pytest.raises(CheckpointError, match="no record of a run"):
            load_record(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match="no finished run"):
        load_record(tmp_path)


def test_numbers_that_json_cannot_hold_become_null() -> None:
    value = {"a": [1.0, math.nan, (math.inf, "x")], "b": None}
    assert finite(value) == {"a": [1.0, None, [None, "x"]], "b": None}


def test_items_come_back_and_damage_is_refused(tmp_path: Path) -> None:
    items = {"loss": np.arange(5.0), "confusion": np.ones((5, 2, 2), dtype=np.float32)}
    save_items(tmp_path, items)
    loaded = load_items(tmp_path)
    assert set(loaded) == set(items) and all((loaded[name] == items[name]).all() for name in items)
    path = tmp_path / "items.npz"
    for damaged in (path.read_bytes()[:40], b"", b"hello"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_items(tmp_path)
    path.unlink()
    assert load_items(tmp_path) == {}


def test_the_log_keeps_what_came_before_the_step_it_goes_on_from(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with metrics_log(tmp_path, steps=0) as log:
        for step in range(1, 6):
            log.write(step=step, loss=float(step))
            assert len(path.read_text().splitlines()) == step
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    with metrics_log(tmp_path, steps=3) as log:
        log.write(step=4, loss=math.nan)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 2.0},
        {"step": 3, "loss": 3.0},
        {"step": 4, "loss": None},
    ]


def test_the_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    found = environment(NUMERICS)
    assert "hunter2" not in json.dumps(found)
    assert found["numerics"]["precision"] == "fp32" and found["torch"] and found["device"]


def test_step_seconds_are_the_median_with_warm_up_left_out() -> None:
    windows = [[1, 9.0, 100]] * 10 + [[1, 0.1 * k, 100] for k in range(1, 41)] + [[0, 0.0, 0]]
    seconds, tokens = step_intervals(windows)
    assert seconds.value == pytest.approx(2.05) and seconds.low == pytest.approx(0.49) and seconds.high < 4
    assert tokens.value == pytest.approx(100 / 2.05, rel=0.01)
    assert step_intervals([[10, 5.0, 1000], [0, 0.0, 0]])[0].value == 0.5
