"""What a cost says of kernels that multiply no matrices, beside what PyTorch starts: on a CPU, without dropout."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from crossover.costs import Cost, Execution, Shape
from crossover.models.backbones import mixer_settings
from crossover.models.counting import block_costs, end_costs
from crossover.models.initialise import initialise
from crossover.models.mixers.base import Span
from crossover.models.mixers.diagonal import TYPICAL_ITERATIONS
from crossover.models.model import build_model
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import PRESETS, parse_model
from crossover.models.settings import ModelSettings

BATCH, TIME, WIDTH, VOCABULARY = 8, 64, 64, 50
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "mkldnn_rnn_layer", "mkldnn_rnn_layer_backward"}
FUSED = {"_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention_for_cpu_backward"}
NOTHING = {
    "_unsafe_view",
    "empty",
    "empty_like",
    "new_empty",
    "empty_strided",
    "new_empty_strided",
    "detach",
    "arange",
}
INPUTS, OUTPUTS = Tokens(vocabulary=VOCABULARY), PerStep(size=VOCABULARY)


class Streams(TorchDispatchMode):
    """Within, the bytes that kernels other than products read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        views = any(value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns)
        if not views and func.overloadpacket.__name__ not in PRODUCTS | FUSED | NOTHING:
            # What is written to, an `out` too, is among what is returned.
            self.bytes += sum(x.numel() * x.element_size() for x in tensors(args))
            self.bytes += sum(x.numel() * x.element_size() for x in tensors(found))
        return found


def tensors(value) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for part in value for x in tensors(part)] if isinstance(value, list | tuple) else []


def counted(settings: ModelSettings) -> tuple[float, float]:
    """Bytes streamed forward and backward."""
    model = build_model(settings, INPUTS, OUTPUTS, causal=True, seed=0)
    with Streams() as forward:
        y_BTV, _ = model(torch.randint(VOCABULARY, (BATCH, TIME)), None, span=Span(carry=False))
    with Streams() as backward:
        y_BTV.backward(torch.ones_like(y_BTV))
    return forward.bytes, backward.bytes


def said(settings: ModelSettings) -> tuple[float, float]:
    shape = Shape(batch=BATCH, time=TIME)
    ends = end_costs(settings, INPUTS, OUTPUTS, shape)
    whole = Cost.sum([*block_costs(settings, INPUTS, shape, causal=True), *ends])
    return (
        sum(term.streamed_forward.bytes for term in whole.terms),
        sum(term.streamed_backward.bytes for term in whole.terms),
    )


DENSE = {"elman", "lstm", "gru"}
"""Mixers whose recurrences have a law of their own, by which everything that they start is timed."""
COUNTED = [name for name in PRESETS.names() if not DENSE & {*PRESETS.get(name).mixers}]


@pytest.mark.parametrize("name", COUNTED)
def test_streamed_bytes_are_those_of_the_kernels_that_run(name: str) -> None:
    """RMSNorm is one kernel on an accelerator, which is what counts, and seven here: LayerNorm stands in for it."""
    changes = {"width": WIDTH, "layers": 2, "max_length": TIME, "tie_embeddings": False, "dropout": 0.0}
    settings = replace(PRESETS.get(name), **changes, norm="layer")
    for found, told in zip(counted(settings), said(settings), strict=True):
        assert told == pytest.approx(found, rel=0.15)


@pytest.mark.parametrize("name", ["diagonal-elman", "diagonal-gru", "diagonal-lstm"])
def test_streamed_bytes_of_newtons_method_are_those_of_its_iterations(name: str) -> None:
    settings = mixer_settings(parse_model(f"{name}[width={WIDTH},{name}.solver=newton]"), causal=True)[0]
    mixer = settings.build()
    initialise(mixer, 0)
    with Streams() as streams, torch.no_grad():
        mixer(torch.randn(BATCH, 4 * TIME, WIDTH), None, Span(carry=False))
    cost = settings.cost(Shape(batch=BATCH, time=4 * TIME), Execution())
    told = sum(term.streamed_forward.bytes for term in cost.terms)
    assert told * mixer.tally.iterations / TYPICAL_ITERATIONS == pytest.approx(streams.bytes, rel=0.15)
    assert abs(mixer.tally.iterations - TYPICAL_ITERATIONS) <= 3
