from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from crossover.costs import Cost, Shape
from crossover.models.block import Block
from crossover.models.counting import block_costs, model_cost
from crossover.models.mixers import MIXERS
from crossover.models.model import build_model
from crossover.models.ports import PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.collectives import Axis
from crossover.parallel.tensor import share_model
from crossover.parallel.vocabulary import share_vocabulary
from crossover.planning.job import Job
from crossover.planning.practice import Practice
from crossover.planning.share import around_parameters, ends_parameters, mixer_parameters, share_of, with_casts

TOKENS = Tokens(vocabulary=48)


def job(name: str, *, source: bool = False, **changes: object) -> Job:
    inputs = SourceTarget(source=TOKENS, target=TOKENS) if source else TOKENS
    settings = replace(parse_model(name), **{"width": 32, "max_length": 64, **changes})
    return Job(model=settings, inputs=inputs, outputs=PerStep(size=48), rows=8, time=16, precision="fp32")


@pytest.mark.parametrize("mixer", MIXERS.names())
def test_shares_of_tensor_ranks_add_up_to_the_whole(mixer: str) -> None:
    whole = Cost.sum(job(mixer).blocks(8))
    own = share_of(whole, tensor=2)
    assert sum(p.flops for term in own.terms for p in term.products) * 2 == pytest.approx(
        sum(p.flops for term in whole.terms for p in term.products)
    )
    assert whole.activation_bytes / 2 < own.activation_bytes < whole.activation_bytes


@pytest.mark.parametrize("mixer", MIXERS.names())
def test_stretches_of_time_add_up_to_the_whole(mixer: str) -> None:
    whole = Cost.sum(job(mixer).blocks(8))
    own = share_of(whole, stretches=4)
    assert own.activation_bytes * 4 == pytest.approx(whole.activation_bytes)
    assert own.flops_forward * 4 == pytest.approx(whole.flops_forward)
    assert own.streamed_bytes * 4 == pytest.approx(whole.streamed_bytes)


def test_a_rank_that_has_all_of_it_has_the_cost_itself() -> None:
    whole = Cost.sum(job("lstm").blocks(8))
    assert share_of(whole) is whole


@pytest.mark.parametrize(
    ("name", "source"),
    [
        *product([*MIXERS.names(), "transformer", "llama-like"], [False]),
        ("transformer", True),
        ("transformer[cross_layers=1]", True),
    ],
)
def test_parameters_of_a_rank_are_those_of_the_model_that_is_shared_out(name: str, source: bool) -> None:
    planned = job(name, source=source)
    model = build_model(planned.model, planned.inputs, planned.outputs, causal=True, seed=0)
    axis = Axis("tensor", None, 0, 2)
    share_model(model, axis)
    share_vocabulary(model, axis, joined=False)
    blocks = [block for block in model.modules() if isinstance(block, Block)]
    for number, (block, mixer) in enumerate(zip(blocks, planned.mixers, strict=True)):
        told = mixer_parameters(mixer, 2) + around_parameters(planned.model, 2, looks=planned.looks(number))
        assert told == sum(parameter.numel() for parameter in block.parameters())
    rest = sum(p.numel() for p in model.parameters()) - sum(p.numel() for block in blocks for p in block.parameters())
    assert sum(ends_parameters(planned, 2)) == rest


def test_parameters_of_all_parts_are_those_of_the_model() -> None:
    for name in ("lstm", "transformer", "gpt"):
        planned = job(name)
        parts = [
            mixer_parameters(mixer, 1) + around_parameters(planned.model, 1, looks=False) for mixer in planned.mixers
        ]
        assert sum(parts) + sum(ends_parameters(planned, 1)) == planned.parameters


def test_blocks_and_ends_are_the_model() -> None:
    planned = job("gpt")
    whole = model_cost(planned.model, planned.inputs, planned.outputs, Shape(batch=8, time=16), causal=True)
    parts = [*planned.blocks(8), *planned.ends(8)]
    assert sum(part.flops_forward for part in parts) == whole.flops_forward
    assert torch.get_default_dtype() == torch.float32
    assert block_costs(planned.model, planned.inputs, Shape(batch=8, time=16), causal=True) == planned.blocks(8)


def test_what_is_fused_streams_less_and_the_rest_as_much() -> None:
    whole = Cost.sum(job("transformer").blocks(8))
    fused = share_of(whole, practice=Practice(streamed={"norm": 0.5}))
    for before, after in zip(whole.terms, fused.terms, strict=True):
        share = 0.5 if before.name == "norm" else 1.0
        for direction in ("streamed_forward", "streamed_backward"):
            assert getattr(after, direction).bytes == share * getattr(before, direction).bytes


def test_operands_of_products_in_eight_bits_are_cast_by_a_kernel_each_way() -> None:
    whole = share_of(Cost.sum(job("transformer").blocks(8)))
    for before, after in zip(whole.terms, with_casts(whole).terms, strict=True):
        if before.fused or not before.products:
            assert after == before
            continue
        entering = sum(each.rows * each.depth for each in before.products)
        leaving = sum(each.rows * each.columns for each in before.products)
        assert after.streamed_forward.bytes == before.streamed_forward.bytes + 4 * entering
        assert after.streamed_backward.bytes == before.streamed_backward.bytes + 4 * leaving
        assert after.streamed_forward.started == before.streamed_forward.started + len(before.products)
