"""Linear recurrences h_t = a_t h_{t-1} + b_t of numbers or small blocks, all steps in about sqrt(T) operations.

Numbers: a_t and b_t are [..., T, N], and a_t h_{t-1} is taken one by one. Blocks: a_t is [K, K, ..., T, N], b_t and
h_t are [K, ..., T, N], N systems of K numbers, and a_t h_{t-1} is a product of matrix and vector in every system.
That a has one dim more than b is all that tells the two apart; time is the last dim but one in either.

Reduce, then scan (Blelloch 1990, "Prefix sums and their applications", section 1.2): time is cut into C chunks of L
steps. The chunks are first reduced side by side to their summaries (product of the a, last h from zero), the C
summaries are solved one after the other, which gives the h before every chunk, and the chunks are then solved side by
side from there. Nothing but h is written, so the work is five passes over memory against three of a plain loop.
Several ranks with a stretch of time each do the same once more: an `Exchange` of their summaries tells each the h
before its stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from math import isqrt
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_CACHED_NUMBERS = 524_288
"""Of one tensor in a piece of time on a CPU: few enough for the ten or so of a piece to stay in its caches."""


@cache
def has_kernels(kind: str) -> bool:
    """Whether kernels can be built for devices of this kind."""
    return kind == "cuda" and find_spec("triton") is not None


class Exchange(Protocol):
    """What several ranks tell one another of their stretches of time."""

    def before(self, product: Tensor, last: Tensor, initial: Tensor, *, reverse: bool) -> Tensor:
        """The h before this rank's stretch.

        `product` is the product of its a, `last` its last h from zero, `initial` the h before all of them.
        """
        ...

    def begins(self, *, reverse: bool) -> bool:
        """Whether this rank's stretch is the first one, or with `reverse` the last."""
        ...


def scan(
    a: Tensor,
    b: Tensor,
    initial: Tensor | None = None,
    *,
    reverse: bool = False,
    exchange: Exchange | None = None,
) -> Tensor:
    """Every h of h_t = a_t h_{t-1} + b_t, from h_0 = `initial` (b without its steps; None: zero), in the shape of b.

    `reverse` runs from the last step to the first. A step with a_t = 0 starts anew. The sums are taken in float32
    at least, and the result has that precision: bfloat16 inputs are converted first. With an `exchange` the steps
    are this rank's stretch of a longer row, whose h_0 is given; only the rank where the row begins finds a gradient
    of it.
    """
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    if initial is None:
        initial = b.new_zeros((), dtype=dtype).expand(*b.shape[:-2], b.shape[-1])
    h: Tensor = _Scan.apply(a.to(dtype), b.to(dtype), initial.to(dtype), reverse, exchange)
    return h


class _Scan(torch.autograd.Function):
    """The backward is one scan the other way: mu_t = dh_t + a_{t+1}' mu_{t+1}; then db = mu, da_t = mu_t h_{t-1}'."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        a: Tensor,
        b: Tensor,
        initial: Tensor,
        reverse: bool,
        exchange: Exchange | None,
    ) -> Tensor:
        h = torch.empty(b.shape, dtype=b.dtype, device=b.device)
        if exchange is not None:
            initial = exchange.before(*summary(a, b, reverse=reverse), initial, reverse=reverse)
        solve_into(h, a, b, initial, reverse=reverse)
        ctx.save_for_backward(a, initial, h)
        ctx.reverse, ctx.exchange = reverse, exchange  # type: ignore[attr-defined]
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dh: Tensor) -> tuple[Tensor | None, ...]:
        a, initial, h = ctx.saved_tensors  # type: ignore[attr-defined]
        reverse, exchange, time = ctx.reverse, ctx.exchange, h.shape[-2]  # type: ignore[attr-defined]
        if time == 0 and exchange is None:
            return torch.empty_like(a), dh, torch.zeros_like(initial), None, None
        first, last = (time - 1, 0) if reverse else (0, time - 1)
        earlier, later = slice(0, time - 1), slice(1, time)
        if reverse:
            earlier, later = later, earlier
        back = transposed(a, dh)
        mu = torch.empty_like(h)
        mu[..., last, :] = dh[..., last, :]
        if exchange is not None:
            # From the next stretch comes nu = a' mu of its first step, where nu_t = a_t' (dh_t + nu_{t+1}).
            whole = summary(back, apply(back, dh), reverse=not reverse)
            mu[..., last, :] += exchange.before(*whole, torch.zeros_like(initial), reverse=not reverse)
        solve_into(
            mu[..., earlier, :], back[..., later, :], dh[..., earlier, :], mu[..., last, :], reverse=not reverse
        )
        da = torch.empty_like(a)
        blocked = a.ndim > h.ndim
        torch.mul(*_crossed(mu[..., later, :], h[..., earlier, :], blocked), out=da[..., later, :])
        torch.mul(*_crossed(mu[..., first, :], initial, blocked), out=da[..., first, :])
        dinitial = apply(back[..., first, :], mu[..., first, :])
        if exchange is not None and not exchange.begins(reverse=reverse):
            dinitial = torch.zeros_like(dinitial)
        return da, mu, dinitial, None, None


def apply(a: Tensor, h: Tensor, b: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    """a h + b of one step or of many side by side; `out` must not be h where these are blocks."""
    if a.ndim == h.ndim:
        return torch.mul(a, h, out=out) if b is None else torch.addcmul(b, a, h, out=out)
    first, *others = zip(a.unbind(1), h.unbind(0), strict=True)
    found = torch.mul(*first, out=out) if b is None else torch.addcmul(b, *first, out=out)
    for column, number in others:
        found = torch.addcmul(found, column, number, out=out)
    return found


def compose(later: Tensor, earlier: Tensor, like: Tensor) -> Tensor:
    """The a of two steps after one another; `like` is an h, which says what they are."""
    if later.ndim == like.ndim:
        return later * earlier
    found = later[:, :1] * earlier[:1]
    for column in range(1, later.shape[1]):
        found = torch.addcmul(found, later[:, column, None], earlier[column, None])
    return found


def transposed(a: Tensor, like: Tensor) -> Tensor:
    """a' of every step."""
    return a if a.ndim == like.ndim else a.transpose(0, 1)


def plain(values: Tensor, dims: int = 1) -> Tensor:
    """Without the `dims` dims of a system's numbers where there is one number: those are scanned as they are."""
    return values[(0,) * dims] if values.shape[0] == 1 else values


def _crossed(mu: Tensor, h: Tensor, blocked: bool) -> tuple[Tensor, Tensor]:
    """The two factors of mu h', of the shape of a."""
    return (mu[:, None], h[None]) if blocked else (mu, h)


def solve_into(h: Tensor, a: Tensor, b: Tensor, initial: Tensor, *, reverse: bool) -> None:
    """Fill `h`; views of any strides will do. Chunks need not divide T: the last steps are taken one by one."""
    if has_kernels(b.device.type):
        from crossover.recurrence.triton import scan as kernels

        if kernels.fits(h, a, b):
            kernels.solve_into(h, a, b, initial, reverse=reverse)
            return
    time, width = b.shape[-2:]
    length, chunks = blocks(b.numel() // max(time * width, 1), time, width)
    whole = length * chunks
    rest = time - whole
    body, tail = (slice(rest, None), slice(0, rest)) if reverse else (slice(0, whole), slice(whole, None))
    carry = initial
    if whole:
        of_body = (x[..., body, :].unflatten(-2, (chunks, length)) for x in (h, a, b))
        h_CLN, a_CLN, b_CLN = of_body
        starts = _chunk_starts(a_CLN, b_CLN, initial, reverse) if chunks > 1 else initial[..., None, :]
        carry = _steps(h_CLN, a_CLN, b_CLN, starts, -2, reverse)[..., 0 if reverse else -1, :]
    if rest:
        _steps(h[..., tail, :], a[..., tail, :], b[..., tail, :], carry, -2, reverse)


def pieces_of(like: Tensor, size: int = 1) -> list[slice]:
    """Time in pieces for systems of `size` numbers: on a CPU as many steps as stay in its caches, elsewhere all.

    `like` is [..., B, T, N].
    """
    batch, time, systems = like.shape[-3:]
    length = max(1, _CACHED_NUMBERS // max(batch * systems * size, 1)) if like.device.type == "cpu" else time
    return [slice(start, min(start + length, time)) for start in range(0, time, length)]


def joined_summary(recurrences: Iterable[tuple[Tensor, Tensor]], *, reverse: bool) -> tuple[Tensor, Tensor]:
    """The summary of pieces of time, a and b of each, given in the order in which they are gone through."""
    (product, last), *others = (summary(a, b, reverse=reverse) for a, b in recurrences)
    for own, own_last in others:
        product, last = compose(own, product, last), apply(own, last, own_last)
    return product, last


def blocks(batch: int, time: int, width: int) -> tuple[int, int]:
    """Chunk length and number of chunks: about sqrt(T) each, or one chunk where a step alone is wide enough."""
    if batch * width >= 32_768 or time < 16:
        return time, min(time, 1)
    # Of 256 steps 17 chunks, not 16: PyTorch's second thread joins in above 32,768 numbers.
    length = isqrt(time - 1)
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
        before = apply(a_t, before, b_t, out=h_t)
    return before


def summary(a: Tensor, b: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
    """The product of all a and the last h from zero, without the steps' dim; T >= 1."""
    time, width = b.shape[-2:]
    length, chunks = blocks(b.numel() // max(time * width, 1), time, width)
    whole = length * chunks
    rest = time - whole
    body, tail = (slice(rest, None), slice(0, rest)) if reverse else (slice(0, whole), slice(whole, None))
    a_CLN, b_CLN = (x[..., body, :].unflatten(-2, (chunks, length)) for x in (a, b))
    chunked = _reduce(a_CLN, b_CLN, -2, reverse)
    pairs = zip(chunked, (a[..., tail, :], b[..., tail, :]), strict=True)
    a, b = (torch.cat([steps, part] if reverse else [part, steps], dim=-2) for part, steps in pairs)
    return _reduce(a, b, -2, reverse)


def _reduce(a: Tensor, b: Tensor, dim: int, reverse: bool) -> tuple[Tensor, Tensor]:
    """The product of the a along `dim`, and the last h from zero."""
    a_steps, b_steps = _ordered(a, dim, reverse), _ordered(b, dim, reverse)
    product, last = a_steps[0], b_steps[0]
    if a.ndim == b.ndim:
        product, last = product.clone(), last.clone()
        for a_t, b_t in zip(a_steps[1:], b_steps[1:], strict=True):
            torch.addcmul(b_t, a_t, last, out=last)
            product.mul_(a_t)
        return product, last
    for a_t, b_t in zip(a_steps[1:], b_steps[1:], strict=True):
        product, last = compose(a_t, product, last), apply(a_t, last, b_t)
    return product, last


def _chunk_starts(a_CLN: Tensor, b_CLN: Tensor, initial: Tensor, reverse: bool) -> Tensor:
    """The h before each chunk [..., C, N]: reduce the chunks side by side, then solve over their summaries."""
    product_CN, last_CN = _reduce(a_CLN, b_CLN, -2, reverse)
    starts_CN = torch.empty(last_CN.shape, dtype=last_CN.dtype, device=last_CN.device)
    before, after = (slice(1, None), slice(0, -1)) if reverse else (slice(0, -1), slice(1, None))
    starts_CN[..., -1 if reverse else 0, :] = initial
    _steps(starts_CN[..., after, :], product_CN[..., before, :], last_CN[..., before, :], initial, -2, reverse)
    return starts_CN
