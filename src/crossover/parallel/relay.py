"""Blocks of a trained model on several ranks, which hand on what leaves them: a pipeline without a way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from crossover.errors import ConfigError
from crossover.models.backbones import Backbone, ModelState
from crossover.models.block import Block
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span, State
from crossover.models.model import SequenceModel
from crossover.models.ports import PerRow
from crossover.parallel.collectives import Axis
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import everyones
from crossover.parallel.stages import Stage, own_stages


class Relay:
    """The blocks of `model` over the ranks of `axis`, in place: what leaves one goes to the next, outputs to all.

    Rows without a state go as `Layout.microbatches`, one after the other, so that the ranks work at the same time; a
    step from a carried state is taken by one rank after the other.
    """

    def __init__(self, model: SequenceModel, layout: Layout, axis: Axis) -> None:
        self.model, self.axis, self.microbatches = model, axis, layout.microbatches
        weight = next(model.parameters())
        self.dtype, self.device = weight.dtype, weight.device
        self.stages = own_stages(model, layout, axis)
        self.read = len(model.encoder.backbone.blocks) if model.encoder is not None else 0
        """Blocks that read a source; they come before the others."""
        self.begins = self._owner(lambda stage: self.read in stage.blocks)
        self.ends = self._owner(lambda stage: stage.ends)
        self._sent: list[tuple[Any, Tensor]] = []
        model.forward = self.forward  # type: ignore[method-assign]
        model.initial_state = self.initial_state  # type: ignore[method-assign,assignment]

    def forward(
        self,
        inputs: Tensor,
        features: Mapping[str, Tensor] | None = None,
        state: ModelState | None = None,
        span: Span | None = None,
        source: Source | None = None,
        scored_N: Tensor | None = None,
    ) -> tuple[Tensor, ModelState | None]:
        """See `SequenceModel.forward`; the state holds what this rank's blocks carry."""
        span, features = span or Span(), features or {}
        memory = state.memory if state is not None else self._remember(source)
        if state is not None:
            span = replace(span, offset=state.position_B + span.offset)
        count = 1 if state is not None or memory or span.carry else min(self.microbatches, len(inputs))
        found, after = list[Tensor | None](), list[State | None]()
        for number in range(count):
            rows = slice(number * len(inputs) // count, (number + 1) * len(inputs) // count)
            given = {name: value_BT[rows] for name, value_BT in features.items()}
            own = span if count == 1 else _of_rows(span, rows)
            x, after = self._through(inputs[rows], given, state.mixers if state is not None else (), own, memory)
            found.append(x)
        self._wait()
        outputs = self._everywhere(found, self._shape(inputs), self.ends)
        if scored_N is not None:
            outputs = outputs.flatten(0, 1).index_select(0, scored_N)
        if not self.model.causal or not span.carry:
            return outputs, None
        carried = tuple(part for part in after if part is not None)
        return outputs, ModelState(carried, Backbone.advance(inputs, span), memory)

    def initial_state(
        self,
        batch: int,
        *,
        source: Source | None = None,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ModelState:
        """See `SequenceModel.initial_state`: what this rank's blocks carry before the first step."""
        states = [
            block.mixer.initial_state(batch, capacity=capacity, device=device, dtype=dtype)
            for stage in self.stages.values()
            for block in self._writing(stage)
        ]
        position_B = torch.zeros(batch, dtype=torch.int64, device=device)
        return ModelState(tuple(states), position_B, self._remember(source))

    def _owner(self, holds: Callable[[Stage], bool]) -> int:
        """The rank with the one stage that `holds` says."""
        return everyones(any(holds(stage) for stage in self.stages.values()), self.axis).index(True)

    def _through(
        self,
        inputs: Tensor,
        features: Mapping[str, Tensor],
        states: tuple[State, ...],
        span: Span,
        memory: tuple[State, ...],
    ) -> tuple[Tensor | None, list[State | None]]:
        """Rows through this rank's blocks: the outputs where the last one is here, and the blocks' states."""
        found, after = None, list[State | None]()
        before, looks = iter(states), iter(memory)
        for number, stage in self.stages.items():
            blocks = self._writing(stage)
            if not blocks:
                continue
            if stage.blocks.start <= self.read:
                x_BTD = self.model.embedding(inputs, features or None, span.offset)
            else:
                x_BTD = self._receive(number, inputs.shape[:2])
            for block in blocks:
                x_BTD, carried = block(x_BTD, next(before, None), span, next(looks, None))
                after.append(carried)
            if stage.ends:
                found = self.model.head(self.model.backbone.norm(x_BTD), span.lengths_B)
            else:
                self._send(number, x_BTD)
        return found, after

    def _remember(self, source: Source | None) -> tuple[State, ...]:
        """What this rank's blocks keep of a source, which the first ranks read."""
        encoder = self.model.encoder
        if encoder is None:
            return ()
        if source is None:
            raise ConfigError(f"model {self.model.settings.name!r} reads a source: give it one")
        lengths_B, encoded = source.lengths_B if source.padded else None, list[Tensor | None]()
        for number, stage in self.stages.items():
            if stage.blocks.start > self.read:
                continue
            begins = stage.blocks.start == 0
            x_BSD = (
                encoder.embedding(source.inputs, None, 0) if begins else self._receive(number, source.inputs.shape)
            )
            for place in range(stage.blocks.start, min(stage.blocks.stop, self.read)):
                block = cast(Block, encoder.backbone.blocks[place])
                x_BSD = block(x_BSD, None, Span(lengths_B=lengths_B, carry=False))[0]
            if self.read in stage.blocks:
                encoded.append(encoder.backbone.norm(x_BSD))
            else:
                self._send(number, x_BSD)
        self._wait()
        shape = (*source.inputs.shape[:2], self.model.settings.width)
        encoded_BSD = self._everywhere(encoded, shape, self.begins)
        looks = [block.cross for stage in self.stages.values() for block in self._writing(stage)]
        return tuple(cross.remember(encoded_BSD, lengths_B) for cross in looks if cross is not None)

    def _writing(self, stage: Stage) -> list[Block]:
        """The blocks of a stage that carry a state."""
        places = range(max(stage.blocks.start, self.read), stage.blocks.stop)
        return [cast(Block, self.model.backbone.blocks[place - self.read]) for place in places]

    def _shape(self, inputs: Tensor) -> tuple[int, ...]:
        """That of the outputs."""
        outputs = self.model.outputs
        return (len(inputs), outputs.size) if isinstance(outputs, PerRow) else (*inputs.shape[:2], outputs.size)

    def _send(self, number: int, x_BTD: Tensor) -> None:
        """What left stage `number`, to the next."""
        given = x_BTD.to(self.dtype).contiguous()
        to = self.axis.peer((number + 1) % self.axis.size)
        self._sent.append((dist.isend(given, to, group=self.axis.group), given))

    def _receive(self, number: int, rows: Sequence[int]) -> Tensor:
        """What the stage before `number` sent, for inputs of the shape `rows`, [B, T] at least."""
        x_BTD = torch.empty(*rows[:2], self.model.settings.width, dtype=self.dtype, device=self.device)
        dist.recv(x_BTD, self.axis.peer((number - 1) % self.axis.size), group=self.axis.group)
        return x_BTD

    def _wait(self) -> None:
        for work, _ in self._sent:
            work.wait()
        self._sent.clear()

    def _everywhere(self, parts: Sequence[Tensor | None], shape: tuple[int, ...], owner: int) -> Tensor:
        """What rank `owner` of the axis found, on every rank."""
        found = [part for part in parts if part is not None]
        whole = torch.cat(found).to(self.dtype) if found else torch.empty(shape, dtype=self.dtype, device=self.device)
        whole = whole.contiguous()
        dist.broadcast(whole, self.axis.peer(owner), group=self.axis.group)
        return whole


def _of_rows(span: Span, rows: slice) -> Span:
    """What `span` says of some of the rows."""
    lengths_B, resets_BT = (None if part is None else part[rows] for part in (span.lengths_B, span.resets_BT))
    offset = span.offset[rows] if isinstance(span.offset, Tensor) else span.offset
    return Span(lengths_B, resets_BT, offset, span.carry)
