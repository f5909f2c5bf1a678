from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossover.files import write_json
from crossover.study.forecast import MEASURING_SECONDS, TRAINING_SHARE, forecast
from crossover.study.request import CompareRequest
from crossover.study.store import Store
from crossover.train.record import RECORD_FILE
from crossover.train.settings import TrainSettings
from unit.study.tiny_study import outcome


def told(folder: Path, *, seeds: int = 2, trials: int = 1, budget: str = "30s", limit: float | None = None) -> str:
    found = outcome({"lstm": (), "gru": ()})
    names = tuple(model.name for model in found.contest.models)
    request = CompareRequest(tasks=("tiny",), models=names, seeds=seeds, trials=trials, time_limit=limit)
    return forecast(request, TrainSettings(budget=budget), [found], Store(folder))


def minutes(sentence: str) -> float:
    found = re.search(r"about ([\d.]+) minutes", sentence)
    assert found is not None, sentence
    return float(found[1])


def test_training_validating_and_measuring_are_counted(tmp_path: Path) -> None:
    sentence = told(tmp_path, trials=3)
    assert sentence.startswith("4 runs (1 task x 2 models x 2 seeds) and 6 search trials; ")
    expected = (10 * 30 / TRAINING_SHARE + 2 * MEASURING_SECONDS) / 60
    assert minutes(sentence) == pytest.approx(expected, abs=0.06)


def test_finished_runs_take_no_more_time(tmp_path: Path) -> None:
    names = [model.name for model in outcome({"lstm": (), "gru": ()}).contest.models]
    store = Store(tmp_path)
    for name in names:
        for seed in range(2):
            write_json(store.run_folder("tiny/sign", name, seed) / RECORD_FILE, {})
    sentence = told(tmp_path)
    assert "4 runs (1 task x 2 models x 2 seeds), 4 of them finished" in sentence
    assert minutes(sentence) == 0


def test_a_time_limit_that_comes_first_is_the_end(tmp_path: Path) -> None:
    assert "the time limit ends it about" in told(tmp_path, limit=20)
    assert "the time limit" not in told(tmp_path, limit=20_000)
    assert "the time limit ends it about" in told(tmp_path, budget="50steps", limit=20)


def test_steps_have_no_end_beforehand(tmp_path: Path) -> None:
    sentence = told(tmp_path, seeds=1, budget="50steps")
    assert sentence.startswith("2 runs (1 task x 2 models x 1 seed); their budgets are not in seconds")
