"""Mixers under autocast: which dtype a projection computes in, and parts that stay in full precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def computed_dtype(weight: Tensor, device: torch.device) -> torch.dtype:
    """The dtype that a projection with this weight computes in: autocast's where that is on."""
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return weight.dtype


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A region that computes in the dtypes it is given."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
