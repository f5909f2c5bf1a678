"""What mixers that see several steps at once share: hidden padding, resets as segments, the last steps of rows."""

from __future__ import annotations

import torch
from torch import Tensor

from crossover.errors import ConfigError
from crossover.models.mixers.base import MixerSettings, Span, State


def hide(x_BTD: Tensor, mask_BT: Tensor | None) -> Tensor:
    """Zero where the mask is False, whatever stood there (NaN too), forward and backward."""
    return x_BTD if mask_BT is None else x_BTD.masked_fill(~mask_BT[..., None], 0.0)


def real_resets(span: Span, time: int) -> Tensor | None:
    """`span.resets_BT` without those after a row's end, which change nothing; None where there are none."""
    if span.resets_BT is None:
        return None
    mask_BT = span.mask_BT(time)
    return span.resets_BT if mask_BT is None else span.resets_BT & mask_BT


def segments(resets_BT: Tensor | None, like_BTD: Tensor) -> Tensor:
    """The number of resets up to each step [B, T]: two steps may see each other only where it is equal."""
    if resets_BT is None:
        return torch.zeros(like_BTD.shape[:2], dtype=torch.int64, device=like_BTD.device)
    return resets_BT.cumsum(1)


def last_steps(x: Tensor, lengths_B: Tensor | None, size: int, dim: int) -> Tensor:
    """The last `size` steps of each row along `dim`.

    `x` holds `size` earlier steps and then a chunk, of which the first `lengths_B` (None: all) are real.
    """
    if lengths_B is None:
        return x.narrow(dim, x.shape[dim] - size, size)
    index_BS = lengths_B[:, None] + torch.arange(size, device=x.device)
    shape = [x.shape[0]] + [1] * (x.ndim - 1)
    shape[dim] = size
    target = list(x.shape)
    target[dim] = size
    return x.gather(dim, index_BS.view(shape).expand(target))


def refuse_state(settings: MixerSettings, state: State | None) -> None:
    """A mixer that sees whole rows has nothing to carry: a state is a ConfigError."""
    if state is not None:
        raise no_state(settings)


def no_state(settings: MixerSettings) -> ConfigError:
    """The error for a state asked of, or given to, a mixer that is not causal."""
    return ConfigError(
        f"{settings.name} with causal=False takes whole rows and carries no state: use causal=True to stream"
    )
