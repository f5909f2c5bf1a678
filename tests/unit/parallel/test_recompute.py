"""Chunks in time that are computed again change memory alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Continuous, PerStep
from crossover.models.presets import PRESETS
from crossover.models.settings import ModelSettings
from crossover.parallel.recompute import recompute_chunks
from crossover.testing.live import LiveBytes

EXACT = 1e-9
CHANNELS = 3
CARRIED = [name for name in MIXERS.names() if not MIXERS.get(name).state_grows]


def built(mixer: str, dtype: torch.dtype = torch.float64, **changes: object) -> SequenceModel:
    settings: ModelSettings = replace(
        PRESETS.get("lstm"), **{"width": 16, "dropout": 0.0, **changes}, mixers=(mixer,)
    )
    model = build_model(settings, Continuous(channels=CHANNELS), PerStep(size=2), causal=True, seed=3)
    return model.to(dtype)


def gradients(model: SequenceModel, span: Span, *, carried: bool) -> dict[str, Tensor]:
    """Of the inputs, the state before them and every parameter, where outputs and the state after them all count."""
    draw = torch.Generator().manual_seed(1)
    x_BTC = torch.randn(3, 11, CHANNELS, generator=draw, dtype=torch.float64).requires_grad_()
    state = model.initial_state(3, dtype=torch.float64)
    mixers = tuple(
        tuple(torch.randn(part.shape, generator=draw, dtype=torch.float64).requires_grad_() for part in own)
        if all(part.dtype == torch.float64 for part in own)
        else own
        for own in state.mixers
    )
    y_BTC, after = model(x_BTC, state=replace(state, mixers=mixers) if carried else None, span=span)
    loss = (y_BTC * torch.randn(y_BTC.shape, generator=draw, dtype=torch.float64)).sum()
    if after is not None:
        loss = loss + sum(part.square().sum() for own in after.mixers for part in own if part.is_floating_point())
    loss.backward()
    starts = {
        f"state {number}": part.grad for number, part in enumerate(tree_leaves(mixers)) if carried and part.is_leaf
    }
    named = {name: parameter.grad for name, parameter in model.named_parameters()}
    found = {"outputs": y_BTC.detach(), "inputs": x_BTC.grad, **named, **starts}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("carry", [False, True], ids=["left", "carried"])
@pytest.mark.parametrize("mixer", CARRIED)
def test_chunks_computed_again_give_the_same_outputs_and_gradients(mixer: str, carry: bool, ragged: bool) -> None:
    span = Span(lengths_B=torch.tensor([11, 2, 6]) if ragged else None, offset=5, carry=carry)
    model = built(mixer)
    again = deepcopy(model)
    recompute_chunks(again, 4)
    expected, found = (gradients(each, span, carried=carry) for each in (model, again))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] - value).norm() <= EXACT * max(1.0, float(value.norm())), name


def test_rows_shorter_than_the_chunks_are_cut_into_fewer() -> None:
    model = built("lstm")
    again = deepcopy(model)
    recompute_chunks(again, 64)
    expected, found = (gradients(each, Span(), carried=True) for each in (model, again))
    assert all(torch.allclose(found[name], value) for name, value in expected.items())


def most_bytes(model: SequenceModel) -> int:
    with LiveBytes() as live:
        model(torch.zeros(1, 1024, CHANNELS), span=Span(carry=False))[0].sum().backward()
    return live.most


@pytest.mark.parametrize("mixer", ["lstm", "mingru", "diagonal-gru"])
def test_the_activations_of_one_chunk_are_there_at_a_time(mixer: str) -> None:
    model = built(mixer, torch.float32, layers=4)
    again = deepcopy(model)
    recompute_chunks(again, 16)
    rows = 1024 * 16 * 4
    # What enters and leaves all blocks, with its gradient, is there whole in either case.
    assert most_bytes(again) < most_bytes(model) / 8 + 6 * rows
