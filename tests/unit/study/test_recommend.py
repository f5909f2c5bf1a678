from __future__ import annotations

from dataclasses import replace
from typing import Any

from crossover.study.outcome import Outcome
from crossover.study.recommend import recommend
from crossover.study.request import CompareRequest
from unit.study.tiny_study import outcome
from unit.train.tiny_task import tiny_model

LSTM, GRU = tiny_model("lstm").name, tiny_model("gru").name


def measured(p99: float | None, memory: int | None) -> dict[str, Any]:
    return {"latency": None if p99 is None else {"sequence": {"p50": p99 / 2, "p99": p99}}, "inference_bytes": memory}


def held() -> Outcome:
    """The GRU is better on validation, and slower and larger; validations are .91 (LSTM), .95 (GRU), .8 (linear)."""
    found = outcome({"lstm": (0.9,) * 3, "gru": (0.85,) * 3}, {"majority": 0.5, "linear": 0.8})
    for attempt in found.attempts[GRU]:
        object.__setattr__(attempt, "record", replace(attempt.record, validation=0.95))
    found.measured = {LSTM: measured(0.005, 10_000_000), GRU: measured(0.020, 90_000_000)}
    return found


def asked(**limits: float) -> CompareRequest:
    return CompareRequest(tasks=("parity",), **limits)  # type: ignore[arg-type]


def test_the_best_validation_is_recommended_not_the_best_test() -> None:
    entry = recommend(held(), asked())
    assert entry["model"] == GRU and entry["meets"] == {"latency": None, "memory": None}
    assert entry["reason"] == "best validation accuracy (0.95) of the 4 rows, baselines included"


def test_the_run_is_the_models_best_by_validation() -> None:
    found = held()
    growing = outcome({"lstm": (0.9,) * 3})
    assert recommend(growing, asked())["run"].endswith("seed2"), "validation grows with the seed"
    assert recommend(found, asked())["run"].endswith("seed0")


def test_a_limit_rules_out_what_was_measured_to_break_it() -> None:
    entry = recommend(held(), asked(max_latency=0.010))
    assert entry["model"] == LSTM and entry["meets"] == {"latency": True, "memory": None}
    assert "3 of 4 rows that meet the latency limit" in entry["reason"]
    entry = recommend(held(), asked(max_memory=50e6, max_latency=0.010))
    assert entry["model"] == LSTM and entry["meets"] == {"latency": True, "memory": True}
    assert "latency and memory limit" in entry["reason"]


def test_a_baseline_may_be_the_answer() -> None:
    entry = recommend(held(), asked(max_latency=0.001))
    assert entry["model"] == "linear" and entry["run"] is None
    assert entry["meets"] == {"latency": None, "memory": None}, "nothing was measured of a baseline"
    assert entry["unmeasured"] == ["latency"] and entry["ruled_out"] == [LSTM, GRU]
    assert (
        entry["reason"]
        == "best validation accuracy (0.8) of the 2 of 4 rows that no limit rules out, baselines included"
    )


def test_nothing_may_be_the_answer() -> None:
    found = outcome({"lstm": (0.9,)})
    found.measured = {LSTM: measured(0.020, None)}
    assert recommend(found, asked(max_latency=0.010)) == {
        "task": "tiny/sign",
        "model": None,
        "run": None,
        "reason": "no row meets the limits",
        "meets": {},
        "unmeasured": [],
        "ruled_out": [LSTM],
    }
    assert recommend(outcome({"lstm": (None,)}), asked())["reason"] == "no run finished"


def test_what_was_not_measured_rules_nothing_out() -> None:
    found = outcome({"lstm": (0.9,)})
    entry = recommend(found, asked(max_latency=0.010, max_memory=1e6))
    assert entry["model"] == LSTM and entry["meets"] == {"latency": None, "memory": None}


def test_the_least_loss_is_recommended_where_less_is_better() -> None:
    found = held()
    spec = found.contest.spec
    found.contest.task.spec = replace(spec, higher_is_better=False)
    try:
        assert recommend(found, asked())["model"] == "majority"
    finally:
        found.contest.task.spec = spec
