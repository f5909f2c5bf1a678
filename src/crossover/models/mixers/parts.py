"""Softmax attention in parts: over some of the keys at a time, put together by the sums of exponentials.

So FlashAttention goes over its blocks (Dao et al. 2022, arXiv 2205.14135, section 3.1); backward needs no more than
the output and the sum of the whole. On a CPU a part is PyTorch's fused kernel. It knows one causal mask, that of as
many queries as keys; any other is read like a bias, and what it hides is computed all the same.

Shape suffixes: H heads, N keys, K size of a head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_NO_DROPOUT = 0.0
_attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_attend_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Attended(NamedTuple):
    """What queries found among some keys: [B, H, T, K], and the logarithm of the sum of weights [B, H, T].

    Where a query has seen no key they are 0 and -inf.
    """

    y_BHTK: Tensor
    log_sum_BHT: Tensor


def merged(one: Attended, other: Attended) -> Attended:
    """What was found among the keys of both."""
    log_sum_BHT = torch.logaddexp(one.log_sum_BHT, other.log_sum_BHT)
    base_BHT = log_sum_BHT.masked_fill(log_sum_BHT == -torch.inf, 0.0)
    of_one, of_other = ((part.log_sum_BHT - base_BHT).exp()[..., None] for part in (one, other))
    return Attended(one.y_BHTK * of_one + other.y_BHTK * of_other, log_sum_BHT)


def attend_part(q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, *, causal: bool) -> Attended:
    """Over all of these keys, or with `causal`, and as many keys as queries, up to each query's own; on a CPU."""
    return Attended(*_attend(q_BHTK, k_BHNK, v_BHNK, _NO_DROPOUT, causal))


def part_gradients(
    dy_BHTK: Tensor, q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, whole: Attended, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What these keys have of the gradients of q, k and v, `whole` being found among all keys."""
    dq, dk, dv = _attend_backward(dy_BHTK, q_BHTK, k_BHNK, v_BHNK, *whole, _NO_DROPOUT, causal)
    return dq, dk, dv


class _Suffix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor) -> Tensor:
        earlier, own = _cut(q_BHTK, k_BHNK, v_BHNK)
        whole = merged(
            attend_part(q_BHTK, *earlier, causal=False),
            attend_part(q_BHTK, *own, causal=True),
        )
        y_BHTK = whole.y_BHTK.to(q_BHTK.dtype)
        ctx.save_for_backward(q_BHTK, k_BHNK, v_BHNK, y_BHTK, whole.log_sum_BHT)
        return y_BHTK

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, dy_BHTK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_BHTK, k_BHNK, v_BHNK, *found = ctx.saved_tensors
        whole = Attended(*found)
        earlier, own = _cut(q_BHTK, k_BHNK, v_BHNK)
        dq, dk, dv = part_gradients(dy_BHTK, q_BHTK, *earlier, whole, causal=False)
        dq_own, dk_own, dv_own = part_gradients(dy_BHTK, q_BHTK, *own, whole, causal=True)
        return dq + dq_own, torch.cat([dk, dk_own], 2), torch.cat([dv, dv_own], 2)


def _cut(q: Tensor, k: Tensor, v: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Keys and values before the queries' steps, and at them."""
    before = k.shape[2] - q.shape[2]
    return (k[:, :, :before], v[:, :, :before]), (k[:, :, before:], v[:, :, before:])


def suffix_attention(q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor) -> Tensor:
    """Attention of the last T of N > T steps, each over the keys up to its own, on a CPU: nothing is masked but
    within these steps."""
    found: Tensor = _Suffix.apply(q_BHTK, k_BHNK, v_BHNK)
    return found
