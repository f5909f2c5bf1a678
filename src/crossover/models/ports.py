"""What goes into a model and what comes out of it: values that a task states and a model is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Integer inputs [B, T] below `vocabulary`; `features` are further token streams [B, T] of the same length.

    A feature (part-of-speech tags, say) is embedded by itself and added to the token's embedding.
    """

    vocabulary: int
    features: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Continuous:
    """Real inputs [B, T, channels]."""

    channels: int


Inputs = Tokens | Continuous


@dataclass(frozen=True, kw_only=True)
class PerRow:
    """One vector [B, size] per row, from the mean over its real steps, or from the last one.

    Classification (size = number of classes), regression (size = 1) and direct forecasts (size = horizon x
    channels) are all of this form.
    """

    size: int
    pool: Literal["mean", "last", "max", "flatten"] = "mean"
    steps: int | None = None
    """Number of steps of every row; needed by ``pool="flatten"`` only."""


@dataclass(frozen=True, kw_only=True)
class PerStep:
    """One vector [B, T, size] per step: language models, token labels, autoregressive forecasts."""

    size: int


Outputs = PerRow | PerStep
