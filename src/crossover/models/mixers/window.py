"""The window of steps that attention of limited span carries, and the keys that a chunk meets around it.

Shape suffixes: G heads of keys and values, K size of a head, W keys in a window, S steps of keys (those before the
chunk, the chunk, and those after it), L queries of a block, R keys that any of them sees, N blocks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.costs import Product, Shape, Streamed, Term, flops_of
from crossover.models.mixers.autocast import computed_dtype
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.spans import last_steps, real_resets, segments

_NOTHING = -1
"""The segment of a slot in which no step stands."""


class Reach(Protocol):
    """How many keys a step sees before and after itself; a causal one sees none after."""

    @property
    def causal(self) -> bool: ...  # noqa: D102

    @property
    def before(self) -> int: ...  # noqa: D102

    @property
    def after(self) -> int: ...  # noqa: D102


class Window(NamedTuple):
    """The steps before the next one, the latest in the last slot: `k`, `v` [B, G, W - 1, K], `filled` [B].

    Keys are kept as projected and told their distance when used: the state has no position in it, so that a stream
    may go on for ever.
    """

    k: Tensor
    v: Tensor
    filled: Tensor


class Surroundings(NamedTuple):
    """All keys and values that a chunk may see, `k`, `v` [B, G, S, K], and their `segment` [B, S].

    Step t of the chunk stands at t + before and sees the keys of its own segment from t to t + before + after.
    """

    k: Tensor
    v: Tensor
    segment: Tensor


def no_steps(k_BGTK: Tensor, slots: int) -> Window:
    """An empty window of `slots` like `k_BGTK`."""
    batch, heads, _, size = k_BGTK.shape
    empty = k_BGTK.new_zeros(batch, heads, slots, size)
    return Window(empty, empty, torch.zeros(batch, dtype=torch.int64, device=k_BGTK.device))


def empty_window(
    reach: Reach,
    weight: Tensor,
    *,
    batch: int,
    heads: int,
    head_size: int,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Window:
    """The window before the first step: where and in which dtype a projection by `weight` computes, unless told."""
    device = torch.device(device) if device is not None else weight.device
    shape = (batch, heads, 0, head_size)
    return no_steps(torch.zeros(shape, device=device, dtype=dtype or computed_dtype(weight, device)), reach.before)


def window_scores(
    reach: Reach,
    shape: Shape,
    *,
    heads: int,
    head_size: int,
    scorings: int = 1,
    kept: float,
    streamed: tuple[float, float],
) -> Term:
    """The cost of scores and values over every step's window, counted whole; skipped: keys that are not there.

    Every pair of a query and a key is scored `scorings` times; `kept` are the bytes for the backward pass,
    `streamed` those that kernels around the products move forward and backward.
    """
    window = reach.before + 1 + reach.after
    scored = Product(shape.time, head_size, window, count=shape.batch * heads, split="count")
    products = (scored,) * scorings + (replace(scored, depth=window, columns=head_size),)
    lacking = _lacking(reach.before, shape.time, shape.context) + _lacking(reach.after, shape.time, 0)
    return Term(
        name="scores",
        flops_forward=flops_of(products),
        flops_backward=2 * flops_of(products),
        flops_skipped=flops_of(products) // (shape.time * window) * lacking,
        activation_bytes=kept,
        serial_steps=1,
        scales_with=("batch", "time", "heads"),
        products=products,
        streamed_forward=Streamed(30, streamed[0], shape.batch * heads * shape.time * window),
        streamed_backward=Streamed(30, streamed[1]),
    )


def _lacking(side: int, time: int, context: int) -> int:
    """Keys on one side of the steps of a row that are not there, `context` of them standing before it."""
    absent = max(side - context, 0)
    steps = min(time, absent)
    return steps * absent - steps * (steps - 1) // 2


def surround(
    k_BGTK: Tensor, v_BGTK: Tensor, state: State | None, span: Span, reach: Reach
) -> tuple[Surroundings, Window | None]:
    """What the steps of a chunk may see, those in the state included, and the window after it.

    The window is None where `span` says that nobody reads it, and where a step sees what comes after it.
    """
    earlier = no_steps(k_BGTK, reach.before) if state is None else Window(*state)
    k_BGSK = F.pad(torch.cat([earlier.k.to(k_BGTK.dtype), k_BGTK], dim=2), (0, 0, 0, reach.after))
    v_BGSK = F.pad(torch.cat([earlier.v.to(v_BGTK.dtype), v_BGTK], dim=2), (0, 0, 0, reach.after))
    segment_BT = segments(real_resets(span, k_BGTK.shape[2]), k_BGTK[:, 0])
    segment_BS = _segments_around(segment_BT, earlier.filled, span, reach)
    around = Surroundings(k_BGSK, v_BGSK, segment_BS)
    if not (reach.causal and span.carry):
        return around, None
    latest_BW = last_steps(segment_BS, span.lengths_B, reach.before, 1)
    after = Window(
        last_steps(k_BGSK, span.lengths_B, reach.before, 2),
        last_steps(v_BGSK, span.lengths_B, reach.before, 2),
        (latest_BW == segment_BT[:, -1:]).sum(1),
    )
    return around, after


def _segments_around(segment_BT: Tensor, filled_B: Tensor, span: Span, reach: Reach) -> Tensor:
    """Segments [B, S] of all keys: those in the state belong to the first, no step stands in the others."""
    mask_BT = span.mask_BT(segment_BT.shape[1])
    if mask_BT is not None:
        segment_BT = segment_BT.masked_fill(~mask_BT, _NOTHING)
    slot_W = torch.arange(reach.before, device=segment_BT.device)
    earlier_BW = torch.where(slot_W >= reach.before - filled_B[:, None], 0, _NOTHING)
    return F.pad(torch.cat([earlier_BW, segment_BT], dim=1), (0, reach.after), value=_NOTHING)


class Blocks:
    """A chunk of `time` steps as blocks of `size` queries, each with the keys that any of them sees."""

    def __init__(self, time: int, size: int, reach: Reach) -> None:
        self.time, self.reach = time, reach
        self.size = min(size, time)
        self.count = -(-time // self.size)
        self.padding = self.count * self.size - time
        self.keys = reach.before + self.size + reach.after

    def queries(self, q_BHTK: Tensor) -> Tensor:
        """[B N, H, L, K]."""
        q = F.pad(q_BHTK, (0, 0, 0, self.padding)).unflatten(2, (self.count, self.size))
        return q.transpose(1, 2).flatten(0, 1)

    def around(self, x_BGSK: Tensor) -> Tensor:
        """Keys or values of each block [B N, G, R, K]."""
        if self.count == 1:
            return x_BGSK
        windows = F.pad(x_BGSK, (0, 0, 0, self.padding)).unfold(2, self.keys, self.size)
        return windows.permute(0, 2, 1, 4, 3).flatten(0, 1)

    def visible(self, segment_BS: Tensor) -> Tensor:
        """Which keys a query sees, [B N, 1, L, R]."""
        segment_BS = F.pad(segment_BS, (0, self.padding), value=_NOTHING)
        own_BS = segment_BS.narrow(1, self.reach.before, self.count * self.size)
        own_BNL = own_BS.unflatten(1, (self.count, self.size))
        device = segment_BS.device
        distance_LR = torch.arange(self.keys, device=device) - torch.arange(self.size, device=device)[:, None]
        near_LR = (distance_LR >= 0) & (distance_LR <= self.reach.before + self.reach.after)
        mask_BNLR = near_LR & (segment_BS.unfold(1, self.keys, self.size)[:, :, None] == own_BNL[..., None])
        return mask_BNLR.flatten(0, 1)[:, None]

    def joined(self, y: Tensor) -> Tensor:
        """Outputs [B N, H, L, K] as those of the chunk, [B, H, T, K]."""
        return y.unflatten(0, (-1, self.count)).transpose(1, 2).flatten(2, 3)[:, :, : self.time]
