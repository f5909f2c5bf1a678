"""Rotary positions: a head's features turn with the position, so that scores depend on distances only.

Su et al. 2021, "RoFormer", arXiv 2104.09864, equation 15. Feature i is paired with feature i + K/2.
"""

from __future__ import annotations

import torch
from torch import Tensor

Turns = tuple[Tensor, Tensor]
"""By feature and position: the cosine of its angle, and the sine by which its partner comes to it; [T, 1, K], or
[B, T, 1, K] where rows differ."""


def turns(position_T: Tensor, size: int, base: float, dtype: torch.dtype) -> Turns:
    """The turn of every position ([T], or [B, T]) for heads of `size` features (even), in float32 at least."""
    precision = torch.promote_types(dtype, torch.float32)
    half = size // 2
    frequency_K = base ** (-torch.arange(half, device=position_T.device, dtype=precision) / half)
    angle_TK = position_T[..., None, None] * frequency_K
    cos, sin = angle_TK.cos(), angle_TK.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x_BTHK: Tensor, turn: Turns) -> Tensor:
    """The features of each step, turned; the dtype stays."""
    cos, sin = turn
    exact = x_BTHK.to(cos.dtype)
    partner = exact.roll(exact.shape[-1] // 2, dims=-1)
    return torch.addcmul(exact * cos, partner, sin).to(x_BTHK.dtype)
