"""What ranks say to one another inside a forward pass, each with its gradient.

Two things can be true of a tensor that every rank of an axis holds: it is the same on all of them, and then so is its
gradient; or each rank uses it for a share of the work, and then a rank's gradient is one term of a sum. The functions
here lead from one to the other, as Shoeybi et al. 2019 (Megatron-LM, arXiv 1909.08053, section 3) do with f and g.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from crossover.parallel.timeline import recorded
from crossover.sharding import Owned, Split


@dataclass(frozen=True)
class Axis:
    """One axis of the mesh as a rank sees it: this rank's place in it, and the number of ranks.

    `group` is that of the ranks along it; None where there is one only.
    """

    name: str
    group: dist.ProcessGroup | None
    rank: int
    size: int

    @property
    def last(self) -> bool:
        """Whether no rank comes after this one."""
        return self.rank == self.size - 1

    def peer(self, rank: int) -> int:
        """The number in the world of the rank at place `rank` of this axis."""
        if self.group is None:
            raise ValueError(f"the axis {self.name} has one rank, and nobody to speak to")
        return dist.get_global_rank(self.group, rank)


def sum_over(x: Tensor, axis: Axis) -> Tensor:
    """The sum of every rank's `x`, without a gradient."""
    total = x.detach().clone(memory_format=torch.contiguous_format)
    with recorded("all-reduce", axis):
        dist.all_reduce(total, group=axis.group)
    return total


def gather_over(x: Tensor, axis: Axis) -> Tensor:
    """Every rank's `x`, all of one shape and at least one dim, stacked on a new first dim; without a gradient."""
    x = x.detach().contiguous()
    gathered = x.new_empty((axis.size, *x.shape))
    with recorded("all-gather", axis):
        _all_gather(gathered.flatten(0, 1), x, group=axis.group)
    return gathered


def _scatter_sum(x_R: Tensor, axis: Axis) -> Tensor:
    """This rank's entry of the sum of every rank's `x_R`, whose first dim is the rank."""
    x_R = x_R.contiguous()
    own = x_R.new_empty(x_R.shape[1:])
    with recorded("reduce-scatter", axis):
        _reduce_scatter(own, x_R.flatten(0, 1), group=axis.group)
    return own


# The names before torch 2.13 give a warning there.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


def piece(x: Tensor, split: Split, axis: Axis) -> Tensor:
    """What this rank holds of a whole tensor."""
    dim = split.dim % x.ndim
    parts = [x[(slice(None),) * dim + (own,)] for own in split.pieces(axis.size, axis.rank)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def put_together(pieces_R: Tensor, split: Split) -> Tensor:
    """The whole tensor from every rank's piece, stacked on the first dim."""
    ranks, dim = pieces_R.shape[0], split.dim % (pieces_R.ndim - 1)
    shares = [size // ranks for size in split.parts]
    by_part = pieces_R.split(shares, dim + 1)
    whole = [torch.cat(part.unbind(0), dim) for part in by_part]
    return whole[0] if len(whole) == 1 else torch.cat(whole, dim)


def whole_of(own: Tensor, split: Split, axis: Axis) -> Tensor:
    """The whole tensor from what every rank holds of it, without a gradient."""
    if not isinstance(split, Owned):
        return put_together(gather_over(own, axis), split)
    shape = list(own.shape)
    shape[split.dim] = sum(split.parts)
    whole = own.detach().clone() if axis.rank == split.owner else own.new_empty(shape)
    with recorded("broadcast", axis):
        dist.broadcast(whole, axis.peer(split.owner), group=axis.group)
    return whole


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, axis: Axis) -> Tensor:
        ctx.axis = axis  # type: ignore[attr-defined]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        return sum_over(dx, ctx.axis), None


def read(x: Tensor, axis: Axis) -> Tensor:
    """The same tensor, each rank to use it for its share of the work: the gradient is the sum over the ranks."""
    found: Tensor = _Read.apply(x, axis)
    return found


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, axis: Axis) -> Tensor:
        return sum_over(x, axis)

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        return dx, None


def add(x: Tensor, axis: Axis) -> Tensor:
    """The sum of every rank's term, the same on all of them."""
    found: Tensor = _Add.apply(x, axis)
    return found


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, split: Split, axis: Axis) -> Tensor:
        ctx.split, ctx.axis = split, axis  # type: ignore[attr-defined]
        return put_together(gather_over(x, axis), split)

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        return piece(dx, ctx.split, ctx.axis).contiguous(), None, None


def join(x: Tensor, split: Split, axis: Axis) -> Tensor:
    """The whole tensor from every rank's piece, the same on all of them."""
    found: Tensor = _Join.apply(x, split, axis)
    return found


class _JoinStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, own_BH: Tensor, split: Split, axis: Axis) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.split, ctx.axis = split, axis  # type: ignore[attr-defined]
        whole_BH = put_together(gather_over(own_BH, axis), split)
        return whole_BH, whole_BH.clone()

    @staticmethod
    def backward(ctx: Any, dread: Tensor | None, dshown: Tensor | None) -> tuple[Tensor | None, ...]:
        split, axis = ctx.split, ctx.axis
        found = None
        if dread is not None:
            share = dread.shape[split.dim] // axis.size
            found = _scatter_sum(torch.stack(dread.split(share, split.dim)), axis)
        if dshown is not None:
            own = piece(dshown, split, axis)
            found = own.contiguous() if found is None else found + own
        return found, None, None


def join_step(own_BH: Tensor, split: Split, axis: Axis) -> tuple[Tensor, Tensor]:
    """One step's hidden units from every rank's own, twice: to be read by each rank, and to be shown.

    The gradient of the first is a sum over the ranks, and no communication where nobody read it; that of the second
    is the same on all of them. `split` has one part.
    """
    read_BH, shown_BH = _JoinStep.apply(own_BH, split, axis)
    return read_BH, shown_BH


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, whole: Tensor, own: Tensor, split: Split, axis: Axis) -> Tensor:
        ctx.split, ctx.axis = split, axis  # type: ignore[attr-defined]
        return whole.detach().clone()

    @staticmethod
    def backward(ctx: Any, dwhole: Tensor) -> tuple[Tensor | None, ...]:
        return None, piece(dwhole, ctx.split, ctx.axis).contiguous(), None, None


def known(whole: Tensor, own: Tensor, split: Split, axis: Axis) -> Tensor:
    """What `join` would give for `own` where `whole`, the result, is known already."""
    found: Tensor = _Known.apply(whole, own, split, axis)
    return found


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, dim: int, sizes: Sequence[int], axis: Axis) -> Tensor:
        ctx.dim, ctx.sizes, ctx.axis = dim, sizes, axis  # type: ignore[attr-defined]
        longest = max(sizes)
        pieces_R = gather_over(padded(x, dim, longest), axis)
        return torch.cat([part.narrow(dim, 0, size) for part, size in zip(pieces_R, sizes, strict=True)], dim)

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        longest = max(ctx.sizes)
        parts = torch.stack([padded(part, ctx.dim, longest) for part in dx.split(list(ctx.sizes), ctx.dim)])
        return _scatter_sum(parts, ctx.axis).narrow(ctx.dim, 0, ctx.sizes[ctx.axis.rank]), None, None, None


def collect(x: Tensor, dim: int, sizes: Sequence[int], axis: Axis) -> Tensor:
    """The stretches of `dim` of all ranks, one after the other, `sizes` long, for each rank to use in its share.

    So the gradient of a stretch is the sum of what all ranks find for it.
    """
    found: Tensor = _Collect.apply(x, dim, tuple(sizes), axis)
    return found


def padded(x: Tensor, dim: int, size: int) -> Tensor:
    """`x` with zeros behind it along `dim`, up to `size` of them."""
    missing = size - x.shape[dim]
    if not missing:
        return x
    shape = list(x.shape)
    shape[dim] = missing
    return torch.cat([x, x.new_zeros(shape)], dim)


def _broadcast_last(x: Tensor, axis: Axis) -> Tensor:
    found = x.clone(memory_format=torch.contiguous_format)
    with recorded("broadcast", axis):
        dist.broadcast(found, axis.peer(axis.size - 1), group=axis.group)
    return found


class _FromLast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, axis: Axis) -> Tensor:
        ctx.axis = axis  # type: ignore[attr-defined]
        return _broadcast_last(x.detach(), axis)

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        return dx if ctx.axis.last else torch.zeros_like(dx), None


def from_last(x: Tensor, axis: Axis) -> Tensor:
    """The last rank's tensor on all of them; every rank gives one of its shape."""
    if not x.is_floating_point():
        return _broadcast_last(x, axis)
    taken: Tensor = _FromLast.apply(x, axis)
    return taken


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, axis: Axis) -> Tensor:
        ctx.axis = axis  # type: ignore[attr-defined]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        return dx if ctx.axis.rank == 0 else torch.zeros_like(dx), None


def once(x: Tensor, axis: Axis) -> Tensor:
    """A tensor that every rank has computed from parts that are summed on the way back: its gradient counts once."""
    found: Tensor = _Once.apply(x, axis)
    return found
