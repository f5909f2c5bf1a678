"""Softmax attention over a sliding window; its state is the window itself, of fixed size.

Beltagy et al. 2020, "Longformer", arXiv 2004.05150, section 3.1, and the causal form of Jiang et al. 2023, "Mistral
7B", arXiv 2310.06825. Shape suffixes: H heads, G heads of keys and values, K size of a head, W keys in a window,
S steps of keys (those before the chunk, the chunk, and those after it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from crossover.costs import COUNTER_BYTES, Cost, Execution, Shape, Term
from crossover.errors import ConfigError
from crossover.models.mixers.attend import AttentionSolve, fused_attention
from crossover.models.mixers.attention import Attention, AttentionSettings
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.rotary import rotate, turns
from crossover.models.mixers.spans import no_state
from crossover.models.mixers.terms import cost_of
from crossover.models.mixers.window import Blocks, empty_window, surround, window_scores
from crossover.sharding import Sharding, TensorSharding


@dataclass(frozen=True, kw_only=True)
class WindowAttentionSettings(AttentionSettings):
    """Attention over the last `window` keys, the step's own included; over as many on both sides if not causal."""

    name: ClassVar[str] = "window-attention"
    formula: ClassVar[str] = "y_t = W_o softmax(q_t K_{t-w+1..t}^T / sqrt(k)) V_{t-w+1..t}"
    cost_law: ClassVar[str] = "O(T d^2 + T w d) work, 1 serial step, a state of 2 w d"
    source: ClassVar[str] = "Beltagy et al. 2020, arXiv 2004.05150"
    state_grows: ClassVar[bool] = False

    window: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1:
            raise ConfigError(f"{self.name}: window={self.window} must be at least 1, the step itself")

    @property
    def before(self) -> int:
        """Number of keys that a step sees before itself."""
        return self.window - 1

    @property
    def after(self) -> int:
        """Number of keys that a step sees after itself."""
        return 0 if self.causal else self.window - 1

    def sharding(self) -> Sharding:
        """Heads split over `tensor`; the last keys and values are handed on over `sequence`."""
        refusal = self.unless_causal("looks both ways")
        tensor = self.tensor_sharding()
        return Sharding(divisible=self.divisible(), tensor=tensor, state="hand-on", refusal=refusal)

    def tensor_sharding(self) -> TensorSharding:
        """Whole heads, with the keys and values that they share."""
        tensor = super().tensor_sharding()
        return replace(tensor, state=(*tensor.state[:2], None))

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Every query is counted with a whole window; `flops_skipped` is what lies before or after the row."""
        state = 2 * self.key_heads * self.before * self.head_size * execution.element_bytes + COUNTER_BYTES
        return cost_of(
            [
                *self._projections(shape, execution),
                self._windows(shape, execution),
                Term(
                    name="keys and values",
                    state_bytes=shape.batch * state if self.causal else 0,
                    scales_with=("batch", "heads"),
                ),
            ],
            shape,
            execution,
            width=self.width,
        )

    def _windows(self, shape: Shape, execution: Execution) -> Term:
        kept, streamed = self._kept(shape, execution), self._moved(shape, execution)
        return window_scores(self, shape, heads=self.heads, head_size=self.head_size, kept=kept, streamed=streamed)

    def _moved(self, shape: Shape, execution: Execution) -> tuple[float, float]:
        """Bytes moved around the products: blocks put together and turned (fused), or every query's window."""
        tokens, turned = shape.batch * shape.time, int(self.rotary)
        forward, backward = (35 + 14 * turned) * self.width, (26 + 18 * turned) * self.width
        if not execution.fused:
            pairs = self.heads * (self.before + 1 + self.after)
            forward, backward = 7 * pairs, 10 * pairs
        return tokens * forward * execution.element_bytes, tokens * backward * execution.element_bytes

    def _kept(self, shape: Shape, execution: Execution) -> float:
        """Bytes kept: the keys and values of every block (fused), or of every query's window."""
        batch, time, elements = shape.batch, shape.time, execution.element_bytes
        turned = 8 * (self.before + time + self.after) * self.head_size if self.rotary else 0
        if not execution.fused:
            window = self.before + 1 + self.after
            per_query = 2 * window * self.width * elements + self.heads * window * elements + window
            return batch * time * (self.width * elements + per_query) + turned
        size = min(self.window, time)
        blocks = -(-time // size)
        reach = self.before + size + self.after
        padded = batch * blocks * size
        queries = padded * self.width * elements * (1 if blocks * size == time else 2)
        key_values = 2 * batch * blocks * reach * self.key_heads * self.head_size * elements
        return queries + key_values + padded * (reach * elements + 4 * self.heads) + turned

    def build(self) -> WindowAttention:
        """The module."""
        return WindowAttention(self)


class WindowKernel(Protocol):
    """Attention of q [B, H, T, K] over k, v [B, G, S, K]: query t sees its own segment of the keys t to t + W - 1."""

    def __call__(  # noqa: D102
        self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, segment_BS: Tensor, settings: WindowAttentionSettings
    ) -> Tensor: ...


def attend_blocks(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, segment_BS: Tensor, settings: WindowAttentionSettings
) -> Tensor:
    """Blocks of `window` queries, each over the keys that any of them sees: O(T window) in fused kernels."""
    blocks = Blocks(q_BHTK.shape[2], settings.window, settings)
    q, k, v = blocks.queries(q_BHTK), blocks.around(k_BGSK), blocks.around(v_BGSK)
    return blocks.joined(fused_attention(q, k, v, blocks.visible(segment_BS), causal=False))


def attend_windows(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, segment_BS: Tensor, settings: WindowAttentionSettings
) -> Tensor:
    """Each query over its own window, written out."""
    keys, shared = settings.before + 1 + settings.after, settings.heads // settings.key_heads
    k_BHTKW = k_BGSK.unfold(2, keys, 1).repeat_interleave(shared, 1)
    v_BHTKW = v_BGSK.unfold(2, keys, 1).repeat_interleave(shared, 1)
    own_BT = segment_BS.narrow(1, settings.before, q_BHTK.shape[2])
    visible_BTW = segment_BS.unfold(1, keys, 1) == own_BT[..., None]
    scores_BHT1W = (q_BHTK * settings.head_size**-0.5)[:, :, :, None] @ k_BHTKW
    weights = scores_BHT1W.masked_fill(~visible_BTW[:, None, :, None], -torch.inf).softmax(-1)
    return (weights.to(v_BHTKW.dtype) @ v_BHTKW.transpose(3, 4))[:, :, :, 0]


def attend(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    state: State | None,
    span: Span,
    *,
    settings: WindowAttentionSettings,
    kernel: WindowKernel,
) -> tuple[Tensor, State | None]:
    """Every step over its window of real steps, those in the state included, within the last reset."""
    (k_BGSK, v_BGSK, segment_BS), after = surround(k_BGTK, v_BGTK, state, span, settings)
    if settings.rotary:
        position_S = torch.arange(k_BGSK.shape[2], device=q_BHTK.device)
        cos, sin = turns(position_S, settings.head_size, settings.rope_base, q_BHTK.dtype)
        own = slice(settings.before, settings.before + q_BHTK.shape[2])
        q_BHTK = rotate(q_BHTK.transpose(1, 2), (cos[own], sin[own])).transpose(1, 2)
        k_BGSK = rotate(k_BGSK.transpose(1, 2), (cos, sin)).transpose(1, 2)
    return kernel(q_BHTK, k_BGSK, v_BGSK, segment_BS, settings), after


class WindowAttention(Attention):
    """x_BTD -> y_BTD by softmax attention over a window. State: `Window`."""

    settings: WindowAttentionSettings

    def _solver(self, *, fused: bool) -> AttentionSolve:
        return partial(attend, settings=self.settings, kernel=attend_blocks if fused else attend_windows)

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """An empty window; `capacity` changes nothing, since it does not grow."""
        if not self.causal:
            raise no_state(self.settings)
        settings = self.settings
        return empty_window(
            settings,
            self.qkv.weight,
            batch=batch,
            heads=self.key_heads,
            head_size=settings.head_size,
            device=device,
            dtype=dtype,
        )

    def prepare(self, x_BTD: Tensor, state: State | None, span: Span) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, K], keys and values [B, G, T, K], not turned yet."""
        q_BTHK, k_BTGK, v_BTGK = self.project(x_BTD)
        return q_BTHK.transpose(1, 2), k_BTGK.transpose(1, 2), v_BTGK.transpose(1, 2)
