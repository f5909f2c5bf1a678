"""Diagonal linear recurrences h_t = a_t * h_{t-1} + b_t, all steps in about sqrt(T) vectorised operations.

Reduce, then scan (Blelloch 1990, "Prefix sums and their applications", section 1.2): time is cut into C chunks of L
steps. The chunks are first reduced side by side to their summaries (product of the a, last h from zero), the C
summaries are solved one after the other, which gives the h before every chunk, and the chunks are then solved side by
side from there. Nothing but h is written, so the work is five passes over memory against three of a plain loop.
Several ranks with a stretch of time each do the same once more: an `Exchange` of their summaries tells each the h
before its stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class Exchange(Protocol):
    """What several ranks tell one another of their stretches of time."""

    def before(self, product_BD: Tensor, last_BD: Tensor, initial_BD: Tensor, *, reverse: bool) -> Tensor:
        """The h before this rank's stretch.

        `product_BD` is the product of its a, `last_BD` its last h from zero, `initial_BD` the h before all of them.
        """
        ...

    def begins(self, *, reverse: bool) -> bool:
        """Whether this rank's stretch is the first one, or with `reverse` the last."""
        ...


def scan(
    a_BTD: Tensor,
    b_BTD: Tensor,
    initial_BD: Tensor | None = None,
    *,
    reverse: bool = False,
    exchange: Exchange | None = None,
) -> Tensor:
    """Every h of h_t = a_t * h_{t-1} + b_t, from h_0 = `initial_BD` (None: zero), as [B, T, D].

    `reverse` runs from the last step to the first. A step with a_t = 0 starts anew. The sums are taken in float32
    at least, and the result has that precision: bfloat16 inputs are converted first. With an `exchange` the steps
    are this rank's stretch of a longer row, whose h_0 is given; only the rank where the row begins finds a gradient
    of it.
    """
    dtype = torch.promote_types(torch.promote_types(a_BTD.dtype, b_BTD.dtype), torch.float32)
    if initial_BD is None:
        initial_BD = b_BTD.new_zeros((), dtype=dtype).expand(b_BTD.shape[0], b_BTD.shape[2])
    h_BTD: Tensor = _Scan.apply(a_BTD.to(dtype), b_BTD.to(dtype), initial_BD.to(dtype), reverse, exchange)
    return h_BTD


class _Scan(torch.autograd.Function):
    """The backward is one scan the other way: mu_t = dh_t + a_{t+1} mu_{t+1}; then db = mu, da_t = mu_t h_{t-1}."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        a_BTD: Tensor,
        b_BTD: Tensor,
        initial_BD: Tensor,
        reverse: bool,
        exchange: Exchange | None,
    ) -> Tensor:
        h_BTD = torch.empty(b_BTD.shape, dtype=b_BTD.dtype, device=b_BTD.device)
        if exchange is not None:
            initial_BD = exchange.before(*summary(a_BTD, b_BTD, reverse=reverse), initial_BD, reverse=reverse)
        solve_into(h_BTD, a_BTD, b_BTD, initial_BD, reverse=reverse)
        ctx.save_for_backward(a_BTD, initial_BD, h_BTD)
        ctx.reverse, ctx.exchange = reverse, exchange  # type: ignore[attr-defined]
        return h_BTD

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dh_BTD: Tensor) -> tuple[Tensor | None, ...]:
        a_BTD, initial_BD, h_BTD = ctx.saved_tensors  # type: ignore[attr-defined]
        reverse, exchange, time = ctx.reverse, ctx.exchange, h_BTD.shape[1]  # type: ignore[attr-defined]
        if time == 0 and exchange is None:
            return torch.empty_like(a_BTD), dh_BTD, torch.zeros_like(initial_BD), None, None
        first, last = (time - 1, 0) if reverse else (0, time - 1)
        earlier, later = slice(0, time - 1), slice(1, time)
        if reverse:
            earlier, later = later, earlier
        mu_BTD = torch.empty_like(h_BTD)
        mu_BTD[:, last] = dh_BTD[:, last]
        if exchange is not None:
            # From the next stretch comes nu = a mu of its first step, where nu_t = a_t (dh_t + nu_{t+1}).
            whole = summary(a_BTD, a_BTD * dh_BTD, reverse=not reverse)
            mu_BTD[:, last] += exchange.before(*whole, torch.zeros_like(initial_BD), reverse=not reverse)
        solve_into(mu_BTD[:, earlier], a_BTD[:, later], dh_BTD[:, earlier], mu_BTD[:, last], reverse=not reverse)
        da_BTD = torch.empty_like(h_BTD)
        torch.mul(mu_BTD[:, later], h_BTD[:, earlier], out=da_BTD[:, later])
        torch.mul(mu_BTD[:, first], initial_BD, out=da_BTD[:, first])
        dinitial_BD = a_BTD[:, first] * mu_BTD[:, first]
        if exchange is not None and not exchange.begins(reverse=reverse):
            dinitial_BD = torch.zeros_like(dinitial_BD)
        return da_BTD, mu_BTD, dinitial_BD, None, None


def solve_into(h_BTD: Tensor, a_BTD: Tensor, b_BTD: Tensor, initial_BD: Tensor, *, reverse: bool) -> None:
    """Fill `h_BTD`; views of any strides will do. Chunks need not divide T: the last steps are taken one by one."""
    length, chunks = blocks(*b_BTD.shape)
    whole = length * chunks
    rest = b_BTD.shape[1] - whole
    body, tail = (slice(rest, None), slice(0, rest)) if reverse else (slice(0, whole), slice(whole, None))
    carry_BD = initial_BD
    if whole:
        h, a, b = ((x[:, body].unflatten(1, (chunks, length))) for x in (h_BTD, a_BTD, b_BTD))
        starts_BCD = _chunk_starts(a, b, initial_BD, reverse) if chunks > 1 else initial_BD[:, None]
        carry_BD = _steps(h, a, b, starts_BCD, 2, reverse)[:, 0 if reverse else -1]
    if rest:
        _steps(h_BTD[:, tail], a_BTD[:, tail], b_BTD[:, tail], carry_BD, 1, reverse)


def blocks(batch: int, time: int, width: int) -> tuple[int, int]:
    """Chunk length and number of chunks: about sqrt(T) each, or one chunk where a step alone is wide enough."""
    if batch * width >= 32_768 or time < 16:
        return time, min(time, 1)
    length = isqrt(time)
    return length, time // length


def kernels_of_scan(batch: int, time: int, width: int) -> int:
    """How many kernels a scan starts one after the other."""
    length, chunks = blocks(batch, time, width)
    if chunks <= 1:
        return time
    return 3 * length + chunks + time - length * chunks


def _ordered(x: Tensor, dim: int, reverse: bool) -> Sequence[Tensor]:
    return x.unbind(dim)[::-1] if reverse else x.unbind(dim)


def _steps(h: Tensor, a: Tensor, b: Tensor, before: Tensor, dim: int, reverse: bool) -> Tensor:
    """Solve along `dim`, one step after the other; returns the last h."""
    steps = zip(_ordered(h, dim, reverse), _ordered(a, dim, reverse), _ordered(b, dim, reverse), strict=True)
    for h_t, a_t, b_t in steps:
        before = torch.addcmul(b_t, a_t, before, out=h_t)
    return before


def summary(a_BTD: Tensor, b_BTD: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
    """The product of all a and the last h from zero, [B, D] each; T >= 1."""
    length, chunks = blocks(*b_BTD.shape)
    whole = length * chunks
    rest = b_BTD.shape[1] - whole
    body, tail = (slice(rest, None), slice(0, rest)) if reverse else (slice(0, whole), slice(whole, None))
    a, b = (x[:, body].unflatten(1, (chunks, length)) for x in (a_BTD, b_BTD))
    chunked = _reduce(a, b, 2, reverse)
    pairs = zip(chunked, (a_BTD[:, tail], b_BTD[:, tail]), strict=True)
    a, b = (torch.cat([steps, part] if reverse else [part, steps], dim=1) for part, steps in pairs)
    return _reduce(a, b, 1, reverse)


def _reduce(a: Tensor, b: Tensor, dim: int, reverse: bool) -> tuple[Tensor, Tensor]:
    """The product of the a along `dim`, and the last h from zero."""
    a_steps, b_steps = _ordered(a, dim, reverse), _ordered(b, dim, reverse)
    product, last = a_steps[0].clone(), b_steps[0].clone()
    for a_t, b_t in zip(a_steps[1:], b_steps[1:], strict=True):
        torch.addcmul(b_t, a_t, last, out=last)
        product.mul_(a_t)
    return product, last


def _chunk_starts(a_BCLD: Tensor, b_BCLD: Tensor, initial_BD: Tensor, reverse: bool) -> Tensor:
    """The h before each chunk [B, C, D]: reduce the chunks side by side, then solve over their summaries."""
    product_BCD, last_BCD = _reduce(a_BCLD, b_BCLD, 2, reverse)
    starts_BCD = torch.empty_like(last_BCD)
    before, after = (slice(1, None), slice(0, -1)) if reverse else (slice(0, -1), slice(1, None))
    starts_BCD[:, -1 if reverse else 0] = initial_BD
    _steps(starts_BCD[:, after], product_BCD[:, before], last_BCD[:, before], initial_BD, 1, reverse)
    return starts_BCD
