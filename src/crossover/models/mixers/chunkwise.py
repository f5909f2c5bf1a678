"""The recurrence of gated linear attention, S_t = a_t S_{t-1} + k_t^T v_t and y_t = q_t S_t, by steps and by chunks.

Yang et al. 2023, arXiv 2312.06635, section 4, with one decay a_t per head and step. The chunk form then needs only
exponentials of sums of log-decays over later steps, which are at most 1: nothing is divided by a product of decays,
so that it is stable in float32 for any decay and any length of chunk.
Shape suffixes: H heads, K size of a key, V size of a value, N chunks, C and J steps of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Steps(NamedTuple):
    """What the recurrence reads, in float32 at least: `q`, `k` [B, H, T, K], `v` [B, H, T, V], `log_decay` [B, H, T].

    `resets` [B, 1, T] marks steps that start from a zero state. A step with v = 0 and log_decay = 0 changes
    nothing, which is what padding is.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    log_decay: Tensor
    resets: Tensor | None

    def heads(self, some: slice) -> Steps:
        """The same for some of the heads."""
        return Steps(self.q[:, some], self.k[:, some], self.v[:, some], self.log_decay[:, some], self.resets)

    def reversed(self) -> Steps:
        """The same from the last step to the first: what started a segment is then its end."""
        resets = None if self.resets is None else F.pad(self.resets[..., 1:], (0, 1)).flip(-1)
        return Steps(self.q.flip(2), self.k.flip(2), self.v.flip(2), self.log_decay.flip(2), resets)


LinearSolve = Callable[[Steps, Tensor], tuple[Tensor, Tensor]]
"""(steps, S_0 [B, H, K, V]) -> (y_BHTV, S_T)."""


def solve_by_steps(steps: Steps, state_BHKV: Tensor) -> tuple[Tensor, Tensor]:
    """S_t = a_t S_{t-1} + k_t^T v_t, y_t = q_t S_t, one step after the other."""
    decay_BHT = steps.log_decay.exp()
    if steps.resets is not None:
        decay_BHT = decay_BHT.masked_fill(steps.resets, 0.0)
    outputs = []
    for t in range(decay_BHT.shape[2]):
        write_BHKV = steps.k[:, :, t, :, None] @ steps.v[:, :, t, None]
        state_BHKV = decay_BHT[:, :, t, None, None] * state_BHKV + write_BHKV
        outputs.append(steps.q[:, :, t, None] @ state_BHKV)
    return torch.cat(outputs, dim=2), state_BHKV


Before = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(what a stretch keeps of the state before it [B, H], what it writes [B, H, K, V], S_0) -> the state before it."""


def solve_by_chunks(
    steps: Steps, state_BHKV: Tensor, *, chunk: int, before: Before | None = None
) -> tuple[Tensor, Tensor]:
    """All chunks side by side, but for their states, which are handed from one to the next.

    With `before` the steps are a stretch of longer rows that begin with `state_BHKV`; it says in which state this
    stretch begins.
    """
    time = steps.q.shape[2]
    chunk = min(chunk, time)
    q, k, v, log_decay = (_cut(x, chunk) for x in steps[:4])
    total_BHNC = log_decay.cumsum(-1)
    since_start, until_end = total_BHNC.exp(), (total_BHNC[..., -1:] - total_BHNC).exp()
    between_BHNCJ = total_BHNC[..., None] - total_BHNC[..., None, :]
    seen = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).tril()
    if steps.resets is not None:
        segment = _cut(steps.resets, chunk).cumsum(-1)
        seen = seen & (segment[..., None] == segment[..., None, :])
        since_start = since_start.masked_fill(segment != 0, 0.0)
        until_end = until_end.masked_fill(segment != segment[..., -1:], 0.0)
    # Masked before the exponential: steps that are not seen have positive sums, which may overflow.
    weight_BHNCJ = between_BHNCJ.masked_fill(~seen, -torch.inf).exp()
    within = (q @ k.transpose(-1, -2) * weight_BHNCJ) @ v
    written = (k * until_end[..., None]).transpose(-1, -2) @ v
    kept = since_start[..., -1]
    if before is not None:
        _, alone_BHKV = _hand_on(written, kept, torch.zeros_like(state_BHKV))
        state_BHKV = before(kept.prod(-1), alone_BHKV, state_BHKV)
    starts, state_BHKV = _hand_on(written, kept, state_BHKV)
    y = within + (q * since_start[..., None]) @ starts
    return y.flatten(2, 3)[:, :, :time], state_BHKV


def _cut(x_BHT: Tensor, chunk: int) -> Tensor:
    """[B, H, T, ...] -> [B, H, N, C, ...], with steps that change nothing at the end."""
    padding = -x_BHT.shape[2] % chunk
    return F.pad(x_BHT, (0, 0) * (x_BHT.ndim - 3) + (0, padding)).contiguous().unflatten(2, (-1, chunk))


def _hand_on(written_BHNKV: Tensor, kept_BHN: Tensor, state_BHKV: Tensor) -> tuple[Tensor, Tensor]:
    """The state before each chunk and after the last; `kept` is what a chunk leaves of the state before it."""
    starts = []
    for written_BHKV, kept_BH in zip(written_BHNKV.unbind(2), kept_BHN.unbind(2), strict=True):
        starts.append(state_BHKV)
        state_BHKV = torch.addcmul(written_BHKV, kept_BH[..., None, None], state_BHKV)
    return torch.stack(starts, dim=2), state_BHKV
