"""A model in training, spread over the ranks as a layout says: the one order in which that is done."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from crossover.costs import Shape
from crossover.models.counting import block_flops, end_flops
from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh
from crossover.parallel.pipeline import Pipeline
from crossover.parallel.sequence import Stretch, share_time
from crossover.parallel.stages import Stage, balanced, keep_blocks
from crossover.parallel.tensor import Splits, share_model
from crossover.parallel.whole import Shares

_COUNTED_STEPS = 128
"""The length at which the blocks of a pipeline's stages are weighed against one another."""


_FACTOR_RANK = 4
_WHOLE_STEPS = 10
"""PowerSGD's rank, and the first steps whose gradients are sent whole: they are too far from those that follow."""


class Spread:
    """This rank's part of a model in training.

    First the blocks are shared over `tensor`, then time over `sequence`, then blocks are given to the stages of a
    `pipeline`; what a rank then holds is replicated over data and sequence. `trained` holds the parameters that the
    optimiser moves. A batch goes through `compute`, in the `stretch` of time that is this rank's, or it is played by
    `pipeline`. `model`, whole, is what is validated and saved: where every rank computes all of it, it is `trained`
    itself.

    `whole_outputs` says that the objective needs the outputs of all steps together.
    """

    def __init__(
        self,
        model: SequenceModel,
        layout: Layout,
        mesh: Mesh,
        *,
        whole_outputs: bool = False,
        compile: bool = False,
    ) -> None:
        self.model, self.layout, self.mesh = model, layout, mesh
        splits: Splits = {}
        self.stretch: Stretch | None = None
        self.pipeline: Pipeline | None = None
        apart = layout.independent or mesh.tensor.size * mesh.sequence.size * mesh.pipeline.size > 1
        self.trained = deepcopy(model) if apart else model
        if mesh.tensor.size > 1:
            splits = share_model(self.trained, mesh.tensor)
        if mesh.sequence.size > 1:
            self.stretch = share_time(self.trained, mesh.sequence, whole_outputs=whole_outputs)
        if mesh.pipeline.size > 1:
            self.pipeline = _pipeline(self.trained, layout, mesh.pipeline)
        self.shares = Shares(model, self.trained, splits, mesh, averaged=layout.independent)
        self.compute: nn.Module = torch.compile(self.trained) if compile else self.trained  # type: ignore[assignment]
        self._replicated: DistributedDataParallel | None = None
        if mesh.replicas.size > 1 and self.pipeline is None and not layout.independent:
            self._replicated = DistributedDataParallel(
                self.compute, process_group=mesh.replicas.group, gradient_as_bucket_view=True
            )
            _compress(self._replicated, layout)
            self.compute = self._replicated

    @property
    def share(self) -> float:
        """1 where this rank's loss counts, 0 where another one has the same outputs and counts them."""
        repeated = self.stretch is not None and self.stretch.whole_outputs
        return 0.0 if repeated and self.mesh.sequence.rank else 1.0

    @property
    def averaged_over(self) -> float:
        """The number of ranks over which the gradients of a backward pass are averaged."""
        return float(self.mesh.replicas.size) if self._replicated is not None else 1.0

    def unsynchronised(self) -> AbstractContextManager[Any]:
        """Forward and backward in here leave the gradients to the backward that follows."""
        return self._replicated.no_sync() if self._replicated is not None else nullcontext()

    def finish_gradients(self) -> None:
        """Add up what no backward pass has: over the replicas of a stage, and of tied weights on two stages."""
        if self.pipeline is None:
            return
        if self.mesh.replicas.size > 1:
            _add_up([_gradient(parameter) for parameter in self.trained.parameters()], self.mesh.replicas)
        for name in self.shares.tied:
            own = self.shares.own.get(name)
            like = self.model.get_parameter(name)
            gradient = torch.zeros_like(like) if own is None else _gradient(own)
            dist.all_reduce(gradient, group=self.mesh.pipeline.group)

    @torch.no_grad()
    def after_step(self, steps: int) -> None:
        """After so many steps: where replicas train by themselves, average their weights if it is time."""
        every = self.layout.synchronise
        if self.layout.independent and isinstance(every, int) and steps % every == 0:
            weights = [parameter.data for parameter in self.trained.parameters()]
            _add_up(weights, self.mesh.data)
            for weight in weights:
                weight /= self.mesh.data.size

    def clip(self, norm: float) -> None:
        """Scale the gradients so that the norm of the whole gradient is at most `norm`."""
        parameters = [p for p in self.trained.parameters() if p.grad is not None]
        if self.trained is self.model or self.layout.independent:
            torch.nn.utils.clip_grad_norm_(parameters, norm, foreach=True)
            return
        whole = torch.tensor(self.shares.norm(), dtype=parameters[0].dtype)
        torch.nn.utils.clip_grads_with_norm_(parameters, norm, whole, foreach=True)


def _compress(replicated: DistributedDataParallel, layout: Layout) -> None:
    """Send gradients in fewer bytes, where the layout asks for it; what is lost in them changes the result.

    PowerSGD (Vogels et al. 2019, arXiv 1905.13727) sends two thin factors of each matrix and keeps what they miss for
    the next step.
    """
    from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook

    if layout.gradients == "bf16":
        # DDP reads a hook's annotations, and takes no strings for them.
        replicated.register_comm_hook(replicated.process_group, lambda group, bucket: _in_bf16(group, bucket))
    elif layout.gradients == "powersgd":
        state = powerSGD_hook.PowerSGDState(
            replicated.process_group,
            matrix_approximation_rank=_FACTOR_RANK,
            start_powerSGD_iter=_WHOLE_STEPS,
        )
        replicated.register_comm_hook(state, powerSGD_hook.powerSGD_hook)


def _in_bf16(group: dist.ProcessGroup, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """The mean over the ranks of a bucket, sent in bf16: torch's own hook of this kind is for NCCL alone."""
    whole = bucket.buffer()
    sent = whole.to(torch.bfloat16).div_(group.size())
    future = dist.all_reduce(sent, group=group, async_op=True).get_future()
    return future.then(lambda done: whole.copy_(done.value()[0]))


def _pipeline(model: SequenceModel, layout: Layout, axis: Axis) -> Pipeline:
    """This rank's stages of `model`, which keeps no other blocks."""
    sizes = layout.stages or _balanced_stages(model, layout.pipeline * layout.interleave)
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    own = {n: range(ends[n] - sizes[n], ends[n]) for n in range(axis.rank, len(sizes), axis.size)}
    stages = {number: Stage(model, blocks) for number, blocks in own.items()}
    keep_blocks(model, list(own.values()))
    weight = next(model.parameters())
    return Pipeline(stages, layout, axis, width=model.settings.width, dtype=weight.dtype)


def _balanced_stages(model: SequenceModel, stages: int) -> tuple[int, ...]:
    """Blocks of each stage, by counted FLOPs of rows of a common length; the head counts with the last block."""
    shape = Shape(batch=1, time=_COUNTED_STEPS, source=_COUNTED_STEPS if model.encoder is not None else 0)
    costs = block_flops(model.settings, model.inputs, shape, causal=model.causal)
    first, last = end_flops(model.settings, model.inputs, model.outputs, shape)
    return balanced(costs, stages, first=first, last=last)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _add_up(tensors: list[Tensor], axis: Axis) -> None:
    """The sum over the ranks of each, in place, sent as one."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat, group=axis.group)
    for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))
