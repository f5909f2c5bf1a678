"""How a decoder's block looks at the encoded source: what it remembers of it, and what each step takes from that.

Shape suffixes: B batch, T target steps, S source steps, D width, H heads, K size of a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Product, Shape, Streamed, Term, flops_of
from crossover.errors import ConfigError
from crossover.models.initialise import scaled_normal
from crossover.models.mixers.attend import fused_attention
from crossover.models.mixers.base import State

CrossKind = Literal["attention", "additive", "last"]


class Cross(nn.Module, ABC):
    """Takes from the encoded source what a step needs.

    `remember` turns the source into tensors whose first dim is the batch, once per source; `forward` reads them at
    every step. So decoding one token costs no more work on the source than looking it up.
    """

    @abstractmethod
    def remember(self, source_BSD: Tensor, lengths_B: Tensor | None) -> State:
        """What is kept of the encoded source; `lengths_B` real steps of each row (None: all)."""

    @abstractmethod
    def forward(self, x_BTD: Tensor, memory: State) -> Tensor:
        """x_BTD -> what it takes from the source, [B, T, D]."""


class CrossAttention(Cross):
    """Softmax attention from target steps to source steps (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.3)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"width={width} does not split over cross_heads={heads}: change one of them")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def remember(self, source_BSD: Tensor, lengths_B: Tensor | None) -> State:
        """Keys and values [B, H, S, K], and which of them are real [B, S]."""
        keys_values = self.key_value(source_BSD).unflatten(-1, (2, self.heads, -1))
        k_BSHK, v_BSHK = keys_values.unbind(2)
        return k_BSHK.transpose(1, 2), v_BSHK.transpose(1, 2), _real(source_BSD, lengths_B)

    def forward(self, x_BTD: Tensor, memory: State) -> Tensor:
        """softmax(q k^T / sqrt(K)) v over the real source steps."""
        k_BHSK, v_BHSK, real_BS = memory
        q_BHTK = self.query(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        y_BHTK = fused_attention(q_BHTK, k_BHSK, v_BHSK, real_BS[:, None, None], causal=False)
        return self.out(y_BHTK.transpose(1, 2).flatten(2))


class AdditiveAttention(Cross):
    """Scores by a small network, v tanh(W q + U k) (Bahdanau et al. 2014, arXiv 1409.0473, section A.1.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.score = nn.Parameter(torch.empty(width))
        self.out = nn.Linear(width, width)
        self.init_rules = {"score": scaled_normal_vector}

    def remember(self, source_BSD: Tensor, lengths_B: Tensor | None) -> State:
        """Projected keys [B, S, D], the source itself, and which steps are real [B, S]."""
        return self.key(source_BSD), source_BSD, _real(source_BSD, lengths_B)

    def forward(self, x_BTD: Tensor, memory: State) -> Tensor:
        """The mean of the source, weighted by the softmax of the scores."""
        k_BSD, source_BSD, real_BS = memory
        hidden_BTSD = torch.tanh(self.query(x_BTD)[:, :, None] + k_BSD[:, None])
        scores_BTS = (hidden_BTSD @ self.score.to(k_BSD.dtype)[:, None]).squeeze(-1)
        exact_BTS = scores_BTS.to(torch.promote_types(scores_BTS.dtype, torch.float32))
        weights_BTS = exact_BTS.masked_fill(~real_BS[:, None], -torch.inf).softmax(-1)
        return self.out(weights_BTS.to(source_BSD.dtype) @ source_BSD)


class LastState(Cross):
    """The source's last step alone, the same at every target step (Cho et al. 2014, arXiv 1406.1078, equation 5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, width)

    def remember(self, source_BSD: Tensor, lengths_B: Tensor | None) -> State:
        """The last real step, projected, [B, 1, D]: all that such a model keeps, however long the source is."""
        if lengths_B is None:
            return (self.out(source_BSD[:, -1:]),)
        last_B = (lengths_B - 1).clamp(min=0)
        return (self.out(source_BSD[torch.arange(len(source_BSD), device=source_BSD.device), last_B][:, None]),)

    def forward(self, x_BTD: Tensor, memory: State) -> Tensor:
        """The summary at every step."""
        return memory[0].expand_as(x_BTD)


def scaled_normal_vector(values: Tensor, generator: torch.Generator) -> None:
    """Normal with standard deviation 1/sqrt(length), for a vector that is a row of a matrix."""
    scaled_normal()(values[None], generator)


def build_cross(kind: CrossKind, width: int, heads: int) -> Cross:
    """The module of this kind."""
    if kind == "attention":
        return CrossAttention(width, heads)
    return AdditiveAttention(width) if kind == "additive" else LastState(width)


def cross_cost(kind: CrossKind, width: int, heads: int, shape: Shape, execution: Execution) -> Cost:
    """One block's cost on `shape.time` target and `shape.source` source steps.

    A pass that goes on from a state (`shape.context` > 0) has the source remembered already.
    """
    size, matrix = execution.element_bytes, width**2 + width
    if kind == "last":
        rows = 0 if shape.context else shape.batch
        summary = _term("cross summary", (Product(rows, width, width),), matrix, rows * width * size)
        return Cost.of(replace(summary, state_bytes=shape.batch * width * size))
    steps = shape.batch * shape.time
    read = 0 if shape.context else shape.batch * shape.source
    pairs = steps * shape.source
    if kind == "attention":
        products = (
            Product(steps, width, width),
            Product(read, width, 2 * width),
            Product(steps, width, width, split="depth"),
        )
        parameters = 4 * matrix
        kept = (3 * steps + 3 * read) * width + (0 if execution.fused else pairs * heads)
    else:
        # The key's matrix has no bias, and as many numbers for it score the hidden units.
        products, parameters = (*(Product(steps, width, width),) * 2, Product(read, width, width)), 3 * matrix
        kept = (3 * steps + 2 * read + pairs) * width
    parts = heads if kind == "attention" else 1
    # An additive look writes down hidden units for every pair, a fused one no pairs at all.
    moved = 4 * steps * width + (0 if execution.fused else 7 * pairs * heads)
    moved = moved if kind == "attention" else 6 * pairs * width
    looked = Product(shape.time, width // parts, shape.source, count=shape.batch * parts, split="count")
    scores = (looked, replace(looked, depth=shape.source, columns=width // parts))
    return Cost.of(
        _term("cross projections", products, parameters, kept * size, whole=(steps + read) * width * size),
        Term(
            name="cross scores",
            flops_forward=flops_of(scores),
            flops_backward=2 * flops_of(scores),
            state_bytes=shape.batch * shape.source * (2 * width * size + 1),
            scales_with=("batch", "time", "hidden"),
            products=scores,
            fused=execution.fused and kind == "attention",
            streamed_forward=Streamed(4, moved * size),
            streamed_backward=Streamed(6, 2 * moved * size),
        ),
    )


def _term(name: str, products: tuple[Product, ...], parameters: int, kept: float, *, whole: float = 0) -> Term:
    return Term(
        name=name,
        flops_forward=flops_of(products),
        flops_backward=2 * flops_of(products),
        parameters=parameters,
        activation_bytes=kept,
        whole_bytes=whole,
        scales_with=("batch", "time", "hidden"),
        products=products,
    )


def _real(source_BSD: Tensor, lengths_B: Tensor | None) -> Tensor:
    """True where a source step is real; an empty row keeps its first, since a softmax over nothing is NaN."""
    steps_S = torch.arange(source_BSD.shape[1], device=source_BSD.device)
    if lengths_B is None:
        return torch.ones(source_BSD.shape[:2], dtype=torch.bool, device=source_BSD.device)
    return steps_S < lengths_B.clamp(min=1)[:, None]
