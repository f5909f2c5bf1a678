from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crossover.costs import Cost, Execution, Shape, Term, flops_of
from crossover.models.counting import (
    block_costs,
    count_parameters,
    end_costs,
    model_cost,
)
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import Continuous, Frames, Inputs, Outputs, PerRow, PerStep, SourceTarget, Tokens
from crossover.models.presets import PRESETS, parse_model
from crossover.models.settings import ModelSettings

WORDS = Tokens(vocabulary=50, features={"tags": 7})
SERIES = Continuous(channels=3)
CLIPS = Frames(height=9, width=12, colours=3, features={"words": 7})
PORTS: dict[str, tuple[Inputs, Outputs]] = {
    "words to a label": (WORDS, PerRow(size=4)),
    "words to words": (Tokens(vocabulary=50), PerStep(size=50)),
    "series to a label": (SERIES, PerRow(size=4, pool="max")),
    "series to values": (SERIES, PerRow(size=6, pool="flatten", steps=9)),
    "series to series": (SERIES, PerStep(size=3)),
    "frames to a label": (CLIPS, PerRow(size=4)),
    "tiny frames to frames": (Frames(height=4, width=3), PerStep(size=12)),
}
CHUNKED = ("linear-attention", "recurrence")
"""What is run by chunks: it multiplies also within them, which the recurrence that is counted does not."""


def small(name: str, **changes: object) -> ModelSettings:
    """A preset small enough to be built in no time; ties embeddings only where it is asked for."""
    return replace(PRESETS.get(name), **{"width": 32, "max_length": 16, "tie_embeddings": False, **changes})


def admits(settings: ModelSettings, causal: bool) -> bool:
    """Whether the preset can take a task's causality (``gpt`` is a decoder whatever the task)."""
    return settings.causal is None or settings.causal or not causal


@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize("ports", PORTS)
@pytest.mark.parametrize("name", PRESETS.names())
def test_counted_parameters_are_those_of_the_built_model(name: str, ports: str, causal: bool) -> None:
    inputs, outputs = PORTS[ports]
    settings = small(name)
    model = build_model(settings, inputs, outputs, causal=causal, seed=0)
    counted = count_parameters(settings, inputs, outputs, causal=causal)
    assert counted.total == sum(parameter.numel() for parameter in model.parameters())
    assert counted.without_embedding == sum(parameter.numel() for parameter in model.backbone.parameters())


def test_tied_embeddings_are_counted_once() -> None:
    inputs, outputs = PORTS["words to words"]
    settings = small("gpt", tie_embeddings=True)
    model = build_model(settings, inputs, outputs, causal=True, seed=0)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(settings, inputs, outputs, causal=True).total == found
    untied = count_parameters(small("gpt"), inputs, outputs, causal=True).total
    assert untied - found == 50 * 32


@pytest.mark.parametrize(
    "changes",
    [
        {"style": "post-norm"},
        {"norm": "rms"},
        {"feed_forward": "swiglu"},
        {"feed_forward": "none"},
        {"feed_forward_width": 24},
        {"feed_forward_width": 0},
        {"positions": "learned"},
        {"positions": "sinusoidal"},
        {"layers": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_every_setting_is_counted(name: str, changes: dict[str, object]) -> None:
    inputs, outputs = PORTS["words to a label"]
    settings = small(name, **changes)
    model = build_model(settings, inputs, outputs, causal=False, seed=0)
    counted = count_parameters(settings, inputs, outputs, causal=False)
    assert counted.total == sum(parameter.numel() for parameter in model.parameters())


def counted_by_torch(settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool) -> tuple[int, int]:
    """FLOPs of forward and backward on the meta device, by PyTorch's own counter."""
    with torch.device("meta"):
        model = SequenceModel(settings, inputs, outputs, causal=causal)
        x = torch.zeros(2, 8, dtype=torch.int64) if isinstance(inputs, Tokens) else torch.zeros(2, 8, inputs.channels)
        features = {name: torch.zeros(2, 8, dtype=torch.int64) for name in inputs.features}
    for mixer in model.backbone.mixers():
        mixer.forward = mixer.definition  # type: ignore[method-assign]
    with FlopCounterMode(display=False) as forward:
        y, _ = model(x, features=features or None)
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize(
    "ports", ["words to a label", "series to series", "frames to a label", "tiny frames to frames"]
)
@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "transformer", "transformer-original", "llama-like", "gpt"])
def test_products_cost_what_pytorch_counts(name: str, ports: str, causal: bool) -> None:
    inputs, outputs = PORTS[ports]
    settings = small(name, dropout=0.0)
    expected = counted_by_torch(settings, inputs, outputs, causal=causal)
    cost = model_cost(
        settings, inputs, outputs, Shape(batch=2, time=8), causal=causal, execution=Execution(fused=False)
    )
    assert (cost.flops_forward, cost.flops_backward) == expected


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "definition"])
@pytest.mark.parametrize("ports", ["words to a label", "series to series", "frames to a label", "source to target"])
@pytest.mark.parametrize("name", [*PRESETS.names(), "lstm+attention"])
def test_the_flops_of_every_term_are_those_of_its_products(name: str, ports: str, fused: bool) -> None:
    inputs, outputs = PORTS[ports] if ports in PORTS else (SourceTarget(source=WORDS, target=WORDS), PerStep(size=50))
    settings = replace(parse_model(name), width=32, max_length=16)
    cost = model_cost(
        settings,
        inputs,
        outputs,
        Shape(batch=2, time=8, source=5),
        causal=True,
        execution=Execution(fused=fused),
    )
    for term in cost.terms:
        if fused and (name, term.name) == CHUNKED:
            # A chunk is the whole row here: its pairs are scored, and their values summed, 2 BTTD each.
            batch, width, head_size = 2, 32, 8
            time = term.flops_forward / (4 * batch * width * head_size)
            assert flops_of(term.products) == term.flops_forward + 4 * batch * time**2 * width
        else:
            # Taps by channel are no product of matrices.
            assert flops_of(term.products) == term.flops_forward or term.name == "depthwise"


def test_the_cost_grows_with_batch_and_time_as_the_formulas_say() -> None:
    ports = {"inputs": Tokens(vocabulary=50), "outputs": PerStep(size=50)}

    def flops(name: str, batch: int, time: int) -> float:
        return model_cost(small(name), shape=Shape(batch=batch, time=time), causal=True, **ports).flops_forward

    assert flops("lstm", 4, 64) == 2 * flops("lstm", 2, 64) == 4 * flops("lstm", 2, 32)
    assert flops("transformer", 4, 64) == 2 * flops("transformer", 2, 64)
    # 8bTh² + 4bT²h per layer: twice the length is twice the first part and four times the second.
    batch, time, width = 2, 64, 32
    quadratic = 2 * 4 * batch * time**2 * width
    assert flops("transformer", batch, 2 * time) == 2 * flops("transformer", batch, time) + 2 * quadratic


def test_state_and_serial_steps_tell_the_families_apart() -> None:
    ports = {"inputs": Tokens(vocabulary=50), "outputs": PerStep(size=50)}

    def cost(name: str, time: int) -> Cost:
        return model_cost(parse_model(f"{name}[width=32]"), shape=Shape(batch=1, time=time), causal=True, **ports)

    assert cost("lstm", 64).state_bytes == cost("lstm", 128).state_bytes == 2 * 2 * 32 * 4
    keys_and_values = 2 * 2 * 64 * 32 * 4
    assert cost("transformer", 128).state_bytes - cost("transformer", 64).state_bytes == keys_and_values
    assert cost("lstm", 64).serial_steps == 2 * 64
    assert cost("transformer", 64).serial_steps < 64


@pytest.mark.parametrize("name", ["lstm", "transformer", "gnmt", "llama-like"])
@pytest.mark.parametrize("reads", [False, True], ids=["alone", "with a source"])
def test_every_block_and_both_ends_are_counted_where_they_stand(name: str, reads: bool) -> None:
    words = Tokens(vocabulary=50)
    inputs = SourceTarget(source=words, target=words) if reads else words
    settings, outputs, shape = small(name), PerStep(size=50), Shape(batch=2, time=8, source=6 if reads else 0)
    model = build_model(settings, inputs, outputs, causal=True, seed=0)
    encoder = [] if model.encoder is None else list(model.encoder.backbone.blocks)

    def held(*modules: torch.nn.Module) -> int:
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    blocks = [*encoder, *model.backbone.blocks]
    counted = block_costs(settings, inputs, shape, causal=True)
    assert [cost.parameters for cost in counted] == [held(block) for block in blocks]
    first, last = end_costs(settings, inputs, outputs, shape)
    assert last.parameters == held(model.backbone.norm, model.head)
    assert first.parameters == held(model) - held(*blocks) - last.parameters


def test_costs_add_up_term_by_term() -> None:
    inputs, outputs = PORTS["words to a label"]
    cost = model_cost(small("lstm"), inputs, outputs, Shape(batch=2, time=8), causal=False)
    names = {term.name for term in cost.terms}
    assert {"embedding", "recurrent product", "feed-forward", "head"} <= names
    assert cost.flops_forward == sum(term.flops_forward for term in cost.terms)
    assert all(isinstance(term, Term) for term in cost.terms)
