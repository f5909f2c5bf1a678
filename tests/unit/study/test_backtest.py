"""A comparison over rolling origins: every seed is trained at every fold, and verdicts are over all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, FolderError
from crossover.inference.predictor import load
from crossover.inference.run_folders import find_run, run_folder
from crossover.study.compare import run_comparison
from crossover.study.request import CompareRequest
from crossover.train.settings import TrainSettings

GRU, TRANSFORMER = "gru[width=8,layers=1]", "transformer[width=8,layers=1]"
RIDGE = "ridge on the window and covariates"


def request(**changes) -> CompareRequest:
    data = DataOptions(window=14, horizon=14, quantiles="0.1,0.5,0.9", backtest=2, settings={"patch": 7})
    base = {
        "tasks": ("forecasting/panel",),
        "models": (GRU, TRANSFORMER),
        "data": data,
        "train": TrainSettings(budget="3steps"),
        "seeds": 1,
        "match": "none",
        "precision": "fp32",
        "device": "cpu",
        "memory": False,
    }
    return CompareRequest(**{**base, **changes})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    told: list[str] = []
    folder = tmp_path_factory.mktemp("backtest") / "study"
    return run_comparison(request(), folder, tell=told.append), folder, told


def test_the_runs_are_told_before_they_start(study):
    _, _, told = study
    assert any("4 runs (1 task x 2 models x 1 seed x 2 folds)" in line for line in told)


def test_every_seed_is_trained_at_every_fold(study):
    document, _, _ = study
    gru = [run for run in document["runs"] if run["model"] == GRU]
    assert [run["seed"] for run in gru] == [0, 1]
    (row,) = [row for row in document["table"] if row["model"] == GRU]
    assert (row["seeds"], row["folds"]) == (1, 2)
    assert "--set task.fold=1" in row["command"] and "--backtest 2" in row["command"]
    baselines = [row for row in document["table"] if row["family"] == "baseline"]
    assert [row["model"].split(" (")[0] for row in baselines] == ["last value", "seasonal naive", RIDGE]


def test_verdicts_are_over_all_folds(study):
    document, _, _ = study
    found = {(v["a"], v["b"]) for v in document["verdicts"] if v["metric"] == "pinball"}
    assert (GRU, TRANSFORMER) in found
    assert (GRU, RIDGE) in found
    (pair,) = [v for v in document["verdicts"] if (v["a"], v["b"], v["metric"]) == (GRU, TRANSFORMER, "pinball")]
    scores = {name: [run["score"] for run in document["runs"] if run["model"] == name] for name in (GRU, TRANSFORMER)}
    difference = sum(scores[GRU]) / 2 - sum(scores[TRANSFORMER]) / 2
    assert pair["difference"]["value"] == pytest.approx(difference, rel=1e-5)


def test_a_study_draws_forecasts_and_goes_on_from_its_last_fold(study):
    document, folder, _ = study
    items = next(entry["items"] for entry in document["samples"] if entry["model"] == GRU)
    assert len(items[0]["forecast"]["quantiles"]["0.9"]) == 14
    (row,) = [row for row in document["table"] if row["model"] == GRU]
    forecasts = load(folder / Path(row["run"]).relative_to(folder)).forecast()
    assert len(forecasts) == 12
    assert forecasts[0]["timestamps"][0] == "2023-06-25"


def test_a_run_knows_its_fold():
    asked = request(seeds=2)
    assert (asked.runs, asked.splits) == (range(4), range(2))
    assert [asked.split_of(run) for run in asked.runs] == [0, 1, 0, 1]
    later = request(seeds=1, train=replace(asked.train, seed=3))
    assert (later.runs, later.splits) == (range(6, 8), range(2))


def test_what_contradicts_a_backtest_is_refused():
    with pytest.raises(ConfigError, match="give one of them"):
        request(resplit=True)
    with pytest.raises(ConfigError, match=r"leave task\.fold out"):
        request(data=DataOptions(backtest=2, settings={"fold": 1}))


def test_a_study_that_a_baseline_wins_names_the_best_run_of_its_last_fold(study):
    document, folder, _ = study
    assert document["recommendation"][0]["run"] is None
    with pytest.raises(FolderError) as caught:
        run_folder(folder)
    last = [run for run in document["runs"] if run["seed"] == 1]
    best = min(last, key=lambda run: run["validation"])
    assert str(caught.value).endswith(f"give its best run, {find_run(folder, Path(best['folder']))}")


def test_an_error_is_never_below_0_however_far_the_folds_lie_apart(study):
    document, _, _ = study
    scores = [row["score"] for row in document["table"]]
    assert all(0 <= score["low"] <= score["value"] for score in scores)
