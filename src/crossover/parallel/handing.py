"""Handing a state from rank to rank along an axis: forward in the direction of time, its gradient the other way."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from crossover.models.mixers.base import State
from crossover.parallel.collectives import Axis
from crossover.parallel.timeline import recorded


def _give(x: Tensor, axis: Axis, to: int) -> None:
    with recorded("send", axis, f"{axis.rank}>{to}"):
        dist.send(x.contiguous(), axis.peer(to), group=axis.group)


def _take(x: Tensor, axis: Axis, of: int) -> None:
    with recorded("receive", axis, f"{of}>{axis.rank}"):
        dist.recv(x, axis.peer(of), group=axis.group)


class _Receive(torch.autograd.Function):
    """The second argument on are tensors that the state stands in for: they get a gradient of zero."""

    @staticmethod
    def forward(ctx: FunctionCtx, axis: Axis, *like: Tensor) -> State:
        ctx.axis = axis  # type: ignore[attr-defined]
        ctx.floating = [part.is_floating_point() for part in like]  # type: ignore[attr-defined]
        found = tuple(torch.empty_like(part, memory_format=torch.contiguous_format) for part in like)
        for part in found:
            _take(part, axis, axis.rank - 1)
        ctx.mark_non_differentiable(*(part for part in found if not part.is_floating_point()))
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        axis: Axis = ctx.axis
        sent = [gradient for gradient, floating in zip(gradients, ctx.floating, strict=True) if floating]
        for gradient in sent:
            _give(gradient, axis, axis.rank - 1)
        zeros = [
            torch.zeros_like(gradient) if floating else None
            for gradient, floating in zip(gradients, ctx.floating, strict=True)
        ]
        return None, *zeros


def receive_state(like: State, anchor: Tensor, axis: Axis) -> State:
    """The state that the rank before this one hands on, of the shapes and dtypes of `like`.

    Its gradient goes back to that rank. `anchor` is any tensor of the pass that takes a gradient: through it the
    received state is a part of the graph.
    """
    held = anchor[:0].sum()
    tied = tuple(part + held.to(part.dtype) if part.is_floating_point() else part for part in like)
    found: State = _Receive.apply(axis, *tied)
    return found


class _HandOn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, axis: Axis, y: Tensor, *state: Tensor) -> Tensor:
        ctx.axis = axis  # type: ignore[attr-defined]
        ctx.like = [(part.shape, part.dtype, part.is_floating_point()) for part in state]  # type: ignore[attr-defined]
        for part in state:
            _give(part, axis, axis.rank + 1)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        axis: Axis = ctx.axis
        gradients: list[Tensor | None] = []
        for shape, dtype, floating in ctx.like:
            gradient = dy.new_empty(shape, dtype=dtype) if floating else None
            if gradient is not None:
                _take(gradient, axis, axis.rank + 1)
            gradients.append(gradient)
        return None, dy, *gradients


def hand_on(y: Tensor, state: State, axis: Axis) -> Tensor:
    """`y`, with `state` sent to the next rank; on the way back its gradient comes from there."""
    found: Tensor = _HandOn.apply(axis, y, *state)
    return found
