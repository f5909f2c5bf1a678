"""What a model is, as a value: its mixers, sizes and style. No weights, so it can be counted, matched and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """A model without its weights.

    `mixers` is the pattern of mixer names, repeated over `layers` blocks; `mixer` holds settings of single mixers
    (``{"attention": {"heads": 4}}``), a key that only one mixer of the pattern knows may stand without its name.
    `feed_forward_width` None means 4 x width (8/3 x for swiglu), 0 leaves the feed-forward out. `causal` None takes
    what the task needs: decoder for causal tasks, encoder (bidirectional) for the others. `learning_rate` is a rate
    that works for this model at its default size, `match` says how its width is chosen.
    """

    name: str
    mixers: tuple[str, ...]
    layers: int = 2
    width: int = 128
    feed_forward: Literal["relu", "gelu", "swiglu", "none"] = "gelu"
    feed_forward_width: int | None = None
    norm: Literal["layer", "rms"] = "layer"
    positions: Literal["none", "learned", "sinusoidal", "rotary"] = "none"
    style: Literal["pre-norm", "post-norm", "classic"] = "pre-norm"
    dropout: float = 0.1
    causal: bool | None = None
    tie_embeddings: bool = False
    max_length: int = 2048
    learning_rate: float = 1e-3
    mixer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
