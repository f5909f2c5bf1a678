"""Causal attention of the last steps of a row over all of its steps, by PyTorch's fused kernel for CPUs.

The kernel knows one causal mask, that of as many queries as keys; any other is read like a bias, and what it hides
is computed all the same. So the earlier keys are attended to without a mask and the queries' own with the causal one,
and the two are put together by their sums of exponentials, as between the blocks of FlashAttention (Dao et al. 2022,
arXiv 2205.14135, section 3.1); its backward needs no more than the output and the sum of the whole.

Shape suffixes: H heads, N keys, K size of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_attend_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
_NO_DROPOUT = 0.0


class _Suffix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor) -> Tensor:
        earlier, own = _cut(q_BHTK, k_BHNK, v_BHNK)
        y_earlier, sum_earlier = _attend(q_BHTK, *earlier, _NO_DROPOUT, False)
        y_own, sum_own = _attend(q_BHTK, *own, _NO_DROPOUT, True)
        whole = torch.logaddexp(sum_earlier, sum_own)
        y = y_earlier * (sum_earlier - whole).exp()[..., None] + y_own * (sum_own - whole).exp()[..., None]
        y = y.to(q_BHTK.dtype)
        ctx.save_for_backward(q_BHTK, k_BHNK, v_BHNK, y, whole)
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, dy_BHTK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_BHTK, k_BHNK, v_BHNK, y, whole = ctx.saved_tensors
        earlier, own = _cut(q_BHTK, k_BHNK, v_BHNK)
        dq, dk, dv = _attend_backward(dy_BHTK, q_BHTK, *earlier, y, whole, _NO_DROPOUT, False)
        dq_own, dk_own, dv_own = _attend_backward(dy_BHTK, q_BHTK, *own, y, whole, _NO_DROPOUT, True)
        return dq + dq_own, torch.cat([dk, dk_own], 2), torch.cat([dv, dv_own], 2)


def _cut(q: Tensor, k: Tensor, v: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Keys and values before the queries' steps, and at them."""
    before = k.shape[2] - q.shape[2]
    return (k[:, :, :before], v[:, :, :before]), (k[:, :, before:], v[:, :, before:])


def suffix_attention(q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor) -> Tensor:
    """Attention of the last T of N > T steps, each over the keys up to its own, on a CPU."""
    found: Tensor = _Suffix.apply(q_BHTK, k_BHNK, v_BHNK)
    return found
