"""What a rank does in the tests of pipelines: its stages of a model, and the same model whole."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from mixer_cases import world
from torch import Tensor

from crossover.models.encoder import Source
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.models.ports import PerRow, PerStep, SourceTarget, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.pipeline import Pipeline
from crossover.parallel.stages import Part, Stage, balanced, cut_time, keep_blocks

ROWS, TIME, READ, WIDTH, TOKENS, SIZE = 4, 9, 7, 16, 11, 5


@dataclass(frozen=True)
class Case:
    """A model of some layers under a layout."""

    model: str
    layout: str
    layers: int = 4
    causal: bool = True
    source: bool = False
    ragged: bool = True

    def __str__(self) -> str:
        kind = "-source" if self.source else "" if self.causal else "-encoder"
        return f"{self.model}{kind}-{self.layout}"

    def build(self) -> SequenceModel:
        settings = replace(parse_model(self.model), width=WIDTH, layers=self.layers, dropout=0.0)
        # Two stages that hold the same weights add up their gradients after the pipeline: tests of training do that.
        settings = replace(settings, tie_embeddings=False)
        inputs = SourceTarget(source=Tokens(vocabulary=TOKENS), target=Tokens(vocabulary=TOKENS))
        outputs = PerStep(size=TOKENS) if self.causal else PerRow(size=SIZE)
        own = inputs if self.source else Tokens(vocabulary=TOKENS)
        return build_model(settings, own, outputs, causal=self.causal, seed=0).double()

    def part(self) -> Part:
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randint(TOKENS, (ROWS, TIME), generator=generator)
        lengths_B = torch.tensor([TIME, 4, 1, TIME - 2]) if self.ragged else None
        source = None
        if self.source:
            read = torch.randint(TOKENS, (ROWS, READ), generator=generator)
            source = Source(read, torch.tensor([READ, 3, 1, READ]))
        return Part(inputs, Span(lengths_B=lengths_B, carry=False), source=source)


def apart(case: Case) -> dict[str, float]:
    """How far this rank's loss and gradients are from those of the whole model, by what is compared."""
    layout, whole, part = Layout.parse(case.layout), case.build(), case.part()
    outputs, _ = whole(part.inputs, span=part.span, **({"source": part.source} if part.source else {}))
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = (outputs * weights).sum()
    expected.backward()
    own = deepcopy(whole)
    own.zero_grad(set_to_none=True)
    pipeline = _pipeline(own, layout)
    parts = [cut_time(micro, layout.chunks) for micro in _rows(part, layout.microbatches)]
    rows, ends = _bounds(ROWS, layout.microbatches), _bounds(TIME, len(parts[0]))

    def loss(outputs: Tensor, microbatch: int, chunk: int) -> Tensor:
        weight = weights[rows[microbatch] : rows[microbatch + 1]]
        if case.causal:
            weight = weight[:, ends[chunk] : ends[chunk + 1]]
        return (outputs * weight).sum()

    total, _ = pipeline.play(parts, loss)
    distances = {} if total is None else {"loss": abs(float(total - expected)) / abs(float(expected))}
    gradients = {name: parameter.grad for name, parameter in whole.named_parameters() if parameter.grad is not None}
    norm = float(torch.cat([gradient.flatten() for gradient in gradients.values()]).norm())
    for name, parameter in own.named_parameters():
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        size = max(float(gradients[name].norm()), 1e-3 * norm)
        distances[name] = float((found - gradients[name]).norm()) / size
    distances["parameters"] = 0.0 if len(distances) > 1 else float("inf")
    return distances


def _pipeline(model: SequenceModel, layout: Layout) -> Pipeline:
    axis, total = world("pipeline"), Stage(model, range(0)).total
    sizes = layout.stages or balanced([1.0] * total, layout.pipeline * layout.interleave)
    bounds = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    own = {number: range(bounds[number], bounds[number + 1]) for number in range(axis.rank, len(sizes), axis.size)}
    stages = {number: Stage(model, blocks) for number, blocks in own.items()}
    keep_blocks(model, list(own.values()))
    return Pipeline(stages, layout, axis, width=WIDTH, dtype=torch.float64)


def _rows(part: Part, count: int) -> list[Part]:
    found = []
    bounds = _bounds(ROWS, count)
    for start, stop in pairwise(bounds):
        lengths_B = None if part.span.lengths_B is None else part.span.lengths_B[start:stop]
        source = None if part.source is None else part.source[start:stop]
        span = replace(part.span, lengths_B=lengths_B)
        found.append(replace(part, inputs=part.inputs[start:stop], span=span, source=source))
    return found


def _bounds(size: int, count: int) -> list[int]:
    return [number * size // count for number in range(count + 1)]
