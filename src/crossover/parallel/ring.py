"""Attention over a ring: keys and values go from rank to rank, and no rank ever holds all of them.

Each rank meets the stretch of keys that is with it, while the next one is on its way, and corrects what it has by the
running maximum of the scores (Liu et al. 2023, "Ring Attention with Blockwise Transformers for Near-Infinite
Context", arXiv 2310.01889; the correction is that of Milakov and Gimelshein 2018, arXiv 1805.02867). Backward goes
round once more, and what is found for a stretch travels with it until it is home.

Shape suffixes: G heads of keys and values, S heads of queries that share one of them, N keys, K size of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from crossover.errors import LayoutError
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.spans import real_resets, segments
from crossover.parallel.collectives import Axis, padded
from crossover.parallel.stretch import Stretch
from crossover.parallel.timeline import recorded, sent

_KEYS, _GRADIENTS = 0, 1
"""Tags: two tensors may be on their way between the same two ranks."""


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

    def scores(self, q_BGSTK: Tensor, k_BGNK: Tensor, source: int) -> Tensor:
        """q k^T / sqrt(K) [B, G, S, T, N], -inf where a query does not see the key."""
        scores = q_BGSTK * q_BGSTK.shape[-1] ** -0.5 @ k_BGNK[:, :, None].transpose(3, 4)
        mask = self._mask(source, scores.device)
        return scores if mask is None else scores.masked_fill(~mask, -torch.inf)

    def _mask(self, source: int, device: torch.device) -> Tensor | None:
        """Where keys of rank `source` are seen, broadcasting to [B, G, S, T, N]; None where all of them are."""
        stretch, span = self.stretch, self.stretch.span
        theirs, masks = replace(stretch, axis=replace(self.axis, rank=source)), list[Tensor]()
        if self.causal and source == self.axis.rank:
            masks.append(torch.ones(stretch.steps, stretch.steps, dtype=torch.bool, device=device).tril())
        if not self.causal and span.lengths_B is not None:
            step_N = theirs.start + torch.arange(theirs.steps, device=device)
            masks.append((step_N < span.lengths_B.clamp(min=1)[:, None])[:, None, None, None])
        resets_BT = real_resets(span, stretch.time)
        if resets_BT is not None:
            segment_BT = segments(resets_BT, resets_BT)
            same_BTN = stretch.cut(segment_BT)[:, :, None] == theirs.cut(segment_BT)[:, None, :]
            masks.append(same_BTN[:, None, None])
        if not masks:
            return None
        return masks[0] if len(masks) == 1 else masks[0] & masks[1]

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
        q_BGSTK = _grouped(q_BHTK, k_BGTK.shape[1])
        y, most, total = _nothing_seen(q_BGSTK)
        held = _packed(k_BGTK, v_BGTK, round_)
        for turn, source in enumerate(round_.sources()):
            coming = round_.send_on(held, _KEYS) if turn + 1 < round_.axis.size else None
            if round_.sees(source):
                k_BGNK, v_BGNK = held[:, :, :, : round_.size(source)].unbind(0)
                scores = round_.scores(q_BGSTK, k_BGNK, source).to(y.dtype)
                more = torch.maximum(most, scores.amax(-1, keepdim=True))
                # A query that has seen nothing yet has a maximum of -inf, from which nothing may be taken.
                base = more.masked_fill(more == -torch.inf, 0.0)
                weights, kept = (scores - base).exp(), (most - base).exp()
                y = y * kept + weights @ v_BGNK[:, :, None].to(y.dtype)
                total, most = total * kept + weights.sum(-1, keepdim=True), more
            held = held if coming is None else coming.wait()
        unseen = total == 0
        y = y / total.masked_fill(unseen, 1.0)
        log_total = (most + total.log()).masked_fill(unseen, torch.inf)
        ctx.save_for_backward(q_BHTK, k_BGTK, v_BGTK, y, log_total)
        ctx.round = round_  # type: ignore[attr-defined]
        return y.flatten(1, 2).to(q_BHTK.dtype)

    @staticmethod
    def backward(ctx: Any, dy_BHTK: Tensor) -> tuple[Tensor | None, ...]:
        q_BHTK, k_BGTK, v_BGTK, y, log_total = ctx.saved_tensors
        round_: _Round = ctx.round
        q_BGSTK, dy = _grouped(q_BHTK, k_BGTK.shape[1]), _grouped(dy_BHTK, k_BGTK.shape[1]).to(y.dtype)
        shared, scale = (dy * y).sum(-1, keepdim=True), q_BHTK.shape[-1] ** -0.5
        dq = torch.zeros_like(y)
        held = _packed(k_BGTK, v_BGTK, round_)
        found = torch.zeros_like(held, dtype=y.dtype)
        for turn, source in enumerate(round_.sources()):
            coming = round_.send_on(held, _KEYS) if turn + 1 < round_.axis.size else None
            if round_.sees(source):
                size = round_.size(source)
                k_BGNK, v_BGNK = held[:, :, :, :size].unbind(0)
                weights = (round_.scores(q_BGSTK, k_BGNK, source).to(y.dtype) - log_total).exp()
                dscores = weights * (dy @ v_BGNK[:, :, None].transpose(3, 4).to(y.dtype) - shared) * scale
                dq += dscores @ k_BGNK[:, :, None].to(y.dtype)
                found[0, :, :, :size] += (dscores.transpose(3, 4) @ q_BGSTK.to(y.dtype)).sum(2)
                found[1, :, :, :size] += (weights.transpose(3, 4) @ dy).sum(2)
            found = round_.send_on(found, _GRADIENTS).wait()
            held = held if coming is None else coming.wait()
        dk, dv = found[:, :, :, : round_.stretch.steps].to(k_BGTK.dtype).unbind(0)
        return dq.flatten(1, 2).to(q_BHTK.dtype), dk, dv, None


def _grouped(x_BHTK: Tensor, groups: int) -> Tensor:
    """[B, G, S, T, K]: heads beside the one of keys and values that they share."""
    return x_BHTK.unflatten(1, (groups, -1))


def _nothing_seen(q_BGSTK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, the largest score and the sum of weights before the first key, in float32 at least."""
    y = torch.zeros_like(q_BGSTK, dtype=torch.promote_types(q_BGSTK.dtype, torch.float32))
    one = y[..., :1]
    return y, torch.full_like(one, -torch.inf), torch.zeros_like(one)


def _packed(k_BGTK: Tensor, v_BGTK: Tensor, round_: _Round) -> Tensor:
    """Keys and values [2, B, G, longest stretch, K] as they travel."""
    return padded(torch.stack([k_BGTK, v_BGTK]), 3, max(round_.stretch.sizes)).contiguous()
