"""Attention over a ring: keys and values go from rank to rank, and no rank ever holds all of them.

Each rank meets the stretch of keys that is with it, while the next one is on its way, and puts what it finds together
(Liu et al. 2023, "Ring Attention with Blockwise Transformers for Near-Infinite Context", arXiv 2310.01889). Backward
goes round once more, and what is found for a stretch travels with it until it is home.

Shape suffixes: H heads, G heads of keys and values, N keys, K size of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from crossover.errors import LayoutError
from crossover.models.mixers.attend import for_each_head
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.parts import Attended, attend_part, merged, part_gradients
from crossover.models.mixers.spans import real_resets, segments
from crossover.parallel.collectives import Axis, padded
from crossover.parallel.stretch import Stretch
from crossover.parallel.timeline import recorded, sent

_KEYS, _GRADIENTS = 0, 1
"""Tags: two tensors may be on their way between the same two ranks."""
_SLICE = 256
"""Queries whose scores are written out together, where the fused kernel does not know the mask: to bound memory."""


def attend_in_a_ring(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    state: State | None,
    span: Span,
    *,
    causal: bool,
    stretch: Stretch,
) -> tuple[Tensor, State | None]:
    """This rank's queries over the keys and values of all ranks, of which it holds two stretches at a time.

    A LayoutError where a cache is asked for: it would be whole on every rank, which is what a ring avoids.
    """
    if state is not None or span.carry:
        raise LayoutError(
            "sequence_method=ring keeps no keys and values for the rows to go on from: use sequence_method=gather"
        )
    y_BHTK: Tensor = _Ring.apply(q_BHTK, k_BGTK, v_BGTK, _Round(replace(stretch), causal))
    return y_BHTK, None


@dataclass(frozen=True)
class _Round:
    """One pass of rows: who holds which stretch of keys when, and which steps see one another."""

    stretch: Stretch
    causal: bool

    @property
    def axis(self) -> Axis:
        return self.stretch.axis

    def sources(self) -> Iterator[int]:
        """Whose keys are with this rank, one after the other: its own first."""
        for turn in range(self.axis.size):
            yield (self.axis.rank - turn) % self.axis.size

    def sees(self, source: int) -> bool:
        """Whether any of this rank's queries sees a key of rank `source`."""
        return not self.causal or source <= self.axis.rank

    def attend(self, q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, source: int) -> Attended:
        """What this rank's queries find among the keys of rank `source`."""
        mask = self._mask(source, q_BHTK.device)
        if mask is None:
            return attend_part(q_BHTK, k_BHNK, v_BHNK, causal=self.causal and source == self.axis.rank)
        return _attend_in_slices(q_BHTK, k_BHNK, v_BHNK, mask)

    def gradients(
        self, dy_BHTK: Tensor, q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, whole: Attended, source: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the keys of rank `source` have of the gradients of q, k and v."""
        mask = self._mask(source, q_BHTK.device)
        if mask is None:
            causal = self.causal and source == self.axis.rank
            return part_gradients(dy_BHTK, q_BHTK, k_BHNK, v_BHNK, whole, causal=causal)
        return _gradients_in_slices(dy_BHTK, q_BHTK, k_BHNK, v_BHNK, whole, mask)

    def _mask(self, source: int, device: torch.device) -> Tensor | None:
        """Where keys of rank `source` are seen, [B, H, T, N] or [1, 1, T, N]; None where the fused kernel knows."""
        stretch, span = self.stretch, self.stretch.span
        theirs, masks = replace(stretch, axis=replace(self.axis, rank=source)), list[Tensor]()
        if not self.causal and span.lengths_B is not None:
            step_N = theirs.start + torch.arange(theirs.steps, device=device)
            seen_BN = step_N < span.lengths_B.clamp(min=1)[:, None]
            masks.append(seen_BN[:, None, None].expand(-1, -1, stretch.steps, -1))
        resets_BT = real_resets(span, stretch.time)
        if resets_BT is not None:
            segment_BT = segments(resets_BT, resets_BT)
            masks.append((stretch.cut(segment_BT)[:, :, None] == theirs.cut(segment_BT)[:, None, :])[:, None])
        if not masks and device.type == "cpu":
            return None
        whole = torch.ones(stretch.steps, theirs.steps, dtype=torch.bool, device=device)
        masks.append((whole.tril() if self.causal and source == self.axis.rank else whole)[None, None])
        return reduce(torch.logical_and, masks)

    def size(self, source: int) -> int:
        """Keys of rank `source`."""
        return self.stretch.sizes[source]

    def send_on(self, held: Tensor, tag: int) -> _Coming:
        """`held` goes to the next rank, and that of the rank before comes; every rank's has one shape."""
        coming = torch.empty_like(held)
        after, before = ((self.axis.rank + step) % self.axis.size for step in (1, -1))
        group = self.axis.group
        pair = [
            dist.P2POp(dist.isend, held, self.axis.peer(after), group, tag),
            dist.P2POp(dist.irecv, coming, self.axis.peer(before), group, tag),
        ]
        sent(self.axis, f"{self.axis.rank}>{after}:{tag}")
        return _Coming(self.axis, f"{before}>{self.axis.rank}:{tag}", dist.batch_isend_irecv(pair), held, coming)


@dataclass(frozen=True)
class _Coming:
    """A tensor on its way, and the one that must stay until it has been sent."""

    axis: Axis
    key: str
    work: list[Any]
    held: Tensor
    coming: Tensor

    def wait(self) -> Tensor:
        with recorded("receive", self.axis, self.key):
            for work in self.work:
                work.wait()
        return self.coming


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, round_: _Round) -> Tensor:
        held, whole = _packed(k_BGTK, v_BGTK, round_), None
        for turn, source in enumerate(round_.sources()):
            coming = round_.send_on(held, _KEYS) if turn + 1 < round_.axis.size else None
            if round_.sees(source):
                keys, values = for_each_head(q_BHTK, *held[:, :, :, : round_.size(source)].unbind(0))
                found = round_.attend(q_BHTK, keys, values, source)
                whole = found if whole is None else merged(whole, found)
            held = held if coming is None else coming.wait()
        if whole is None:
            raise ValueError("a rank begins with its own keys, so it sees some")
        y_BHTK = whole.y_BHTK.to(q_BHTK.dtype)
        ctx.save_for_backward(q_BHTK, k_BGTK, v_BGTK, y_BHTK, whole.log_sum_BHT)
        ctx.round = round_  # type: ignore[attr-defined]
        return y_BHTK

    @staticmethod
    def backward(ctx: Any, dy_BHTK: Tensor) -> tuple[Tensor | None, ...]:
        q_BHTK, k_BGTK, v_BGTK, *saved = ctx.saved_tensors
        whole, round_, groups = Attended(*saved), ctx.round, k_BGTK.shape[1]
        held, dtype = _packed(k_BGTK, v_BGTK, round_), torch.promote_types(q_BHTK.dtype, torch.float32)
        dq_BHTK, found = torch.zeros_like(q_BHTK, dtype=dtype), torch.zeros_like(held, dtype=dtype)
        for turn, source in enumerate(round_.sources()):
            coming = round_.send_on(held, _KEYS) if turn + 1 < round_.axis.size else None
            if round_.sees(source):
                keys, values = for_each_head(q_BHTK, *held[:, :, :, : round_.size(source)].unbind(0))
                dq, *of_keys = round_.gradients(dy_BHTK, q_BHTK, keys, values, whole, source)
                dq_BHTK += dq
                for part, gradient in zip(found, of_keys, strict=True):
                    part[:, :, : round_.size(source)] += gradient.unflatten(1, (groups, -1)).sum(2)
            found = round_.send_on(found, _GRADIENTS).wait()
            held = held if coming is None else coming.wait()
        dk_BGTK, dv_BGTK = found[:, :, :, : round_.stretch.steps].to(k_BGTK.dtype).unbind(0)
        return dq_BHTK.to(q_BHTK.dtype), dk_BGTK, dv_BGTK, None


def _attend_in_slices(q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, mask: Tensor) -> Attended:
    """Scores written out, of some queries at a time."""
    found = []
    for q, seen in zip(q_BHTK.split(_SLICE, 2), mask.split(_SLICE, 2), strict=True):
        scores = _scores(q, k_BHNK, seen)
        log_sum = scores.logsumexp(-1)
        weights = (scores - log_sum.masked_fill(log_sum == -torch.inf, 0.0)[..., None]).exp()
        found.append(Attended((weights.to(v_BHNK.dtype) @ v_BHNK), log_sum))
    return Attended(*(torch.cat(parts, 2) for parts in zip(*found, strict=True)))


def _gradients_in_slices(
    dy_BHTK: Tensor, q_BHTK: Tensor, k_BHNK: Tensor, v_BHNK: Tensor, whole: Attended, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = [], torch.zeros_like(k_BHNK), torch.zeros_like(v_BHNK)
    shared, scale = (dy_BHTK * whole.y_BHTK).sum(-1, keepdim=True), q_BHTK.shape[-1] ** -0.5
    unseen = whole.log_sum_BHT == -torch.inf
    log_sum = whole.log_sum_BHT.masked_fill(unseen, torch.inf)[..., None]
    for q, seen, dy, common, total in zip(
        *(x.split(_SLICE, 2) for x in (q_BHTK, mask, dy_BHTK, shared, log_sum)), strict=True
    ):
        weights = (_scores(q, k_BHNK, seen) - total).exp().to(q.dtype)
        dscores = weights * (dy @ v_BHNK.transpose(2, 3) - common) * scale
        dq.append(dscores @ k_BHNK)
        dk += dscores.transpose(2, 3) @ q
        dv += weights.transpose(2, 3) @ dy
    return torch.cat(dq, 2), dk, dv


def _scores(q_BHTK: Tensor, k_BHNK: Tensor, seen: Tensor) -> Tensor:
    """q k^T / sqrt(K) [B, H, T, N] in float32 at least, -inf where a query does not see the key."""
    scores = q_BHTK * q_BHTK.shape[-1] ** -0.5 @ k_BHNK.transpose(2, 3)
    return scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~seen, -torch.inf)


def _packed(k_BGTK: Tensor, v_BGTK: Tensor, round_: _Round) -> Tensor:
    """Keys and values [2, B, G, longest stretch, K] as they travel."""
    return padded(torch.stack([k_BGTK, v_BGTK]), 3, max(round_.stretch.sizes)).contiguous()
