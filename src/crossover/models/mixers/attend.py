"""How queries meet keys: the kernels of softmax attention, and which keys a query sees.

Shape suffixes: H heads, G heads of keys and values, K size of a head, N keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.models.mixers.base import Span, State
from crossover.models.mixers.cache import Cache, append, empty_cache, first_cache
from crossover.models.mixers.parts import suffix_attention
from crossover.models.mixers.spans import real_resets, segments


class Kernel(Protocol):
    """Attention of q [B, H, T, K] over k, v [B, G, N, K]; a query sees the keys where the mask is True.

    The mask broadcasts to [B, H, T, N]; `causal`, without a mask, says that the queries are those of the last T of
    the N steps, and that each sees the keys up to its own.
    """

    def __call__(  # noqa: D102
        self, q_BHTK: Tensor, k_BGNK: Tensor, v_BGNK: Tensor, mask: Tensor | None, *, causal: bool
    ) -> Tensor: ...


WRITTEN_OUT_KEYS = 512
"""Up to so many keys, training in bf16 on a CPU takes the written-out kernel.

There the fused kernel's backward is slow: on 2 cores with AVX-512, torch 2.13, forward and backward took 3.0 to 5.3
times as long as written out at T = 19 to 128, 1.2 to 1.6 times at 512, and 0.7 to 1.0 times at 1,024
(benchmarks/results/attention_kernels-avx512.md). Counted activation bytes are those of the fused kernel.
"""


def fused_attention(q_BHTK: Tensor, k_BGNK: Tensor, v_BGNK: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """PyTorch's fused kernels, but for short rows that are trained in bf16 on a CPU; see `WRITTEN_OUT_KEYS`."""
    trained = torch.is_grad_enabled() and q_BHTK.requires_grad
    queries, keys, on_cpu = q_BHTK.shape[2], k_BGNK.shape[2], q_BHTK.device.type == "cpu"
    if trained and keys <= WRITTEN_OUT_KEYS and on_cpu and q_BHTK.dtype == torch.bfloat16:
        return explicit_attention(q_BHTK, k_BGNK, v_BGNK, mask, causal=causal)
    if causal and 1 < queries < keys and on_cpu:
        return suffix_attention(q_BHTK, *for_each_head(q_BHTK, k_BGNK, v_BGNK))
    if causal and queries < keys:
        mask, causal = None if queries == 1 else _triangle(queries, keys, q_BHTK.device), False
    grouped = q_BHTK.shape[1] != k_BGNK.shape[1]
    return F.scaled_dot_product_attention(q_BHTK, k_BGNK, v_BGNK, mask, is_causal=causal, enable_gqa=grouped)


def explicit_attention(
    q_BHTK: Tensor, k_BGNK: Tensor, v_BGNK: Tensor, mask: Tensor | None, *, causal: bool
) -> Tensor:
    """softmax(q k^T / sqrt(K)) v, written out."""
    k_BHNK, v_BHNK = for_each_head(q_BHTK, k_BGNK, v_BGNK)
    scores_BHTN = q_BHTK * q_BHTK.shape[-1] ** -0.5 @ k_BHNK.transpose(2, 3)
    if causal:
        mask = _triangle(q_BHTK.shape[2], k_BGNK.shape[2], q_BHTK.device)
    if mask is not None:
        scores_BHTN = scores_BHTN.masked_fill(~mask, -torch.inf)
    return scores_BHTN.softmax(-1).to(v_BHNK.dtype) @ v_BHNK


def _triangle(queries: int, keys: int, device: torch.device) -> Tensor:
    """Mask [T, N] of the last T of N steps, each of which sees the keys up to its own."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def for_each_head(q_BHTK: Tensor, k_BGNK: Tensor, v_BGNK: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values [B, H, N, K], those that heads share repeated for each."""
    shared = q_BHTK.shape[1] // k_BGNK.shape[1]
    if shared == 1:
        return k_BGNK, v_BGNK
    return k_BGNK.repeat_interleave(shared, 1), v_BGNK.repeat_interleave(shared, 1)


AttentionSolve = Callable[[Tensor, Tensor, Tensor, State | None, Span], tuple[Tensor, State | None]]
"""(q_BHTK, k_BGTK, v_BGTK, state, span) -> (y_BHTK, state)."""


def attend_causal(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    state: State | None,
    span: Span,
    *,
    kernel: Kernel,
    first: int = 0,
) -> tuple[Tensor, State | None]:
    """Every step over itself and the steps before it, those in the state included, back to the last reset.

    There may be fewer queries than keys: those of the steps from `first` on. `span` speaks of the keys' steps.
    """
    queries, time = q_BHTK.shape[2], k_BGTK.shape[2]
    stop, resets_BT = first + queries, real_resets(span, time)
    if state is None and resets_BT is None:
        # Padding stands after a row's end, where causal queries do not look.
        y_BHTK = kernel(q_BHTK, k_BGTK[:, :, :stop], v_BGTK[:, :, :stop], None, causal=True)
        return y_BHTK, first_cache(k_BGTK, v_BGTK, span.lengths_B, span.offset) if span.carry else None
    before = empty_cache(k_BGTK[:, :, :0], span.offset) if state is None else Cache(*state)
    after = append(before, k_BGTK, v_BGTK, span.lengths_B)
    held = before.used
    if held == 0 and resets_BT is None:
        return kernel(q_BHTK, k_BGTK[:, :, :stop], v_BGTK[:, :, :stop], None, causal=True), after
    slot_BT = before.length[:, None] + torch.arange(time, device=q_BHTK.device)
    first_BT = before.start[:, None]
    if resets_BT is not None:
        first_BT = torch.where(resets_BT, slot_BT, first_BT).cummax(1).values
        after = after._replace(start=first_BT[:, -1])
    own_BT, first_BT = slot_BT[:, first:stop], first_BT.expand_as(slot_BT)[:, first:stop]
    used, mask = after.used, None
    if held + stop <= used and _alike(own_BT, first_BT, held + stop):
        used = held + stop
    else:
        mask = _visible(own_BT, first_BT, used)
    keys, values = (cached[:, :, :used].to(q_BHTK.dtype) for cached in (after.k, after.v))
    return kernel(q_BHTK, keys, values, mask, causal=mask is None), after if span.carry else None


def _alike(slot_BT: Tensor, first_BT: Tensor, used: int) -> bool:
    """Whether the queries of all rows stand in the last of `used` slots and see all before them.

    To look takes long on an accelerator, so it is looked for one step at a time there, which then needs no mask.
    """
    if slot_BT.device.type != "cpu" and slot_BT.shape[1] > 1:
        return False
    return bool(((slot_BT[:, -1] == used - 1) & (first_BT == 0).all(1)).all())


def _visible(slot_BT: Tensor, first_BT: Tensor, used: int) -> Tensor:
    """Mask [B, 1, T, N] of the slots from `first_BT` to `slot_BT`."""
    key_N = torch.arange(used, device=slot_BT.device)
    return ((key_N <= slot_BT[..., None]) & (key_N >= first_BT[..., None]))[:, None]


def attend_together(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, state: State | None, span: Span
) -> tuple[Tensor, State | None]:
    """The same as `attend_causal` for rows that are all equally long.

    Their lengths are then shapes and no values of tensors, so that this can stand in a program that is exported.
    """
    if state is None:
        return attend_causal(q_BHTK, k_BGTK, v_BGTK, None, span, kernel=fused_attention)
    before, time = Cache(*state), q_BHTK.shape[2]
    keys, values = torch.cat([before.k, k_BGTK], dim=2), torch.cat([before.v, v_BGTK], dim=2)
    mask = None
    if time > 1:
        mask = torch.ones(time, keys.shape[2], dtype=torch.bool, device=keys.device).tril(before.k.shape[2])
    y_BHTK = fused_attention(q_BHTK, keys, values, mask, causal=False)
    after = before._replace(k=keys, v=values, length=before.length + time, position=before.position + time)
    return y_BHTK, after


def attend_whole(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    state: State | None,
    span: Span,
    *,
    kernel: Kernel,
    first: int = 0,
) -> tuple[Tensor, State | None]:
    """Every step over all real steps of its row, or of its part of the row between resets; see `attend_causal`."""
    time = k_BGTK.shape[2]
    mask = None
    if span.lengths_B is not None:
        # An empty row sees its first step, which is zero: a softmax over nothing would be NaN.
        mask = (torch.arange(time, device=q_BHTK.device) < span.lengths_B.clamp(min=1)[:, None])[:, None, None]
    resets_BT = real_resets(span, time)
    if resets_BT is not None:
        segment_BT = segments(resets_BT, k_BGTK[:, 0])
        own_BT = segment_BT.narrow(1, first, q_BHTK.shape[2])
        same = (own_BT[:, :, None] == segment_BT[:, None, :])[:, None]
        mask = same if mask is None else same & mask
    return kernel(q_BHTK, k_BGTK, v_BGTK, mask, causal=False), None
