"""The encoder of an encoder-decoder: a source that is read whole, to what the decoder's blocks look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from crossover.models.backbones import Backbone, mixer_settings
from crossover.models.embedding import Embedding
from crossover.models.mixers.base import MixerSettings, Span
from crossover.models.ports import Steps
from crossover.models.settings import ModelSettings


@dataclass(frozen=True)
class Source:
    """Rows to be read whole: `inputs` [B, S] or [B, S, C], of which `lengths_B` steps are real.

    `padded`, whether any is not, is looked up (None) where the rows are made and carried to a device, which is so
    never waited for.
    """

    inputs: Tensor
    lengths_B: Tensor
    padded: bool | None = None

    def __post_init__(self) -> None:
        if self.padded is None:
            object.__setattr__(self, "padded", bool((self.lengths_B != self.inputs.shape[1]).any()))

    def __getitem__(self, rows: slice | Tensor) -> Source:
        """Some of the rows, padded as they are."""
        return Source(self.inputs[rows], self.lengths_B[rows])

    def to(self, device: torch.device | str) -> Source:
        """The same on `device`."""
        return Source(self.inputs.to(device), self.lengths_B.to(device), self.padded)


def encoder_settings(settings: ModelSettings) -> ModelSettings:
    """The encoder's blocks as a model of their own: as the decoder's, but for their number."""
    layers = settings.layers if settings.encoder_layers is None else settings.encoder_layers
    return replace(settings, layers=layers, causal=None)


def encoder_mixers(settings: ModelSettings) -> list[MixerSettings]:
    """The mixers of the encoder's blocks; `settings.encoder` says which of them see the whole row."""
    whole = mixer_settings(encoder_settings(settings), causal=False)
    past = mixer_settings(encoder_settings(settings), causal=True)
    return {"bidirectional": whole, "first-bidirectional": [whole[0], *past[1:]], "causal": past}[settings.encoder]


class Encoder(nn.Module):
    """Source [B, S] or [B, S, C] to [B, S, D]."""

    def __init__(self, settings: ModelSettings, inputs: Steps) -> None:
        super().__init__()
        own = encoder_settings(settings)
        self.embedding = Embedding(own, inputs)
        self.backbone = Backbone(own, causal=False, mixers=encoder_mixers(settings))

    def forward(self, source: Source) -> tuple[Tensor, Tensor | None]:
        """The encoded source, and the lengths where rows are padded."""
        lengths_B = source.lengths_B if source.padded else None
        x_BSD = self.embedding(source.inputs, None, 0)
        x_BSD, _ = self.backbone(x_BSD, None, Span(lengths_B=lengths_B, carry=False))
        return x_BSD, lengths_B
