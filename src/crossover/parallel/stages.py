"""Stages of a pipeline: which blocks stand where, and what one of them computes.

The blocks of an encoder come before those of the decoder that looks at it. What goes from stage to stage is x_BTD,
and within a decoder with a source the encoded source beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from math import inf
from typing import cast

from torch import Tensor, nn

from crossover.costs import Shape
from crossover.models.block import Block
from crossover.models.counting import block_costs, end_costs
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span, State
from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis
from crossover.parallel.layout import Layout
from crossover.parallel.stretch import cuts

_COUNTED_STEPS = 128
"""The length at which the blocks of stages are weighed against one another."""

Flow = tuple[Tensor, ...]
"""(x_BTD,), or (x_BTD, source_BSD) between blocks that look at a source."""


@dataclass(frozen=True)
class Part:
    """One chunk in time of one micro-batch; every stage has it, since `span` and lengths are needed everywhere."""

    inputs: Tensor
    span: Span
    features: Mapping[str, Tensor] = field(default_factory=dict)
    source: Source | None = None
    scored_N: Tensor | None = None


def balanced(costs: Sequence[float], stages: int, *, first: float = 0.0, last: float = 0.0) -> tuple[int, ...]:
    """How many blocks each stage has, so that the costliest stage is as cheap as can be; none is empty.

    `costs` are those of the blocks; `first` and `last` are added to the ends: embedding and head.
    """
    sums = [0.0, *accumulate(costs)]

    def cost(start: int, stop: int) -> float:
        return sums[stop] - sums[start] + (first if start == 0 else 0.0) + (last if stop == len(costs) else 0.0)

    # best[n][stop]: the costliest of n stages over the blocks before `stop`, and where the last of them starts.
    best = [{0: (0.0, 0)}]
    for number in range(1, stages + 1):
        ends = range(number, len(costs) - (stages - number) + 1)
        best.append({stop: _last_stage(best[-1], cost, stop) for stop in ends})
    bounds = [len(costs)]
    for number in range(stages, 0, -1):
        bounds.append(best[number][bounds[-1]][1])
    return tuple(stop - start for start, stop in pairwise(reversed(bounds)))


def _last_stage(
    earlier: Mapping[int, tuple[float, int]], cost: Callable[[int, int], float], stop: int
) -> tuple[float, int]:
    """The costliest stage, and where the last one starts, of the best split before `stop`.

    `earlier` says the former of one stage less, by where that ends. A stage that starts earlier costs more, so what
    costs more than the best by itself ends the search.
    """
    found = (inf, stop)
    for start in range(stop - 1, -1, -1):
        last = cost(start, stop)
        if last > found[0]:
            break
        if start in earlier:
            found = min(found, (max(earlier[start][0], last), start))
    return found


def own_stages(model: SequenceModel, layout: Layout, axis: Axis) -> dict[int, Stage]:
    """This rank's stages of `model`, by their number; the model keeps no other blocks.

    They are as the layout says, or as even as can be by counted FLOPs of rows of a common length; embedding and head
    count with the first block and the last.
    """
    sizes = layout.stages
    if sizes is None:
        shape = Shape(batch=1, time=_COUNTED_STEPS, source=_COUNTED_STEPS if model.encoder is not None else 0)
        costs = [cost.flops_forward for cost in block_costs(model.settings, model.inputs, shape, causal=model.causal)]
        first, last = (c.flops_forward for c in end_costs(model.settings, model.inputs, model.outputs, shape))
        sizes = balanced(costs, layout.pipeline * layout.interleave, first=first, last=last)
    ends = list(accumulate(sizes))
    own = {n: range(ends[n] - sizes[n], ends[n]) for n in range(axis.rank, len(sizes), axis.size)}
    stages = {number: Stage(model, blocks) for number, blocks in own.items()}
    keep_blocks(model, list(own.values()))
    return stages


class Stage:
    """Some consecutive blocks of `model`, with the embedding before the first and the head after the last."""

    def __init__(self, model: SequenceModel, blocks: range) -> None:
        self.model, self.blocks = model, blocks
        self.read_first = len(model.encoder.backbone.blocks) if model.encoder is not None else 0
        self.total = self.read_first + len(model.backbone.blocks)

    @property
    def begins(self) -> bool:
        """Whether the first block is here."""
        return self.blocks.start == 0

    @property
    def ends(self) -> bool:
        """Whether the last block is here, and the head."""
        return self.blocks.stop == self.total

    @property
    def carrying(self) -> int:
        """The number of blocks here that carry a state."""
        return len(self.blocks) - len(range(self.blocks.start, min(self.blocks.stop, self.read_first)))

    def run(self, flow: Flow, part: Part, states: Sequence[State | None]) -> tuple[Flow, list[State | None]]:
        """From what comes out of the stage before (nothing for the first) to what goes on, and the blocks' states.

        The last stage gives the outputs.
        """
        model, after = self.model, list[State | None]()
        before = iter(states)
        for number in self.blocks:
            if number < self.read_first:
                flow = self._read(flow, number, part)
                continue
            if number == self.read_first:
                flow = self._begin(flow, part)
            flow, state = self._write(flow, number, part, next(before))
            after.append(state)
        if not self.ends:
            return flow, after
        x_BTD = model.backbone.norm(flow[0])
        if part.scored_N is not None:
            return (model.head(x_BTD.flatten(0, 1).index_select(0, part.scored_N), None),), after
        return (model.head(x_BTD, part.span.lengths_B),), after

    def _read(self, flow: Flow, number: int, part: Part) -> Flow:
        """A block of the encoder."""
        encoder, source = self.model.encoder, part.source
        if encoder is None or source is None:
            raise ValueError("a stage with blocks of an encoder needs the source to be read")
        x_BSD = encoder.embedding(source.inputs, None, 0) if number == 0 else flow[0]
        block = cast(Block, encoder.backbone.blocks[number])
        return (block(x_BSD, None, Span(lengths_B=_lengths(source), carry=False))[0],)

    def _begin(self, flow: Flow, part: Part) -> Flow:
        """What the decoder's first block takes."""
        x_BTD = self.model.embedding(part.inputs, part.features or None, part.span.offset)
        encoder = self.model.encoder
        return (x_BTD,) if encoder is None else (x_BTD, encoder.backbone.norm(flow[0]))

    def _write(self, flow: Flow, number: int, part: Part, state: State | None) -> tuple[Flow, State | None]:
        """A block of the decoder, or of a model without a source."""
        block, memory = cast(Block, self.model.backbone.blocks[number - self.read_first]), None
        if block.cross is not None and part.source is not None:
            memory = block.cross.remember(flow[1], _lengths(part.source))
        x_BTD, after = block(flow[0], state, part.span, memory)
        return (x_BTD, *flow[1:]), after


def _lengths(source: Source) -> Tensor | None:
    return source.lengths_B if source.padded else None


def keep_blocks(model: SequenceModel, kept: Sequence[range]) -> None:
    """Leave in `model`, in place, the parameters of the `kept` blocks and of the ends that stand with them."""
    probe = Stage(model, range(0))
    numbers = {number for blocks in kept for number in blocks}
    if model.encoder is not None:
        _drop(model.encoder.backbone.blocks, numbers, 0)
        if 0 not in numbers:
            model.encoder.embedding = nn.Identity()  # type: ignore[assignment]
        if probe.read_first not in numbers:
            model.encoder.backbone.norm = nn.Identity()
    _drop(model.backbone.blocks, numbers, probe.read_first)
    if probe.read_first not in numbers:
        model.embedding = nn.Identity()  # type: ignore[assignment]
    if probe.total - 1 not in numbers:
        model.head = nn.Identity()
        model.backbone.norm = nn.Identity()


def _drop(blocks: nn.ModuleList, numbers: set[int], first: int) -> None:
    for place in range(len(blocks)):
        if first + place not in numbers:
            blocks[place] = nn.Identity()


def cut_time(part: Part, chunks: int) -> list[Part]:
    """`part` as chunks in time, as equal as can be; fewer where there are fewer steps."""
    time = part.inputs.shape[1]
    found = []
    for start, stop in cuts(time, max(1, min(chunks, time))):
        steps = slice(start, stop)
        features = {name: value[:, steps] for name, value in part.features.items()}
        scored_N = None if part.scored_N is None else _within(part.scored_N, time, start, stop)
        span = replace(part.span.cut(start, stop - start), carry=part.span.carry or stop < time)
        found.append(replace(part, inputs=part.inputs[:, steps], features=features, span=span, scored_N=scored_N))
    return found


def _within(scored_N: Tensor, time: int, start: int, stop: int) -> Tensor:
    """The numbers (row * T + step) of scored steps that lie in a chunk, as numbers in it."""
    row_N, step_N = scored_N // time, scored_N % time
    inside_N = (step_N >= start) & (step_N < stop)
    return (row_N * (stop - start) + step_N - start)[inside_N]
