from __future__ import annotations

import json
from dataclasses import replace

import pytest

from crossover.study import table
from crossover.study.outcome import Outcome
from crossover.study.request import CompareRequest
from unit.study.tiny_study import baseline, outcome
from unit.train.tiny_task import tiny_model

LSTM, GRU = tiny_model("lstm").name, tiny_model("gru").name
REQUEST = CompareRequest(tasks=("parity",))


@pytest.fixture
def held() -> Outcome:
    found = outcome({"lstm": (0.8, 0.9), "gru": (None, 0.7)}, {"majority": 0.5, "linear": 0.75})
    found.measured = {LSTM: {"step_seconds": {"value": 0.01, "low": 0.01, "high": 0.02}, "latency": None}}
    found.searches = {LSTM: {"seconds": 12.0}}
    return found


def test_models_come_first_and_baselines_are_rows_too(held: Outcome) -> None:
    rows = table.rows(held, REQUEST)
    assert [row["model"] for row in rows] == [LSTM, GRU, "majority", "linear"]
    assert [row["family"] for row in rows] == ["recurrent", "recurrent", "baseline", "baseline"]
    assert [row["seeds"] for row in rows] == [2, 1, 1, 1]
    assert {row["baseline"] for row in rows} == {0.75}, "the best of them"
    shared = set(rows[0]) & set(rows[2])
    assert {"task", "model", "metric", "score", "validation", "latency", "peak_bytes", "run"} <= shared
    json.dumps(rows, allow_nan=False)


def test_a_row_tells_means_over_seeds_and_what_was_measured(held: Outcome) -> None:
    row = table.rows(held, REQUEST)[0]
    assert row["score"]["value"] == pytest.approx(0.85) and row["validation"] == pytest.approx(0.905)
    assert row["summary"]["accuracy"] == pytest.approx(0.85)
    assert row["step_seconds"]["value"] == 0.01 and row["peak_bytes"] is None and row["tuning_seconds"] == 12.0
    assert table.rows(held, REQUEST)[1]["step_seconds"] is None


def test_a_baseline_fitted_on_several_splits_tells_its_means(held: Outcome) -> None:
    held.baselines["linear"] = [
        replace(baseline("linear", score), summary={"accuracy": score, "loss": None}) for score in (0.7, 0.8)
    ]
    row = next(row for row in table.rows(held, REQUEST) if row["model"] == "linear")
    assert row["summary"] == {"accuracy": pytest.approx(0.75), "loss": None}


def test_a_model_without_a_finished_run_has_no_row() -> None:
    assert table.rows(outcome({"lstm": (None,)}), REQUEST) == []


def test_runs_are_listed_with_the_failed_ones_and_why(held: Outcome) -> None:
    entries = table.run_entries(held)
    assert [(entry["model"], entry["status"]) for entry in entries] == [
        (LSTM, "done"),
        (LSTM, "done"),
        (GRU, "failed"),
        (GRU, "done"),
    ]
    assert entries[2]["error"] == "loss became nan at step 3" and entries[2]["score"] is None
    assert entries[0]["score"] == 0.8


def test_details_and_samples_are_those_of_the_best_run_by_validation(held: Outcome) -> None:
    runs = held.attempts[LSTM]
    marked = replace(runs[1].record, details={"labels": ["marked"]}, samples=[{"input": "marked"}])
    held.attempts[LSTM][1] = replace(runs[1], record=marked)
    assert table.details(held)[0] == {"task": "tiny/sign", "model": LSTM, "labels": ["marked"]}
    assert table.samples(held)[0]["items"] == [{"input": "marked"}]


def test_the_task_is_told_with_its_baselines(held: Outcome) -> None:
    entry = table.task_entry(held)
    assert entry["rows"] == {"train": 96, "valid": 32, "test": 40} and entry["metric"] == "accuracy"
    assert [(b["name"], b["score"]) for b in entry["baselines"]] == [("majority", 0.5), ("linear", 0.75)]
    json.dumps(entry, allow_nan=False)


def test_a_row_has_the_command_of_its_first_finished_run(held: Outcome) -> None:
    rows = table.rows(held, REQUEST)
    assert "--seed 0" in rows[0]["command"] and "--seed 1" in rows[1]["command"]
    assert rows[2]["command"] is None
