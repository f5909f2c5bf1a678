from __future__ import annotations

from pathlib import Path

import pytest

from crossover.study.outcome import Outcome, by_model, mean_score
from unit.study.tiny_study import baseline, outcome
from unit.train.tiny_task import tiny_model

LSTM, GRU = tiny_model("lstm").name, tiny_model("gru").name


@pytest.fixture
def held() -> Outcome:
    return outcome({"lstm": (0.8, None, 0.9), "gru": (None,)}, {"majority": 0.55, "linear": 0.75})


def test_failed_runs_are_kept_apart(held: Outcome) -> None:
    assert [attempt.seed for attempt in held.done(LSTM)] == [0, 2]
    assert held.done(GRU) == [] and held.records(GRU) == []
    assert list(by_model(held)) == [LSTM]


def test_the_score_is_the_mean_over_seeds_within_its_interval(held: Outcome) -> None:
    score = held.score(LSTM)
    assert score.value == pytest.approx(0.85)
    assert 0 <= score.low < 0.85 < score.high <= 1
    assert held.score(GRU) is None
    assert held.score("linear").value == pytest.approx(0.75)


def test_the_interval_of_a_share_stays_a_share() -> None:
    score = outcome({"lstm": (1.0, 0.7)}).score(LSTM)
    assert score.high <= 1.0


def test_validation_of_models_and_baselines(held: Outcome) -> None:
    assert held.validation(LSTM) == pytest.approx((0.90 + 0.92) / 2)
    assert held.validation("linear") == 0.75
    assert held.validation(GRU) is None and held.validation("unknown") is None


def test_the_best_baseline_has_the_best_test_score(held: Outcome) -> None:
    assert held.best_baseline() == "linear"
    assert outcome({"lstm": (0.8,)}).best_baseline() is None


def test_a_baseline_of_several_splits_is_their_mean() -> None:
    assert mean_score([baseline("linear", 0.5), baseline("linear", 0.7)]) == pytest.approx(0.6)


def test_a_study_knows_where_its_runs_lie(held: Outcome) -> None:
    assert held.done(LSTM)[0].folder == Path("study/runs/tiny_sign") / LSTM / "seed0"
