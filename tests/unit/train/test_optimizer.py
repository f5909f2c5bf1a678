from __future__ import annotations

import pytest
import torch
from tiny_task import TinyTask, tiny_model

from crossover.errors import ConfigError
from crossover.models.model import SequenceModel, build_model
from crossover.models.presets import parse_model
from crossover.train.optimizer import build_optimizer, decayed_parameters, rate_at, set_rate
from crossover.train.settings import TrainSettings


def _model(name: str = "transformer") -> SequenceModel:
    spec = TinyTask().spec
    return build_model(tiny_model(name), spec.inputs, spec.outputs, causal=False, seed=0)


def test_only_matrices_outside_embeddings_and_norms_decay() -> None:
    model = _model()
    decayed, others = decayed_parameters(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(p)] for p in others} == {
        name for name, p in model.named_parameters() if p.ndim < 2 or name.startswith("embedding.tokens")
    }
    assert len(decayed) + len(others) == len(names)


def test_a_tied_embedding_is_one_parameter_and_does_not_decay() -> None:
    from crossover.models.ports import PerStep, Tokens

    settings = parse_model("gpt[width=16,layers=1,max_length=8]")
    model = build_model(settings, Tokens(vocabulary=9), PerStep(size=9), causal=True, seed=0)
    decayed, others = decayed_parameters(model)
    assert id(model.embedding.tokens.weight) in {id(p) for p in others}
    assert len({id(p) for p in decayed + others}) == len(decayed) + len(others) == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_an_optimiser_is_fused_and_moves_every_parameter(name: str) -> None:
    model = _model("lstm")
    optimizer = build_optimizer(model, TrainSettings(optimizer=name, learning_rate=0.1))  # type: ignore[arg-type]
    assert all(group["fused"] for group in optimizer.param_groups)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert all((old != new).all() for old, new in zip(before, model.parameters(), strict=True))


def test_an_open_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match="learning_rate is not set"):
        build_optimizer(_model(), TrainSettings())


def test_the_rate_warms_up_linearly_and_falls_as_a_cosine() -> None:
    settings = TrainSettings(learning_rate=2.0, warmup=0.1, final_rate=0.1)
    assert rate_at(0.0, settings) == pytest.approx(0.2)
    assert rate_at(0.05, settings) == pytest.approx(1.1)
    assert rate_at(0.1, settings) == pytest.approx(2.0)
    assert rate_at(0.55, settings) == pytest.approx(1.1)
    assert rate_at(1.0, settings) == pytest.approx(0.2)
    rates = [rate_at(i / 100, settings) for i in range(10, 101)]
    assert rates == sorted(rates, reverse=True)


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert rate_at(0.0, TrainSettings(learning_rate=2.0, warmup=0.0)) == pytest.approx(2.0)
    assert rate_at(1.0, TrainSettings(learning_rate=2.0, warmup=1.0, final_rate=0.5)) == pytest.approx(2.0)


def test_every_group_gets_the_rate() -> None:
    optimizer = build_optimizer(_model(), TrainSettings(learning_rate=1.0))
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
