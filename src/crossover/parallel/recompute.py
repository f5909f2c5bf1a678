"""Blocks, or chunks in time of all of them, that keep for the way back what entered them, and compute the rest again.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from crossover.models.backbones import ModelState
from crossover.models.mixers.base import Span, State
from crossover.models.model import SequenceModel
from crossover.parallel.stretch import cuts


def recompute_blocks(model: SequenceModel) -> None:
    """Let every block of `model` compute its forward pass again on the way back, in place; dropout draws the same."""
    backbones = [model.backbone] if model.encoder is None else [model.encoder.backbone, model.backbone]
    for backbone in backbones:
        for block in backbone.blocks:
            block.forward = partial(_recomputed, within=block.forward)


def recompute_chunks(model: SequenceModel, chunks: int) -> None:
    """Let the blocks of a causal `model` go through time in so many chunks, in place, the state carried between them.

    A chunk keeps what entered it and the state before it, so that the activations of one chunk are there at a time.
    Dropout draws other numbers than over whole rows.
    """
    model.backbone.forward = partial(_in_chunks, within=model.backbone.forward, chunks=chunks)  # type: ignore[method-assign]


def _in_chunks(
    x_BTD: Tensor,
    state: ModelState | None = None,
    span: Span | None = None,
    memory: tuple[State, ...] = (),
    *,
    within: Callable[..., Any],
    chunks: int,
) -> tuple[Tensor, ModelState | None]:
    if not torch.is_grad_enabled():
        return within(x_BTD, state, span, memory)
    span, time = span or Span(), x_BTD.shape[1]
    bounds, found = cuts(time, min(chunks, time)), []
    # Cut at once: slices would each have a gradient as long as the rows.
    parts = x_BTD.split([stop - start for start, stop in bounds], dim=1)
    for (start, stop), part_BTD in zip(bounds, parts, strict=True):
        # After the first chunk the state knows where it stands.
        offset, carry = span.offset if start == 0 else 0, span.carry or stop < time
        own = replace(span.cut(start, stop - start), offset=offset, carry=carry)
        y_BTD, state = checkpoint(within, part_BTD, state, own, memory, use_reentrant=False)
        found.append(y_BTD)
    return torch.cat(found, dim=1), state


def _recomputed(*given: Any, within: Callable[..., Any]) -> Any:
    if not torch.is_grad_enabled():
        return within(*given)
    return checkpoint(within, *given, use_reentrant=False)
