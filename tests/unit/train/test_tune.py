from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_task import TinyTask, tiny_model

from crossover.errors import ConfigError, TrainingError
from crossover.measure.numerics import Numerics
from crossover.models.counting import count_parameters
from crossover.models.presets import parse_model
from crossover.train import tune
from crossover.train.loop import train
from crossover.train.settings import TrainSettings, resolve
from crossover.train.tune import expected_best, proposals, search

NUMERICS = Numerics.default()
SPEC = TinyTask(budget="2epochs").spec


def test_the_first_trial_is_the_preset_and_the_rest_lie_in_the_box() -> None:
    model = parse_model("lstm[width=64,layers=2]")
    proposed = proposals(SPEC, model, TrainSettings(), 33, seed=1)
    assert proposed[0] == (model, resolve(TrainSettings(), SPEC, model))
    rates = [settings.learning_rate / model.learning_rate for _, settings in proposed[1:]]  # type: ignore[operator]
    assert min(rates) >= 1 / 8 and max(rates) <= 8 and min(rates) < 0.3 and max(rates) > 3
    assert {settings.batch for _, settings in proposed} == {8, 16, 32}
    assert {changed.layers for changed, _ in proposed} == {1, 2, 4}
    assert {changed.dropout for changed, _ in proposed[1:]} == set(tune.DROPOUTS)


def test_depth_is_traded_for_width_at_equal_parameters() -> None:
    model = parse_model("transformer[width=64,layers=2]")
    target = count_parameters(model, SPEC.inputs, SPEC.outputs, causal=False).without_embedding
    for changed, _ in proposals(SPEC, model, TrainSettings(), 17, seed=0):
        count = count_parameters(changed, SPEC.inputs, SPEC.outputs, causal=False).without_embedding
        assert count == pytest.approx(target, rel=0.03)


def test_a_hybrid_keeps_all_its_mixers() -> None:
    model = parse_model("lstm+attention[width=32]")
    assert {changed.layers for changed, _ in proposals(SPEC, model, TrainSettings(), 17, seed=0)} == {2, 4}


def test_the_batch_stays_under_a_budget_in_steps() -> None:
    settings = TrainSettings(budget="40steps")
    assert {changed.batch for _, changed in proposals(SPEC, parse_model("lstm"), settings, 17, seed=0)} == {16}


def test_every_model_is_given_the_same_points() -> None:
    a, b = (
        proposals(SPEC, parse_model(name), TrainSettings(), 9, seed=4) for name in ("lstm[layers=2]", "transformer")
    )
    for (model_a, settings_a), (model_b, settings_b) in itertools.islice(zip(a, b, strict=True), 1, None):
        assert settings_a.learning_rate / a[0][1].learning_rate == pytest.approx(  # type: ignore[operator]
            settings_b.learning_rate / b[0][1].learning_rate  # type: ignore[operator]
        )
        assert (model_a.layers, model_a.dropout, settings_a.batch) == (
            model_b.layers,
            model_b.dropout,
            settings_b.batch,
        )
    assert proposals(SPEC, parse_model("transformer"), TrainSettings(), 9, seed=5) != b


def test_more_trials_keep_the_first_ones() -> None:
    model = parse_model("lstm")
    assert proposals(SPEC, model, TrainSettings(), 9, seed=2)[:5] == proposals(
        SPEC, model, TrainSettings(), 5, seed=2
    )


def test_the_search_takes_the_best_by_validation_without_reading_the_test() -> None:
    task = TinyTask(budget="40steps")
    del task.splits["test"]  # type: ignore[attr-defined]
    seen: list[int] = []
    found = search(task, tiny_model(), TrainSettings(), trials=4, seed=0, numerics=NUMERICS, on_trial=seen.append)
    scores = [trial.validation for trial in found.trials]
    assert seen == [0, 1, 2, 3]
    assert found.best.validation == max(score for score in scores if score is not None)
    assert [e.trials for e in found.expected] == [1, 2, 3, 4]
    assert found.seconds > 0 and set(found.to_json()) == {"task", "model", "trials", "expected_best"}


def test_a_diverged_trial_is_the_worst_and_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "RATE_FACTOR", 1e200)
    settings = TrainSettings(budget="10steps", optimizer="sgd", clip=0.0)
    found = search(TinyTask(), tiny_model(), settings, trials=5, seed=0, numerics=NUMERICS)
    failed = [trial for trial in found.trials if trial.validation is None]
    assert failed and all("learning rate" in (trial.error or "") for trial in failed)
    assert found.best.validation is not None


def test_a_search_in_which_all_diverge_says_so() -> None:
    settings = TrainSettings(budget="10steps", optimizer="sgd", clip=0.0, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"all 2 trials of lstm.* failed, the first so: .*lower --lr"):
        search(TinyTask(), tiny_model(), settings, trials=2, seed=0, numerics=NUMERICS)


def test_no_trial_is_refused() -> None:
    with pytest.raises(ConfigError, match="trials is 0"):
        proposals(SPEC, tiny_model(), TrainSettings(), 0, seed=0)


def test_the_expected_best_is_the_mean_over_all_draws() -> None:
    scores = [0.3, 0.9, 0.5]
    for found in expected_best(scores, higher_is_better=True):
        draws = [max(draw) for draw in itertools.product(scores, repeat=found.trials)]
        assert found.value == pytest.approx(np.mean(draws))
        assert found.low <= found.value <= found.high
    for found in expected_best(scores, higher_is_better=False):
        draws = [min(draw) for draw in itertools.product(scores, repeat=found.trials)]
        assert found.value == pytest.approx(np.mean(draws))


def test_a_trial_without_a_score_counts_as_the_worst() -> None:
    assert [e.value for e in expected_best([0.5, None, 0.7], higher_is_better=True)] == [
        e.value for e in expected_best([0.5, 0.5, 0.7], higher_is_better=True)
    ]
    with pytest.raises(ConfigError, match="no trial has a validation score"):
        expected_best([None], higher_is_better=True)


def test_a_stopped_search_goes_on_where_it_stopped_and_more_trials_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, model, settings = TinyTask(), tiny_model(), TrainSettings(budget="10steps", evaluations=2)
    whole = search(task, model, settings, trials=4, seed=0, numerics=NUMERICS)

    def stop(index: int) -> None:
        if index == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(task, model, settings, trials=4, seed=0, numerics=NUMERICS, folder=tmp_path, on_trial=stop)
    trained: list[int | None] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        trained.append(arguments[2].batch)
        return train(*arguments, **named)

    monkeypatch.setattr(tune, "train", counted)
    again = search(task, model, settings, trials=4, seed=0, numerics=NUMERICS, folder=tmp_path)
    assert len(trained) == 2
    assert [trial.validation for trial in again.trials] == [trial.validation for trial in whole.trials]
    more = search(task, model, settings, trials=5, seed=0, numerics=NUMERICS, folder=tmp_path)
    assert len(trained) == 3 and more.trials[:4] == again.trials
    assert not list(tmp_path.glob("*/model.safetensors"))
