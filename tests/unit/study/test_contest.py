from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.costs import Shape
from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.models.counting import count_parameters, model_cost
from crossover.models.settings import ModelSettings
from crossover.study.contest import Contest, build_task, enter, prepare_model
from crossover.study.request import CompareRequest
from crossover.tasks.generated.task import parity
from unit.train.tiny_task import TinyTask

TASK = TinyTask(
    defaults={"width": 24, "layers": 3, "dropout": 0.0},
    recipes={"gru": {"lr": 1e-2, "dropout": 0.4, "feed_forward": "relu"}, "lstm": {"layers": 1}},
)
SPEC = TASK.spec


def contest(match: str, *names: str, seconds: object = None) -> Contest:
    def unused(model: ModelSettings) -> float:
        raise AssertionError("the step is measured for match='step' only")

    return enter(TASK, names, match, seconds or unused)  # type: ignore[arg-type]


def without_ends(model: ModelSettings) -> int:
    return count_parameters(model, SPEC.inputs, SPEC.outputs, causal=SPEC.causal).without_embedding


def test_settings_are_taken_from_the_user_then_the_recipe_then_the_task() -> None:
    plain = prepare_model("gru", SPEC)
    assert (plain.width, plain.layers, plain.dropout, plain.feed_forward) == (24, 3, 0.4, "relu")
    assert plain.learning_rate == 3e-3, "rates of a recipe belong to training"
    own = prepare_model("gru[dropout=0.2,width=8]", SPEC)
    assert (own.width, own.dropout, own.feed_forward) == (8, 0.2, "relu")
    changed = prepare_model("gru", SPEC, {"feed_forward": "gelu", "layers": 2})
    assert (changed.feed_forward, changed.layers) == ("gelu", 2)
    assert prepare_model("lstm", SPEC).layers == 1
    assert prepare_model("transformer", SPEC).layers == 3


def test_a_change_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'model\.widht'"):
        prepare_model("lstm", SPEC, {"widht": 8})


def test_rows_longer_than_learned_positions_are_refused() -> None:
    assert prepare_model("transformer[positions=learned,max_length=12]", SPEC).max_length == 12
    with pytest.raises(ConfigError, match=r"up to 12 steps, more than the 11 positions .* max_length=12"):
        prepare_model("transformer[positions=learned,max_length=11]", SPEC)
    assert prepare_model("transformer[max_length=4]", SPEC), "rotary positions have no end"


def test_a_model_that_the_task_does_not_admit_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigError, match="tie_embeddings"):
        prepare_model("gpt", SPEC)
    with pytest.raises(ConfigError, match="needs a causal model"):
        prepare_model("lstm[causal=false]", replace(SPEC, causal=True))


def test_parameters_without_ends_are_made_equal() -> None:
    first, *others = contest("params", "lstm[width=64]", "gru", "transformer", "mingru").models
    assert first.width == 64, "the first sets the size"
    for other in others:
        assert abs(without_ends(other) / without_ends(first) - 1) <= 0.03


def test_flops_per_token_are_made_equal() -> None:
    shape = Shape(batch=1, time=SPEC.max_length)
    flops = [
        model_cost(model, SPEC.inputs, SPEC.outputs, shape, causal=SPEC.causal).flops_forward
        for model in contest("flops", "lstm[width=64]", "transformer", "mingru").models
    ]
    assert max(flops) / min(flops) < 1.07


def test_flops_are_made_equal_at_the_length_of_training_rows_not_of_longer_tests() -> None:
    def unused(model: ModelSettings) -> float:
        raise AssertionError("nothing is measured")

    task = parity(DataOptions(settings={"longest": 20}))
    models = enter(task, ("lstm[width=64]", "transformer"), "flops", unused).models
    ends = {"causal": True, "inputs": task.spec.inputs, "outputs": task.spec.outputs}
    first, other = (model_cost(model, shape=Shape(batch=1, time=20), **ends).flops_forward for model in models)
    assert other / first == pytest.approx(1, abs=0.05)


def test_step_seconds_are_made_equal_as_they_are_measured() -> None:
    def seconds(model: ModelSettings) -> float:
        return without_ends(model) * (2e-9 if model.mixers == ("lstm",) else 1e-9)

    first, other = contest("step", "lstm[width=64]", "mingru", seconds=seconds).models
    assert abs(seconds(other) / seconds(first) - 1) <= 0.1


def test_nothing_is_made_equal_when_nothing_is_to_be() -> None:
    assert [model.width for model in contest("none", "lstm[width=64]", "gru[width=8]").models] == [64, 8]


def test_a_new_split_for_every_seed_only_when_asked() -> None:
    def tokens(resplit: bool, seed: int) -> list[int]:
        task = build_task("parity", CompareRequest(tasks=("parity",), resplit=resplit), seed)
        return task.splits["test"].inputs[0].tolist()  # type: ignore[attr-defined]

    assert tokens(False, 0) == tokens(False, 1)
    assert tokens(True, 0) != tokens(True, 1)
