"""One of Newton's iterations in the device's own kernels, for the cells that have them."""

from __future__ import annotations

import torch
from torch import Tensor

from crossover.recurrence.cells import Cell, Weights
from crossover.recurrence.gated import GRUCell, LSTMCell
from crossover.recurrence.marks import Marks
from crossover.recurrence.scan import Exchange, has_kernels, plain, solve_into, summary


def is_fused(cell: Cell, x_GkRTN: Tensor, weights: Weights) -> bool:
    """Whether an iteration of this cell has a kernel: diagonal GRU and LSTM, without a bias of their own."""
    known = type(cell) in (GRUCell, LSTMCell) and cell.units == 1 and len(weights) == 1
    return known and x_GkRTN.dtype in (torch.float32, torch.float64) and has_kernels(x_GkRTN.device.type)


def iterate(
    x_GkRTN: Tensor,
    weights: Weights,
    states_KRTN: Tensor,
    boundary_KRN: Tensor,
    marks: Marks,
    *,
    damping: float,
    exchange: Exchange | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The corrected states, the correction before the first step [K, R, N], and each row's measures [3, R].

    Those are the largest correction, residual and state.
    """
    from crossover.recurrence.triton.newton import Iteration, marks_as_numbers

    x_RTX = x_GkRTN[:, 0].permute(1, 2, 0, 3).flatten(2)
    u_GN = weights[0].reshape(weights[0].shape[0], -1).contiguous()
    parts = tuple(part.contiguous() for part in states_KRTN.unbind(0))
    iteration = Iteration(x_RTX, u_GN, parts, boundary_KRN.contiguous(), marks_as_numbers(marks))
    product_KKRCN, last_KRCN = iteration.summaries()
    ahead_KRN, after_KRCN = torch.zeros_like(boundary_KRN), torch.empty_like(last_KRCN)
    product, last = plain(product_KKRCN, 2), plain(last_KRCN)
    if exchange is not None:
        whole = summary(product, last, reverse=False)
        ahead_KRN = exchange.before(*whole, plain(ahead_KRN), reverse=False).view_as(ahead_KRN)
    solve_into(plain(after_KRCN), product, last, plain(ahead_KRN), reverse=False)
    starts_KRCN = torch.cat([ahead_KRN[..., None, :], after_KRCN[..., :-1, :]], dim=-2)
    new, measures_3R = iteration.improve(starts_KRCN, damping)
    return torch.stack(new), ahead_KRN, measures_3R
