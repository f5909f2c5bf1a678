"""The cache of keys and values that softmax attention carries; rows may have different lengths in it.

Shape suffixes: G heads of keys and values, C slots, K size of a head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Cache(NamedTuple):
    """Keys and values of the steps seen so far: step i of a row stands in slot i.

    `k`, `v` [B, G, C, K]; `length` [B] is the number of slots in use, `start` [B] the first one that later steps may
    still see (a reset moves it), `position` [B] the absolute position of the next step.

    A cache with a spare slot (C > max(length)) was allocated ahead: where no gradient is needed, `append` writes into
    it in place, so that only one continuation of it may be followed. Otherwise it is left as it is.
    """

    k: Tensor
    v: Tensor
    length: Tensor
    start: Tensor
    position: Tensor

    @property
    def used(self) -> int:
        """The number of slots in use in the longest row."""
        return int(self.length.max()) if self.length.numel() else 0


def empty_cache(k_BGCK: Tensor, position: int | Tensor = 0) -> Cache:
    """A cache of no steps over the slots `k_BGCK` (which may be none)."""
    batch, device = k_BGCK.shape[0], k_BGCK.device
    zeros_B = torch.zeros(batch, dtype=torch.int64, device=device)
    return Cache(k_BGCK, torch.zeros_like(k_BGCK), zeros_B, zeros_B, zeros_B + position)


def first_cache(k_BGTK: Tensor, v_BGTK: Tensor, lengths_B: Tensor | None, position: int | Tensor) -> Cache:
    """The cache after a first chunk of `lengths_B` (None: all T) real steps, without a copy."""
    cache = empty_cache(k_BGTK[:, :, :0], position)
    length_B = cache.length + (k_BGTK.shape[2] if lengths_B is None else lengths_B)
    cache = cache._replace(length=length_B, position=cache.position + length_B)
    used = k_BGTK.shape[2] if lengths_B is None else cache.used
    return cache._replace(k=k_BGTK[:, :, :used], v=v_BGTK[:, :, :used])


def append(cache: Cache, k_BGTK: Tensor, v_BGTK: Tensor, lengths_B: Tensor | None) -> Cache:
    """The cache after the next chunk of `lengths_B` (None: all T) real steps; slots grow by doubling."""
    time, used = k_BGTK.shape[2], cache.used
    steps_B = torch.full_like(cache.length, time) if lengths_B is None else lengths_B.to(cache.length.dtype)
    grown = cache._replace(length=cache.length + steps_B, position=cache.position + steps_B)
    needed = used + time if lengths_B is None else grown.used
    uniform = lengths_B is None and bool((cache.length == used).all())
    # A step after its row's end goes to the spare slot, which no query sees.
    slots_BT = None if uniform else _slots(cache.length, steps_B, time, needed)
    allocated = cache.k.shape[2] > used
    in_place = allocated and not (torch.is_grad_enabled() and (k_BGTK.requires_grad or cache.k.requires_grad))
    write = _write_in_place if in_place else _write
    return grown._replace(
        k=write(cache.k, k_BGTK.to(cache.k.dtype), used, needed, slots_BT),
        v=write(cache.v, v_BGTK.to(cache.v.dtype), used, needed, slots_BT),
    )


def _slots(length_B: Tensor, steps_B: Tensor, time: int, spare: int) -> Tensor:
    step_T = torch.arange(time, device=length_B.device)
    return torch.where(step_T < steps_B[:, None], length_B[:, None] + step_T, spare)


def _index(slots_BT: Tensor, new_BGTK: Tensor) -> Tensor:
    return slots_BT[:, None, :, None].expand_as(new_BGTK)


def _write(slots_BGCK: Tensor, new_BGTK: Tensor, used: int, needed: int, slots_BT: Tensor | None) -> Tensor:
    """The `needed` slots in a new tensor, exact for the backward pass."""
    if slots_BT is None:
        return torch.cat([slots_BGCK[:, :, :used], new_BGTK], dim=2)
    wide = F.pad(slots_BGCK[:, :, :used], (0, 0, 0, needed + 1 - used))
    return wide.scatter(2, _index(slots_BT, new_BGTK), new_BGTK)[:, :, :needed]


def _write_in_place(slots_BGCK: Tensor, new_BGTK: Tensor, used: int, needed: int, slots_BT: Tensor | None) -> Tensor:
    """The same slots, written to; twice as many where they and a spare one do not fit."""
    capacity = slots_BGCK.shape[2]
    if capacity < needed + 1:
        slots_BGCK = F.pad(slots_BGCK, (0, 0, 0, max(2 * capacity, needed + 1) - capacity))
    if slots_BT is None:
        slots_BGCK[:, :, used:needed] = new_BGTK
    else:
        slots_BGCK.scatter_(2, _index(slots_BT, new_BGTK), new_BGTK)
    return slots_BGCK
