from __future__ import annotations

from typing import Any

import pytest
from tiny_task import TinyTask, tiny_model

from crossover.errors import ConfigError
from crossover.models.presets import parse_model
from crossover.train.settings import TrainSettings, resolve


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"patience": -1}, "patience is -1"),
        ({"stop_at": float("nan")}, "stop_at is nan: it is a score"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"warmup": 1.5}, "warmup is 1.5"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1"),
        ({"average": 1.0}, "average is 1.0"),
        ({"average": 2.5}, "average is 2.5"),
        ({"average": -1.0}, "average is -1.0"),
        ({"average": float("nan")}, "average is nan"),
        ({"average": float("inf")}, "average is inf"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"betas": (0.9, 1.0)}, "betas are .0.9, 1.0."),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"batch_by": "token"}, "did you mean 'tokens'"),
    ],
)
def test_a_value_that_no_run_can_have_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        TrainSettings(**values)


def test_what_is_open_comes_from_the_task_and_the_model() -> None:
    task, model = TinyTask(), tiny_model()
    settings = resolve(TrainSettings(), task.spec, model)
    assert (settings.budget, settings.batch, settings.batch_by) == ("40steps", 16, "rows")
    assert settings.learning_rate == model.learning_rate


def test_a_task_with_a_token_batch_takes_batches_by_tokens_unless_told_otherwise() -> None:
    spec = TinyTask(batch_tokens=200).spec
    assert resolve(TrainSettings(), spec, tiny_model()).batch_by == "tokens"
    assert resolve(TrainSettings(), spec, tiny_model()).batch == 200
    assert resolve(TrainSettings(batch=8), spec, tiny_model()).batch_by == "rows"
    assert resolve(TrainSettings(batch_by="rows"), spec, tiny_model()).batch == 16


def test_a_recipe_fills_what_was_not_given() -> None:
    spec = TinyTask(recipes={"lstm": {"lr": 0.02, "weight_decay": 0.5, "dropout": 0.3}}).spec
    filled = resolve(TrainSettings(), spec, tiny_model())
    assert (filled.learning_rate, filled.weight_decay) == (0.02, 0.5)
    given = resolve(TrainSettings(learning_rate=0.1), spec, tiny_model())
    assert (given.learning_rate, given.weight_decay) == (0.1, 0.5)
    assert resolve(TrainSettings(), spec, tiny_model("transformer")).weight_decay == TrainSettings().weight_decay


def test_a_rate_in_the_models_brackets_goes_before_the_recipe() -> None:
    spec = TinyTask(recipes={"lstm": {"lr": 0.02}}).spec
    assert resolve(TrainSettings(), spec, parse_model("lstm[learning_rate=0.3]")).learning_rate == 0.3


def test_a_recipe_with_an_unknown_key_is_refused() -> None:
    spec = TinyTask(recipes={"lstm": {"weigth_decay": 0.5}}).spec
    with pytest.raises(ConfigError, match="did you mean 'weight_decay'"):
        resolve(TrainSettings(), spec, tiny_model())
