"""The sequence model: embedding, backbone, head. Only the backbone's mixers differ between the families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from crossover.errors import ConfigError
from crossover.models.backbones import Backbone, ModelState
from crossover.models.embedding import Embedding
from crossover.models.encoder import Encoder, Source
from crossover.models.heads import StepHead, make_head
from crossover.models.initialise import initialise
from crossover.models.mixers.base import Mixer, Span, State
from crossover.models.ports import Inputs, Outputs, PerStep, SourceTarget, Steps, Tokens, steps_of
from crossover.models.settings import ModelSettings


class SequenceModel(nn.Module):
    """Inputs [B, T] or [B, T, C] to outputs [B, size] (`PerRow`) or [B, T, size] (`PerStep`).

    With inputs of a `SourceTarget` it is an encoder-decoder: `encoder` reads the source, and the blocks of `backbone`
    look at it while they write.
    """

    def __init__(self, settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool) -> None:
        super().__init__()
        self.settings = settings
        self.inputs = inputs
        self.outputs = outputs
        own = steps_of(inputs)
        self.embedding = Embedding(settings, own)
        self.encoder = Encoder(settings, inputs.source) if isinstance(inputs, SourceTarget) else None
        self.backbone = Backbone(settings, causal=causal, cross=self.encoder is not None)
        self.head = make_head(settings.width, outputs)
        if settings.tie_embeddings:
            self._tie(own)
        if isinstance(inputs, SourceTarget) and inputs.shared and self.encoder is not None:
            self.encoder.embedding.tokens.weight = self.embedding.tokens.weight

    @property
    def causal(self) -> bool:
        """Whether a step sees only what came before it, so that the state can be carried."""
        return self.backbone.causal

    def forward(
        self,
        inputs: Tensor,
        features: Mapping[str, Tensor] | None = None,
        state: ModelState | None = None,
        span: Span | None = None,
        source: Source | None = None,
        scored_N: Tensor | None = None,
    ) -> tuple[Tensor, ModelState | None]:
        """Outputs, and the state to go on from (None for an encoder or where `span.carry` is False).

        `span.offset` counts from where `state` stands. An encoder-decoder takes a `source`, or a state that remembers
        one. With `scored_N`, numbers of steps (row * T + step), the outputs [N, size] are those of these steps alone.
        """
        span = span or Span()
        offset = span.offset if state is None else state.position_B + span.offset
        memory = self._remember(source) if state is None else ()
        x_BTD = self.embedding(inputs, features, offset)
        x_BTD, state = self.backbone(x_BTD, state, span, memory)
        if scored_N is not None:
            return self.head(x_BTD.flatten(0, 1).index_select(0, scored_N), None), state
        return self.head(x_BTD, span.lengths_B), state

    def mixers(self) -> Iterator[Mixer]:
        """Every block's mixer, the encoder's first."""
        if self.encoder is not None:
            yield from self.encoder.backbone.mixers()
        yield from self.backbone.mixers()

    def initial_state(
        self,
        batch: int,
        *,
        source: Source | None = None,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ModelState:
        """The state before the first step, `source` encoded in it; `capacity` pre-allocates caches that grow."""
        state = self.backbone.initial_state(batch, capacity=capacity, device=device, dtype=dtype)
        return replace(state, memory=self._remember(source))

    def _remember(self, source: Source | None) -> tuple[State, ...]:
        if self.encoder is None:
            return ()
        if source is None:
            raise ConfigError(f"model {self.settings.name!r} is an encoder-decoder: give it the source to be read")
        return self.backbone.remember(*self.encoder(source))

    def _tie(self, inputs: Steps) -> None:
        tied = isinstance(inputs, Tokens) and isinstance(self.outputs, PerStep)
        if not tied or inputs.vocabulary != self.outputs.size:  # type: ignore[union-attr]
            raise ConfigError(
                f"model {self.settings.name!r} ties its embeddings, which needs tokens in and the same tokens out: "
                "for this task give it tie_embeddings=false in brackets"
            )
        if isinstance(self.head, StepHead):
            self.head.project.weight = self.embedding.tokens.weight  # type: ignore[assignment]


def build_model(
    settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool, seed: int
) -> SequenceModel:
    """A model with its initial weights; `settings.causal`, where set, goes before the task's `causal`."""
    model = SequenceModel(settings, inputs, outputs, causal=_causality(settings, causal))
    initialise(model, seed)
    return model


def check_model(settings: ModelSettings, inputs: Inputs, outputs: Outputs, *, causal: bool) -> SequenceModel:
    """The model without memory for its weights, or the ConfigError that building it would raise."""
    with torch.device("meta"):
        return SequenceModel(settings, inputs, outputs, causal=_causality(settings, causal))


def _causality(settings: ModelSettings, causal: bool) -> bool:
    if settings.causal is None:
        return causal
    if causal and not settings.causal:
        raise ConfigError(f"model {settings.name!r} has causal=false, but this task needs a causal model")
    return settings.causal
