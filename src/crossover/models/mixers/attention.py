"""Softmax attention over all keys; its state is the cache of keys and values.

Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, equation 1; heads that share keys and values are
grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245).
Shape suffixes: H heads, G heads of keys and values, K size of a head, N keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import COUNTER_BYTES, Cost, Execution, Product, Shape, Streamed, Term, flops_of
from crossover.errors import ConfigError
from crossover.models.mixers.attend import (
    AttentionSolve,
    attend_causal,
    attend_whole,
    explicit_attention,
    fused_attention,
)
from crossover.models.mixers.autocast import computed_dtype
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.models.mixers.cache import Cache, empty_cache
from crossover.models.mixers.rotary import rotate, turns
from crossover.models.mixers.spans import hide, no_state, refuse_state
from crossover.models.mixers.terms import cost_of, projection
from crossover.sharding import Sharding, Split, TensorSharding


@dataclass(frozen=True, kw_only=True)
class AttentionSettings(MixerSettings):
    """Multi-head softmax attention.

    `kv_heads` (None: as many as `heads`) heads of keys and values are shared by the heads. `rotary` turns queries
    and keys by their position. `bias` gives every projection one, the key's included, as in the original: without
    rotary positions it shifts all scores of a query alike, so that its gradient is zero but for rounding.
    """

    name: ClassVar[str] = "attention"
    family: ClassVar[str] = "attention"
    formula: ClassVar[str] = "y_t = W_o softmax(q_t K^T / sqrt(k)) V"
    cost_law: ClassVar[str] = "O(T d^2 + T^2 d) work, 1 serial step, a state of 2 T d"
    source: ClassVar[str] = "Vaswani et al. 2017, arXiv 1706.03762"
    state_grows: ClassVar[bool] = True

    heads: int = 4
    kv_heads: int | None = None
    rotary: bool = False
    rope_base: float = 10_000.0
    bias: bool = True

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width < 1 or self.width % self.heads:
            raise ConfigError(
                f"{self.name}: width={self.width} does not split over heads={self.heads}: use a positive number of "
                "heads that divides the width"
            )
        if self.key_heads < 1 or self.heads % self.key_heads:
            raise ConfigError(
                f"{self.name}: kv_heads={self.kv_heads} does not divide heads={self.heads}: use a positive divisor"
            )
        if self.rotary and self.head_size % 2:
            raise ConfigError(
                f"{self.name}: rotary positions need heads of even size, not {self.head_size}: change width or heads"
            )
        if self.rope_base <= 0:
            raise ConfigError(f"{self.name}: rope_base={self.rope_base:g} must be positive")

    @property
    def key_heads(self) -> int:
        """Number of heads of keys and values."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def head_size(self) -> int:
        """Features of one head."""
        return self.width // self.heads

    @property
    def projected(self) -> int:
        """Features of queries, keys and values together."""
        return (self.heads + 2 * self.key_heads) * self.head_size

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Two matrices and their biases."""
        shapes: dict[str, tuple[int, ...]] = {"qkv.weight": (self.projected, self.width)}
        if self.bias:
            shapes["qkv.bias"] = (self.projected,)
        shapes["out.weight"] = (self.width, self.width)
        if self.bias:
            shapes["out.bias"] = (self.width,)
        return shapes

    def sharding(self) -> Sharding:
        """Heads split over `tensor`; keys and values are gathered over `sequence`."""
        return Sharding(divisible=self.divisible(), tensor=self.tensor_sharding(), state="gather")

    def divisible(self) -> dict[str, int]:
        """What a tensor degree must divide."""
        return {"heads": self.heads, "kv_heads": self.key_heads}

    def tensor_sharding(self) -> TensorSharding:
        """Whole heads, with the keys and values that they share."""
        queries, keys = self.heads * self.head_size, self.key_heads * self.head_size
        rows = Split(0, (queries, keys, keys))
        parameters = {"qkv.weight": rows, "out.weight": Split(-1, (queries,))}
        if self.bias:
            parameters["qkv.bias"] = rows
        cached = Split(1, (self.key_heads,))
        return TensorSharding(parameters=parameters, summed=("out",), state=(cached, cached, None, None, None))

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Projections and scores; every query is counted with every key, `flops_skipped` are those it may not see."""
        keys = shape.context + shape.time
        pairs = shape.time * keys
        skipped = shape.time * (shape.time - 1) // 2 if self.causal else 0
        slots = shape.batch * self.key_heads * keys
        state = 2 * slots * self.head_size * execution.element_bytes + 3 * COUNTER_BYTES * shape.batch
        return cost_of(
            [
                *self._projections(shape, execution),
                *self._scores(shape, execution, pairs, skipped, keys),
                Term(
                    name="keys and values",
                    state_bytes=state if self.causal else 0,
                    scales_with=("batch", "time", "heads"),
                ),
            ],
            shape,
            execution,
            width=self.width,
        )

    def _projections(self, shape: Shape, execution: Execution) -> list[Term]:
        width, into_input = self.width, execution.input_gradient
        project = partial(projection, shape=shape, execution=execution, bias=self.bias)
        return [
            project("queries, keys, values", inputs=width, outputs=self.projected, input_gradient=into_input),
            project("output", inputs=width, outputs=width, split="depth"),
        ]

    def _scores(self, shape: Shape, execution: Execution, pairs: int, skipped: int, keys: int) -> list[Term]:
        """q k^T and p v over `pairs` of a query and a key per head; a fused kernel keeps no scores.

        Without one, what enters the scores is a term apart, which stays where they are computed again.
        """
        scored = Product(shape.time, self.head_size, keys, count=shape.batch * self.heads, split="count")
        products = (scored, replace(scored, depth=keys, columns=self.head_size))
        per_pair = 4 * shape.batch * self.heads * self.head_size
        elements, rows = execution.element_bytes, shape.batch * self.heads
        queries = shape.batch * shape.time * self.width * elements
        grouped = shape.batch * self.key_heads * keys * self.head_size * elements
        angles = 8 * shape.time * self.head_size if self.rotary else 0
        ahead, back = self._apart(shape, keys)
        forward, backward = Streamed(2, ahead * elements), Streamed(3, back * elements)
        scored_pairs = partial(
            Term,
            name="scores",
            flops_forward=flops_of(products),
            flops_backward=2 * flops_of(products),
            flops_skipped=per_pair * skipped,
            serial_steps=1,
            scales_with=("batch", "time", "heads"),
            products=products,
            fused=execution.fused,
        )
        if execution.fused:
            # Turned queries and keys stand beside the projected ones, which the values keep alive.
            kept = (queries + grouped) * (2 if self.rotary else 1) + grouped + 4 * rows * shape.time + angles
            return [scored_pairs(activation_bytes=kept, streamed_forward=forward, streamed_backward=backward)]
        apart = Term(
            name="heads",
            activation_bytes=queries + 2 * rows * keys * self.head_size * elements + angles,
            scales_with=("batch", "time", "heads"),
            streamed_forward=forward,
            streamed_backward=backward,
        )
        # Dropped probabilities are kept beside the whole ones, with their mask.
        kept_of_pair = 2 * elements + 1 if execution.dropped_scores else elements
        scores = scored_pairs(
            activation_bytes=rows * pairs * kept_of_pair + (pairs if self.causal else 0),
            streamed_forward=Streamed(2, 7 * rows * pairs * elements, rows * pairs),
            streamed_backward=Streamed(3, 10 * rows * pairs * elements),
        )
        return [apart, scores]

    def _apart(self, shape: Shape, keys: int) -> tuple[int, int]:
        """Elements moved forward and backward besides products and scores: heads apart and together, and turns."""
        tokens, features = shape.batch * shape.time, self.key_heads * self.head_size
        turned = (tokens * self.width + shape.batch * keys * features) if self.rotary else 0
        apart = tokens * (self.width + 2 * features)
        return 2 * tokens * self.width + 7 * turned, 2 * apart + 9 * turned

    def build(self) -> Attention:
        """The module."""
        return Attention(self)


class Attention(Mixer):
    """x_BTD -> y_BTD by softmax attention.

    State: `Cache`. Steps stand at absolute positions ``position + t`` of the state, or ``span.offset + t`` where
    there is none; rotary scores depend on differences of positions only. One matrix `qkv` makes queries, keys and
    values, stacked in this order, head after head.
    """

    settings: AttentionSettings
    solve: AttentionSolve

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        self.qkv = nn.Linear(settings.width, settings.projected, bias=settings.bias)
        self.out = nn.Linear(settings.width, settings.width, bias=settings.bias)
        self.solve = self._solver(fused=True)

    def _solver(self, *, fused: bool) -> AttentionSolve:
        kernel = fused_attention if fused else explicit_attention
        return partial(attend_causal if self.causal else attend_whole, kernel=kernel)

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """An empty cache, of the keys' own dtype unless told otherwise.

        With a `capacity` its slots are allocated now and written in place at inference (see `Cache`); more steps
        than that double it.
        """
        if not self.causal:
            raise no_state(self.settings)
        weight = self.qkv.weight
        device = torch.device(device) if device is not None else weight.device
        slots = 0 if capacity is None else capacity + 1
        shape = (batch, self.key_heads, slots, self.settings.head_size)
        return empty_cache(torch.zeros(shape, device=device, dtype=dtype or computed_dtype(weight, device)))

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """See `Mixer.forward`."""
        return self._mix(x_BTD, state, span or Span(), self.solve)

    def definition(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """The same with softmax(q k^T / sqrt(K)) v written out."""
        return self._mix(x_BTD, state, span or Span(), self._solver(fused=False))

    def _mix(
        self, x_BTD: Tensor, state: State | None, span: Span, solve: AttentionSolve
    ) -> tuple[Tensor, State | None]:
        if not self.causal:
            refuse_state(self.settings, state)
        mask_BT = span.mask_BT(x_BTD.shape[1])
        y_BHTK, after = solve(*self.prepare(hide(x_BTD, mask_BT), state, span), state, span)
        return self.finish(y_BHTK, mask_BT), after

    def prepare(self, x_BTD: Tensor, state: State | None, span: Span) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, K], keys and values [B, G, T, K], turned to their positions."""
        q_BTHK, k_BTGK, v_BTGK = self.project(x_BTD)
        if self.settings.rotary:
            start = span.offset if state is None else Cache(*state).position
            step_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
            position = start[:, None] + step_T if isinstance(start, Tensor) else start + step_T
            turn = turns(position, self.settings.head_size, self.settings.rope_base, q_BTHK.dtype)
            q_BTHK, k_BTGK = rotate(q_BTHK, turn), rotate(k_BTGK, turn)
        return q_BTHK.transpose(1, 2), k_BTGK.transpose(1, 2), v_BTGK.transpose(1, 2)

    @property
    def key_heads(self) -> int:
        """Heads of keys and values in `qkv`: fewer than the settings' where the module holds a share of them."""
        settings = self.settings
        all_heads = self.qkv.weight.shape[0] // settings.head_size
        return all_heads * settings.key_heads // (settings.heads + 2 * settings.key_heads)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, T, H, K], keys and values [B, T, G, K]."""
        split = self.qkv(x_BTD).unflatten(-1, (-1, self.settings.head_size))
        q_BTHK, k_BTGK, v_BTGK = split.split([split.shape[2] - 2 * self.key_heads, *(self.key_heads,) * 2], dim=2)
        return q_BTHK, k_BTGK, v_BTGK

    def finish(self, y_BHTK: Tensor, mask_BT: Tensor | None) -> Tensor:
        """Heads side by side, through the output projection; zero after a row's end."""
        return hide(self.out(y_BHTK.transpose(1, 2).flatten(2)), mask_BT)
