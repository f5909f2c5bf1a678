"""Backbones: blocks in sequence. A decoder is causal and carries their states, an encoder sees whole rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from crossover.config import build
from crossover.errors import ConfigError, unknown
from crossover.models.block import Block, make_norm
from crossover.models.mixers import MIXERS, Mixer, MixerSettings, Span, State
from crossover.models.settings import ModelSettings


@dataclass(frozen=True)
class ModelState:
    """What a causal model carries from chunk to chunk: each mixer's state, and the position of each row.

    `memory` is what each block of a decoder with a source remembers of it; it stays the same from step to step.
    """

    mixers: tuple[State, ...]
    position_B: Tensor
    memory: tuple[State, ...] = ()

    def detach(self) -> ModelState:
        """The same state, cut from what led to it."""
        return ModelState(
            tuple(tuple(part.detach() for part in state) for state in self.mixers),
            self.position_B,
            tuple(tuple(part.detach() for part in state) for state in self.memory),
        )

    def select(self, rows_B: Tensor, *, memory: bool = True) -> ModelState:
        """The state of these rows, copied; with `memory` False that part stays as it is."""
        chosen = self.memory
        if memory:
            chosen = tuple(_select(state, rows_B) for state in self.memory)
        return ModelState(
            tuple(_select(state, rows_B) for state in self.mixers), self.position_B.index_select(0, rows_B), chosen
        )


def _select(state: State, rows_B: Tensor) -> State:
    return tuple(part.index_select(0, rows_B) for part in state)


def mixer_settings(settings: ModelSettings, *, causal: bool) -> list[MixerSettings]:
    """The settings of every block's mixer: the pattern repeated over the layers.

    A mixer setting that no mixer of the pattern has is a ConfigError.
    """
    classes = {name: MIXERS.get(name) for name in settings.mixers}
    names = {name: {f.name for f in fields(cls)} - {"width", "causal"} for name, cls in classes.items()}
    for name in settings.mixer:
        if name not in classes:
            raise ConfigError(unknown(f"mixer in settings of {settings.name!r}", name, classes))
    built = {
        name: build(
            cls,
            {
                "width": settings.width,
                "causal": causal,
                **_implied(settings, names[name]),
                **settings.mixer.get(name, {}),
            },
            path=name,
        )
        for name, cls in classes.items()
    }
    return [built[settings.mixers[layer % len(settings.mixers)]] for layer in range(settings.layers)]


def _implied(settings: ModelSettings, names: set[str]) -> Mapping[str, Any]:
    return {"rotary": True} if settings.positions == "rotary" and "rotary" in names else {}


class Backbone(nn.Module):
    """x_BTD through every block; `causal` makes it a decoder, otherwise an encoder of whole rows.

    `mixers` are those of the blocks where they are others than the settings say; with `cross` the blocks that do so
    look at a source.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        causal: bool,
        mixers: Sequence[MixerSettings] | None = None,
        cross: bool = False,
    ) -> None:
        super().__init__()
        self.causal = causal
        mixers = mixer_settings(settings, causal=causal) if mixers is None else mixers
        self.blocks = nn.ModuleList(
            Block(settings, mixer.build(), cross=cross and settings.looks(number))
            for number, mixer in enumerate(mixers)
        )
        self.norm = make_norm(settings) if settings.style == "pre-norm" else nn.Identity()

    def forward(
        self,
        x_BTD: Tensor,
        state: ModelState | None = None,
        span: Span | None = None,
        memory: tuple[State, ...] = (),
    ) -> tuple[Tensor, ModelState | None]:
        """x_BTD -> x_BTD and the state after it; None for an encoder or where `span.carry` is False."""
        span = span or Span()
        if state is not None:
            span, memory = replace(span, offset=state.position_B + span.offset), state.memory
        after: list[State | None] = []
        for layer, block in enumerate(self.blocks):
            before = state.mixers[layer] if state is not None else None
            x_BTD, mixed = block(x_BTD, before, span, memory[layer] if layer < len(memory) else None)
            after.append(mixed)
        x_BTD = self.norm(x_BTD)
        if not self.causal or not span.carry:
            return x_BTD, None
        return x_BTD, ModelState(tuple(s for s in after if s is not None), self.advance(x_BTD, span), memory)

    def remember(self, source_BSD: Tensor, lengths_B: Tensor | None) -> tuple[State, ...]:
        """What the blocks that look at it keep of an encoded source; () where none does."""
        looks = [cast(Block, block).cross for block in self.blocks]
        return tuple(cross.remember(source_BSD, lengths_B) for cross in looks if cross is not None)

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ModelState:
        """The state before the first step; `capacity` pre-allocates caches that grow."""
        if not self.causal:
            raise ConfigError("an encoder carries no state: use a causal model to stream or decode")
        return ModelState(
            tuple(
                mixer.initial_state(batch, capacity=capacity, device=device, dtype=dtype) for mixer in self.mixers()
            ),
            torch.zeros(batch, dtype=torch.int64, device=device),
        )

    def mixers(self) -> Iterator[Mixer]:
        """Each block's mixer, in order; on a stage of a pipeline, of the blocks that are there."""
        for block in self.blocks:
            if not isinstance(block, nn.Identity):
                yield cast(Block, block).mixer

    @staticmethod
    def advance(x_BTD: Tensor, span: Span) -> Tensor:
        """The position of each row after the steps of x_BTD."""
        steps = x_BTD.shape[1] if span.lengths_B is None else span.lengths_B
        start = (
            span.offset
            if isinstance(span.offset, Tensor)
            else torch.full((x_BTD.shape[0],), span.offset, dtype=torch.int64, device=x_BTD.device)
        )
        return start + steps
