"""Causal attention over `sequence`: queries are shared out so that all ranks have as much to do.

A late query looks at more keys than an early one, so that most of the work would be that of the last stretch. Each
stretch is cut in halves, and of the 2p halves rank r computes those at r and at 2p - 1 - r: one early, one late (as
Llama 3 does for whole layers, arXiv 2407.21783, section 3.3.2). Queries go there, and what they found comes back.

Shape suffixes: H heads, G heads of keys and values, K size of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from crossover.models.mixers.base import Span, State
from crossover.parallel.collectives import Axis
from crossover.parallel.stretch import Stretch
from crossover.parallel.timeline import recorded, sent

_TIME = 2
"""The dim of [B, H, T, K] that is cut."""


@dataclass(frozen=True)
class Halves:
    """The halves of all ranks' stretches: where each begins, who has it and who computes it."""

    ends: tuple[int, ...]
    owners: tuple[int, ...]
    workers: tuple[int, ...]

    @classmethod
    def of(cls, stretch: Stretch) -> Halves:
        """Those of the rows under way."""
        ranks, ends = stretch.axis.size, [0]
        for size in stretch.sizes:
            ends += [ends[-1] + size // 2, ends[-1] + size]
        numbers = range(2 * ranks)
        return cls(tuple(ends), tuple(n // 2 for n in numbers), tuple(min(n, 2 * ranks - 1 - n) for n in numbers))

    @property
    def sizes(self) -> list[int]:
        """Steps of each half."""
        return [stop - start for start, stop in pairwise(self.ends)]


def attend_in_halves(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    *,
    solve: Callable[..., tuple[Tensor, State | None]],
    stretch: Stretch,
) -> Tensor:
    """This rank's queries [B, H, stretch, K] over the keys up to their own step, which are those of whole rows."""
    halves, axis = Halves.of(stretch), stretch.axis
    own = q_BHTK.split([halves.sizes[n] for n in _at(halves.owners, axis)], _TIME)
    given = _travel(own, halves, halves.owners, halves.workers, axis)
    first = [halves.ends[number] for number in _at(halves.workers, axis)]
    stops = tuple(halves.ends[number + 1] for number in _at(halves.workers, axis))
    keys, values = (_Prefixes.apply(part, stops) for part in (k_BGTK, v_BGTK))
    found = [
        solve(q, k, v, None, Span(carry=False), first=start)[0]
        for q, k, v, start in zip(given, keys, values, first, strict=True)
    ]
    return torch.cat(_travel(found, halves, halves.workers, halves.owners, axis), _TIME)


class _Prefixes(torch.autograd.Function):
    """The first steps of a tensor, up to each of `stops`; gradients are added where they belong, not padded first."""

    @staticmethod
    def forward(ctx: FunctionCtx, x_BGTK: Tensor, stops: tuple[int, ...]) -> tuple[Tensor, ...]:
        ctx.shape = x_BGTK.shape  # type: ignore[attr-defined]
        return tuple(x_BGTK.narrow(_TIME, 0, stop) for stop in stops)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dx_BGTK = gradients[0].new_zeros(ctx.shape)
        for gradient in gradients:
            dx_BGTK.narrow(_TIME, 0, gradient.shape[_TIME]).add_(gradient)
        return dx_BGTK, None


def _at(places: Sequence[int], axis: Axis) -> list[int]:
    """The halves that are with this rank."""
    return [number for number, rank in enumerate(places) if rank == axis.rank]


class _Travel(torch.autograd.Function):
    """Gradients go the way back."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, halves: Halves, start: tuple[int, ...], end: tuple[int, ...], axis: Axis, *given: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.way = halves, end, start, axis  # type: ignore[attr-defined]
        return _moved(given, halves, start, end, axis)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, None, *_moved(gradients, *ctx.way)


def _travel(
    given: Sequence[Tensor], halves: Halves, start: tuple[int, ...], end: tuple[int, ...], axis: Axis
) -> tuple[Tensor, ...]:
    """Tensors of halves, which are with the ranks `start`, as they are with the ranks `end`."""
    found: tuple[Tensor, ...] = _Travel.apply(halves, start, end, axis, *given)
    return found


def _moved(
    given: Sequence[Tensor], halves: Halves, start: Sequence[int], end: Sequence[int], axis: Axis
) -> tuple[Tensor, ...]:
    held = dict(zip(_at(start, axis), given, strict=True))
    found, messages, keys = dict[int, Tensor](), list[dist.P2POp](), list[str]()
    for number, (source, target) in enumerate(zip(start, end, strict=True)):
        if source == target == axis.rank:
            found[number] = held[number].clone()
        elif source == axis.rank:
            x = held[number].contiguous()
            messages.append(dist.P2POp(dist.isend, x, axis.peer(target), axis.group, number))
            sent(axis, f"{source}>{target}:half {number}")
        elif target == axis.rank:
            shape = list(given[0].shape)
            shape[_TIME] = halves.sizes[number]
            found[number] = given[0].new_empty(shape)
            messages.append(dist.P2POp(dist.irecv, found[number], axis.peer(source), axis.group, number))
            keys.append(f"{source}>{target}:half {number}")
    works = dist.batch_isend_irecv(messages) if messages else []
    with recorded("receive", axis, *keys[:1]):
        for work in works:
            work.wait()
    return tuple(found[number] for number in sorted(found))
