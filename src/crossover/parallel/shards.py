"""Parameters in shards: between two uses each replica holds one part of every parameter (FSDP2).

Rajbhandari et al. 2020 (ZeRO, arXiv 1910.02054, stage 3). A block's parameters are put together before it computes
and let go after it; its gradient is summed into shards, and so are the optimiser's moments.
"""

from __future__ import annotations

import warnings
from typing import cast

import torch
from torch import Tensor
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from crossover.models.block import Block
from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import device_mesh

# A block or a model may give a view, which nobody writes to: gradients under shards are those of one rank.
warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")


def shard_parameters(model: SequenceModel, layout: Layout, axis: Axis) -> None:
    """Shard `model` over the ranks of `axis`, in place: every block by itself, and what stands around them."""
    mesh = device_mesh(axis, next(model.parameters()).device.type)
    sent = torch.bfloat16 if layout.gradients == "bf16" else None
    policy = MixedPrecisionPolicy(reduce_dtype=sent)
    backbones = [model.backbone] if model.encoder is None else [model.encoder.backbone, model.backbone]
    for block in (cast(Block, block) for backbone in backbones for block in backbone.blocks):
        if block.cross is not None:
            # What it remembers of a source is computed before its block is.
            fully_shard(block.cross, mesh=mesh, mp_policy=policy)
            register_fsdp_forward_method(block.cross, "remember")
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def unsharded(value: Tensor) -> Tensor:
    """A tensor that may be in shards, put together; every rank takes part."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def held(value: Tensor) -> Tensor:
    """What this rank holds of a tensor that may be in shards."""
    return value.to_local() if isinstance(value, DTensor) else value


def as_held(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in shards, where `like` is; every rank has all of `value`, and nothing is sent."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


def as_shard(own: Tensor, dim: int, axis: Axis) -> Tensor:
    """This rank's piece of a tensor that is split evenly along `dim`, as one that says so."""
    if axis.group is None:
        return own
    return DTensor.from_local(own, device_mesh(axis, own.device.type), [Shard(dim)], run_check=False)
