"""The residual block: a mixer and a feed-forward, around which everything is the same for both families."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from crossover.models.cross import build_cross
from crossover.models.dropout import Dropout
from crossover.models.mixers.base import Mixer, Span, State
from crossover.models.settings import ModelSettings


def feed_forward_width(settings: ModelSettings) -> int:
    """Hidden units of the feed-forward: as set, else 4 x width, or 8/3 x width for the three matrices of SwiGLU."""
    if settings.feed_forward == "none" or settings.style == "classic":
        return 0
    if settings.feed_forward_width is not None:
        return settings.feed_forward_width
    if settings.feed_forward == "swiglu":
        return (8 * settings.width // 3 + 7) // 8 * 8
    return 4 * settings.width


class FeedForward(nn.Module):
    """Position-wise: two matrices around ``relu``, ``gelu`` or ``gelu-tanh``, or the three of ``swiglu``.

    ``gelu-tanh`` is the approximation of Hendrycks and Gimpel 2016 (arXiv 1606.08415, section 2) that GPT-2 was
    trained with; SwiGLU is Shazeer 2020, arXiv 2002.05202.
    """

    def __init__(self, width: int, hidden: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        gated = kind == "swiglu"
        self.enter = nn.Linear(width, 2 * hidden if gated else hidden, bias=not gated)
        self.leave = nn.Linear(hidden, width, bias=not gated)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """x_BTD -> x_BTD."""
        hidden = self.enter(x_BTD)
        if self.kind == "swiglu":
            gate, value = hidden.chunk(2, dim=-1)
            return self.leave(F.silu(gate) * value)
        if self.kind == "relu":
            return self.leave(F.relu(hidden))
        return self.leave(F.gelu(hidden, approximate="tanh" if self.kind == "gelu-tanh" else "none"))


class Block(nn.Module):
    """A mixer, in a decoder with a source a look at it, and a feed-forward, with residuals.

    ``pre-norm``: x + f(norm(x)); ``post-norm``: norm(x + f(x)) (Vaswani et al. 2017); ``classic``: f(x) alone, the
    plain stacked recurrent network.
    """

    def __init__(self, settings: ModelSettings, mixer: Mixer, *, cross: bool = False) -> None:
        super().__init__()
        self.style = settings.style
        self.mixer = mixer
        self.cross = build_cross(settings.cross, settings.width, settings.cross_heads) if cross else None
        self.dropout = Dropout(settings.dropout)
        hidden = feed_forward_width(settings)
        self.feed_forward = FeedForward(settings.width, hidden, settings.feed_forward) if hidden else None
        if self.style != "classic":
            self.mixer_norm = make_norm(settings)
            self.cross_norm = make_norm(settings) if cross else None
            self.feed_forward_norm = make_norm(settings) if hidden else None

    def forward(
        self, x_BTD: Tensor, state: State | None, span: Span | None, memory: State | None = None
    ) -> tuple[Tensor, State | None]:
        """x_BTD, the mixer's state and what is remembered of the source -> x_BTD and the state after it."""
        if self.style == "classic":
            y_BTD, state = self.mixer(x_BTD, state, span)
            if self.cross is not None:
                y_BTD = y_BTD + self.cross(y_BTD, memory)
            return self.dropout(y_BTD), state
        if self.style == "post-norm":
            y_BTD, state = self.mixer(x_BTD, state, span)
            x_BTD = self.mixer_norm(x_BTD + self.dropout(y_BTD))
            if self.cross is not None and self.cross_norm is not None:
                x_BTD = self.cross_norm(x_BTD + self.dropout(self.cross(x_BTD, memory)))
            if self.feed_forward is not None and self.feed_forward_norm is not None:
                x_BTD = self.feed_forward_norm(x_BTD + self.dropout(self.feed_forward(x_BTD)))
            return x_BTD, state
        y_BTD, state = self.mixer(self.mixer_norm(x_BTD), state, span)
        x_BTD = x_BTD + self.dropout(y_BTD)
        if self.cross is not None and self.cross_norm is not None:
            x_BTD = x_BTD + self.dropout(self.cross(self.cross_norm(x_BTD), memory))
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            x_BTD = x_BTD + self.dropout(self.feed_forward(self.feed_forward_norm(x_BTD)))
        return x_BTD, state


def make_norm(settings: ModelSettings) -> nn.Module:
    """LayerNorm, or RMSNorm (Zhang and Sennrich 2019)."""
    if settings.norm == "layer":
        return nn.LayerNorm(settings.width, eps=settings.norm_eps or 1e-5)
    return nn.RMSNorm(settings.width, eps=settings.norm_eps or 1e-6)
