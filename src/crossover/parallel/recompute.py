"""Blocks that keep nothing for the way back but what entered them, and compute the rest again.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from crossover.models.model import SequenceModel


def recompute_blocks(model: SequenceModel) -> None:
    """Let every block of `model` compute its forward pass again on the way back, in place; dropout draws the same."""
    backbones = [model.backbone] if model.encoder is None else [model.encoder.backbone, model.backbone]
    for backbone in backbones:
        for block in backbone.blocks:
            block.forward = partial(_recomputed, within=block.forward)


def _recomputed(*given: Any, within: Callable[..., Any]) -> Any:
    if not torch.is_grad_enabled():
        return within(*given)
    return checkpoint(within, *given, use_reentrant=False)
