"""From inputs to the first x_BTD: token, linear or picture embedding, further token streams, absolute positions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crossover.errors import ConfigError
from crossover.models.block import make_norm
from crossover.models.dropout import Dropout
from crossover.models.frames import FrameEncoder
from crossover.models.initialise import normal
from crossover.models.ports import Frames, Steps, Tokens
from crossover.models.settings import ModelSettings


class Embedding(nn.Module):
    """Inputs [B, T] or [B, T, C] to x_BTD; features [B, T] are embedded by themselves and added.

    Positions: ``learned`` (a table of `max_length` rows) or ``sinusoidal`` (Vaswani et al. 2017, section 3.5);
    rotary positions belong to the attention mixers, and recurrent mixers need none. With `embedding_norm` the sum
    goes through a norm before dropout (Devlin et al. 2019).
    """

    def __init__(self, settings: ModelSettings, inputs: Steps) -> None:
        super().__init__()
        self.width = settings.width
        self.max_length = settings.max_length
        self.init_rules = {}
        # Tied embeddings are the head's rows too: unit logits need a small matrix, unit inputs the factor it lacks.
        self.scale = math.sqrt(settings.width) if settings.tie_embeddings else 1.0
        self.tokens: nn.Embedding | nn.Linear | FrameEncoder
        if isinstance(inputs, Tokens):
            self.tokens = nn.Embedding(inputs.vocabulary, settings.width)
            self.init_rules["tokens.weight"] = normal(settings.embedding_std / self.scale)
        elif isinstance(inputs, Frames):
            self.tokens = FrameEncoder(inputs, settings.width)
        else:
            self.tokens = nn.Linear(inputs.channels, settings.width)
        self.features = nn.ModuleDict(
            {name: nn.Embedding(size, settings.width) for name, size in inputs.features.items()}
        )
        for name in inputs.features:
            self.init_rules[f"features.{name}.weight"] = normal(settings.embedding_std)
        self.sinusoidal = settings.positions == "sinusoidal"
        self.positions: nn.Embedding | None = None
        if settings.positions == "learned":
            self.positions = nn.Embedding(settings.max_length, settings.width)
            self.init_rules["positions.weight"] = normal(settings.embedding_std)
        self.norm = make_norm(settings) if settings.embedding_norm else nn.Identity()
        self.dropout = Dropout(settings.dropout)

    def forward(self, inputs: Tensor, features: Mapping[str, Tensor] | None, offset: int | Tensor) -> Tensor:
        """x_BTD; a feature that is missing, or a position past `max_length`, is a ConfigError."""
        x_BTD = self.tokens(inputs)
        for name, table in self.features.items():
            if not features or name not in features:
                raise ConfigError(f"the model was built with the input {name!r}, which this batch lacks: provide it")
            x_BTD = x_BTD + table(features[name])
        if self.scale != 1.0:
            x_BTD = x_BTD * self.scale
        if self.positions is not None or self.sinusoidal:
            positions = self._positions(x_BTD, offset)
            added = self.positions(positions) if self.positions is not None else sinusoids(positions, self.width)
            x_BTD = x_BTD + added.to(x_BTD.dtype)
        return self.dropout(self.norm(x_BTD))

    def _positions(self, x_BTD: Tensor, offset: int | Tensor) -> Tensor:
        time = x_BTD.shape[1]
        start = offset[:, None] if isinstance(offset, Tensor) else offset
        positions = torch.arange(time, device=x_BTD.device) + start
        # A program that is exported knows no values to check.
        if self.positions is not None and not torch.compiler.is_exporting():
            last = time + (int(offset.max()) if isinstance(offset, Tensor) else offset)
            if last > self.max_length:
                raise ConfigError(
                    f"a sequence of {last} steps is longer than the model's maximum of {self.max_length}: "
                    f"shorten it, or build the model with max_length={last}"
                )
        return positions


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sines and cosines of geometrically spaced frequencies at `positions` [...] -> [..., width]."""
    half = (width + 1) // 2
    frequencies = torch.exp(torch.arange(half, device=positions.device) * (-math.log(10000.0) / max(half, 1)))
    angles = positions[..., None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :width]
