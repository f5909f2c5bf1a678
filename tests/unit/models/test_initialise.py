from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from crossover.models.initialise import constant, initialise, normal, scaled_normal
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Inputs, Outputs, PerRow, PerStep, Tokens
from crossover.models.presets import PRESETS

WORDS, STEPS = Tokens(vocabulary=20), PerStep(size=5)


def weights(
    name: str, seed: int = 0, inputs: Inputs = WORDS, outputs: Outputs = STEPS, **changes: object
) -> dict[str, Tensor]:
    settings = replace(PRESETS.get(name), **{"width": 16, "tie_embeddings": False, **changes})
    return build_model(settings, inputs, outputs, causal=True, seed=seed).state_dict()


@pytest.mark.parametrize("name", PRESETS.names())
def test_weights_depend_on_the_seed_and_the_name_only(name: str) -> None:
    torch.manual_seed(11)
    first = weights(name)
    torch.manual_seed(22)
    torch.rand(7)
    again = weights(name)
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = weights(name, seed=1)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert all(value.isfinite().all() for value in first.values())


def test_what_stands_beside_a_parameter_does_not_change_it() -> None:
    two, three = weights("lstm", layers=2), weights("lstm", layers=3)
    assert all(torch.equal(two[key], three[key]) for key in two)
    row = weights("lstm", outputs=PerRow(size=3))
    assert all(torch.equal(two[key], row[key]) for key in two if not key.startswith("head"))


def test_every_parameter_is_filled_whatever_stood_there() -> None:
    settings = replace(PRESETS.get("transformer"), width=16)
    filled = []
    for garbage in (float("nan"), 7.0):
        model = SequenceModel(settings, WORDS, STEPS, causal=True)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(garbage)
        initialise(model, 0)
        filled.append(model.state_dict())
    assert all(torch.equal(filled[0][key], filled[1][key]) for key in filled[0])


def test_matrices_are_scaled_by_their_inputs_norms_are_one_biases_zero() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 300), nn.LayerNorm(300))
    initialise(model, 0)
    assert model[0].weight.std().item() == pytest.approx(1 / 20, rel=0.02)
    assert model[0].bias.abs().max() == 0
    assert model[1].weight.min() == model[1].weight.max() == 1
    assert model[1].bias.abs().max() == 0


def test_a_module_says_how_its_parameters_begin() -> None:
    model = nn.Sequential(nn.Linear(50, 40), nn.Linear(50, 40))
    model[1].init_rules = {"weight": normal(3.0), "bias": constant(2.0)}
    initialise(model, 0)
    assert model[0].bias.abs().max() == 0
    assert model[1].bias.min() == model[1].bias.max() == 2
    assert model[1].weight.std().item() == pytest.approx(3.0, rel=0.05)


def test_the_fan_in_is_every_dim_but_the_first() -> None:
    values = torch.empty(500, 8, 5)
    scaled_normal(gain=2.0)(values, torch.Generator().manual_seed(0))
    assert values.std().item() == pytest.approx(2 / 40**0.5, rel=0.02)


def test_the_precision_of_the_model_does_not_change_the_draw() -> None:
    single, half = nn.Linear(30, 20), nn.Linear(30, 20).to(torch.bfloat16)
    initialise(single, 0)
    initialise(half, 0)
    torch.testing.assert_close(half.weight, single.weight.to(torch.bfloat16))
