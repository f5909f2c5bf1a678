from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.study.outcome import Outcome
from crossover.study.verdict import verdicts
from unit.study.tiny_study import baseline, items, outcome
from unit.train.tiny_task import tiny_model

LSTM, GRU = tiny_model("lstm").name, tiny_model("gru").name
KEYS = {"task", "a", "b", "metric", "verdict", "difference", "margin", "seeds_needed", "low_power"}


def told(*outcomes: Outcome) -> dict[tuple[str, str], dict]:
    return {(entry["a"], entry["b"]): entry for entry in verdicts(outcomes)}


def test_the_better_model_wins_and_so_it_does_the_other_way_round() -> None:
    pair = told(outcome({"lstm": (0.95,) * 5, "gru": (0.5,) * 5}))[LSTM, GRU]
    assert pair.keys() >= KEYS
    assert pair["verdict"] == "a" and pair["difference"]["low"] > 0 and not pair["low_power"]
    assert told(outcome({"gru": (0.5,) * 5, "lstm": (0.95,) * 5}))[GRU, LSTM]["verdict"] == "b"


def test_the_same_predictions_are_equal() -> None:
    held = outcome({"lstm": (0.8,) * 5, "gru": (0.8,) * 5})
    pair = told(held)[LSTM, GRU]
    assert pair["verdict"] == "equal" and pair["difference"]["value"] == 0


def test_a_small_difference_of_few_items_is_undecided() -> None:
    pair = told(outcome({"lstm": (0.80, 0.85, 0.75), "gru": (0.75, 0.80, 0.85)}))[LSTM, GRU]
    assert pair["verdict"] == "undecided" and pair["low_power"]


def test_the_seeds_that_are_needed_are_each_trained_at_every_fold() -> None:
    held = outcome({"lstm": (1.0, 0.2, 1.0), "gru": (0.2, 0.2, 0.2)})
    assert [told(replace(held, folds=folds))[LSTM, GRU]["seeds_needed"] for folds in (1, 3)] == [4, 2]


def test_a_difference_of_accuracies_lies_within_one() -> None:
    pair = told(outcome({"lstm": (1.0, 0.2, 1.0), "gru": (0.2, 0.2, 0.2)}))[LSTM, GRU]
    assert pair["corrected"]["high"] == 1.0 and pair["verdict"] == "undecided"


def test_every_model_meets_every_other_and_every_baseline() -> None:
    held = outcome({"lstm": (0.9,) * 3, "gru": (0.8,) * 3, "elman": (0.7,) * 3}, {"majority": 0.5, "linear": 0.75})
    assert len(verdicts([held])) == 3 + 3 * 2
    assert told(held)[LSTM, "majority"]["verdict"] == "a"


def test_lower_is_better_where_the_task_says_so() -> None:
    held = outcome({"lstm": (0.95,) * 5, "gru": (0.5,) * 5})
    task = held.contest.task
    turned = replace(held.contest.spec, higher_is_better=False)
    held.contest.task.spec = turned
    try:
        assert told(held)[LSTM, GRU]["verdict"] == "b"
    finally:
        task.spec = replace(turned, higher_is_better=True)


def test_of_an_opposed_metric_less_is_better() -> None:
    held = outcome({"lstm": (0.95,) * 5, "gru": (0.5,) * 5})
    task = held.contest.task
    plain = task.spec
    task.spec = replace(plain, further_metrics=("macro_f1",), opposed_metrics=("macro_f1",))
    try:
        found = {
            entry["metric"]: entry["verdict"] for entry in verdicts([held]) if (entry["a"], entry["b"]) == (LSTM, GRU)
        }
    finally:
        task.spec = plain
    assert found == {plain.metric: "a", "macro_f1": "b"}


def test_further_metrics_are_compared_with_a_correction_of_their_own() -> None:
    held = outcome({"lstm": (0.95,) * 5, "gru": (0.5,) * 5}, {"linear": 0.7})
    alone = verdicts([held])
    task = held.contest.task
    task.spec = replace(task.spec, further_metrics=("macro_f1",))
    try:
        found = verdicts([held])
    finally:
        task.spec = replace(task.spec, further_metrics=())
    assert found[: len(alone)] == alone
    assert [entry["metric"] for entry in found[len(alone) :]] == ["macro_f1"] * len(alone)
    assert found[len(alone)]["verdict"] == "a" and found[len(alone)]["difference"]["low"] > 0


def test_models_without_a_finished_run_and_baselines_without_items_are_left_out() -> None:
    held = outcome({"lstm": (0.9,) * 3, "gru": (None, None)}, {"linear": 0.75})
    held.baselines["published"] = [replace(baseline("published", 0.99), items=None)]
    assert set(told(held)) == {(LSTM, "linear")}
    assert verdicts([outcome({"lstm": (None,)})]) == []


def test_comparisons_of_all_tasks_are_corrected_together() -> None:
    close = {"lstm": (0.875, 0.85, 0.9, 0.875, 0.85), "gru": (0.7, 0.725, 0.75, 0.7, 0.675)}
    alone = told(outcome(close))[LSTM, GRU]
    others = [outcome({"elman": (0.6, 0.7), "mingru": (0.65, 0.6)}) for _ in range(9)]
    among = told(outcome(close), *others)[LSTM, GRU]
    assert among["difference"] == alone["difference"]
    assert among["corrected"]["low"] < alone["corrected"]["low"]
    assert among["corrected"]["high"] > alone["corrected"]["high"]


def test_with_a_split_per_seed_only_the_same_seeds_are_paired() -> None:
    held = outcome({"lstm": (0.9, None, 0.8), "gru": (0.6, 0.7, None)})
    held.split_of = lambda run: run
    held.baselines["linear"] = [replace(baseline("linear", s), items=items(s, i)) for i, s in enumerate((0.5, 0.6))]
    found = told(held)
    assert found[LSTM, GRU]["difference"]["value"] == pytest.approx(0.9 - 0.6)
    assert found[LSTM, "linear"]["difference"]["value"] == pytest.approx(0.9 - 0.5)
