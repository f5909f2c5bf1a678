"""What a model is, as a value: its mixers, sizes and style. No weights, so it can be counted, matched and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crossover.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """A model without its weights.

    `mixers` is the pattern of mixer names, repeated over `layers` blocks; `mixer` holds settings of single mixers
    (``{"attention": {"heads": 4}}``), a key that only one mixer of the pattern knows may stand without its name.
    `feed_forward_width` None means 4 x width (8/3 x for swiglu), 0 leaves the feed-forward out. `causal` None takes
    what the task needs: decoder for causal tasks, encoder (bidirectional) for the others. `embedding_std` is the
    spread of initial token embeddings: 1 stands level with what blocks add to them (with 0.1 a two-layer Transformer
    finds associative recall after thousands of steps instead of 200), less suits the rare words of small data.
    Where a task has a source to be read (translation), the model is an encoder-decoder: `encoder_layers` (None: as
    many as `layers`) blocks of the same mixers, of which all, the first or none see the whole source (`encoder`), and
    in the first `cross_layers` decoder blocks (None: in every one) a look at it (`cross`, see
    `crossover.models.cross`; with `cross_heads`).
    `norm_eps` None is 1e-5 for LayerNorm and 1e-6 for RMSNorm; `embedding_norm` puts a norm before the first block.
    `learning_rate` is a rate that works for this model at its default size. `origin` is the trained model whose sizes
    and weights this one takes (a run's folder, or ``bert:PATH`` and the like; in brackets ``from``); with `fresh` it
    takes the sizes alone.
    """

    name: str
    mixers: tuple[str, ...]
    layers: int = 2
    width: int = 128
    feed_forward: Literal["relu", "gelu", "gelu-tanh", "swiglu", "none"] = "gelu"
    feed_forward_width: int | None = None
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float | None = None
    positions: Literal["none", "learned", "sinusoidal", "rotary"] = "none"
    style: Literal["pre-norm", "post-norm", "classic"] = "pre-norm"
    dropout: float = 0.1
    embedding_std: float = 1.0
    embedding_norm: bool = False
    causal: bool | None = None
    tie_embeddings: bool = False
    max_length: int = 2048
    encoder_layers: int | None = None
    encoder: Literal["bidirectional", "first-bidirectional", "causal"] = "bidirectional"
    cross: Literal["attention", "additive", "last"] = "attention"
    cross_heads: int = 4
    cross_layers: int | None = None
    learning_rate: float = 1e-3
    origin: str | None = None
    fresh: bool = False
    mixer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("layers", "width", "max_length", "encoder_layers", "cross_heads", "cross_layers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{self.name}: {name} is {value}, it must be 1 or more")
        if self.feed_forward_width is not None and self.feed_forward_width < 0:
            raise ConfigError(f"{self.name}: feed_forward_width is {self.feed_forward_width}, it must be 0 or more")
        if self.norm_eps is not None and not 0 < self.norm_eps < 1:
            raise ConfigError(f"{self.name}: norm_eps is {self.norm_eps}, it must be above 0 and below 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"{self.name}: dropout is {self.dropout}, it must be at least 0 and below 1")
        if self.fresh and self.origin is None:
            raise ConfigError(
                f"{self.name}: fresh=true leaves out a trained model's weights: name the model by from=RUN"
            )
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError(f"{self.name}: learning_rate is {self.learning_rate}, it must be above 0")

    def looks(self, number: int) -> bool:
        """Whether a decoder block looks at a source, where there is one to be read."""
        return self.cross_layers is None or number < self.cross_layers
