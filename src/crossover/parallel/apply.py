"""A model in training, spread over the ranks as a layout says: the one order in which that is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh
from crossover.parallel.pipeline import Pipeline
from crossover.parallel.recompute import recompute_blocks, recompute_chunks
from crossover.parallel.sequence import share_time
from crossover.parallel.shards import held, shard_parameters
from crossover.parallel.stages import own_stages
from crossover.parallel.stretch import Stretch
from crossover.parallel.tensor import Splits, share_model
from crossover.parallel.timeline import recorded, watched
from crossover.parallel.vocabulary import Tokens, share_vocabulary
from crossover.parallel.whole import Shares
from crossover.tasks.base import Batch, Task

_LEAST_NORM = 1e-6
"""Added to a norm before anything is divided by it, as `torch.nn.utils.clip_grad_norm_` does."""
_FACTOR_RANK = 4
_WHOLE_STEPS = 10
"""PowerSGD's rank, and the first steps whose gradients are sent whole: they are too far from those that follow."""


class Spread:
    """This rank's part of a model in training.

    First the blocks are shared over `tensor`, then time over `sequence`, then blocks are given to the stages of a
    `pipeline`; what a rank then holds is replicated over data and sequence, or held in shards. `trained` holds the
    parameters that the optimiser moves. A batch goes through `compute`, in the `stretch` of time that is this rank's,
    or it is played by `pipeline`. `model`, whole, is what is validated and saved: where every rank computes all of
    it, it is `trained` itself.

    `whole_outputs` says that the objective needs the outputs of all steps together, `tokens` that it is the
    prediction of a token at every step.
    """

    def __init__(
        self,
        model: SequenceModel,
        layout: Layout,
        mesh: Mesh,
        *,
        whole_outputs: bool = False,
        tokens: bool = False,
        compile: bool = False,
    ) -> None:
        self.model, self.layout, self.mesh = model, layout, mesh
        splits: Splits = {}
        self.tokens: Tokens | None = None
        self.stretch: Stretch | None = None
        self.pipeline: Pipeline | None = None
        apart = layout.independent or layout.shard_parameters or layout.recompute != "none"
        apart = apart or mesh.tensor.size * mesh.sequence.size * mesh.pipeline.size > 1
        self.trained = deepcopy(model) if apart else model
        if mesh.tensor.size > 1:
            splits = share_model(self.trained, mesh.tensor)
            of_vocabulary, self.tokens = share_vocabulary(self.trained, mesh.tensor, joined=not tokens)
            splits |= of_vocabulary
        if mesh.sequence.size > 1:
            self.stretch = share_time(
                self.trained, mesh.sequence, whole_outputs=whole_outputs, method=layout.sequence_method
            )
        if layout.recompute == "blocks":
            recompute_blocks(self.trained)
        elif layout.recompute == "chunks":
            recompute_chunks(self.trained, layout.chunks)
        if mesh.pipeline.size > 1:
            stages, weight = own_stages(self.trained, layout, mesh.pipeline), next(model.parameters())
            self.pipeline = Pipeline(stages, layout, mesh.pipeline, width=model.settings.width, dtype=weight.dtype)
        if layout.shard_parameters:
            shard_parameters(self.trained, layout, mesh.replicas)
        self.shares = Shares(model, self.trained, splits, mesh, averaged=layout.independent)
        self.compute: nn.Module = torch.compile(self.trained) if compile else self.trained  # type: ignore[assignment]
        self._replicated: DistributedDataParallel | None = None
        self.synchronised = mesh.replicas.size > 1 and self.pipeline is None and not layout.independent
        """Whether a backward pass is one of all replicas, each of which then has the whole gradient."""
        averages = self.synchronised and (layout.shard_parameters or layout.gradients != "fp32")
        self._averaged_over = float(mesh.replicas.size) if averages else 1.0
        if self.synchronised and not layout.shard_parameters:
            self._replicated = DistributedDataParallel(
                self.compute, process_group=mesh.replicas.group, gradient_as_bucket_view=True
            )
            send_gradients(self._replicated, layout)
            self.compute = self._replicated

    @property
    def share(self) -> float:
        """1 where this rank's loss counts, 0 where another one has the same outputs and counts them."""
        repeated = self.stretch is not None and self.stretch.whole_outputs
        return 0.0 if repeated and self.mesh.sequence.rank else 1.0

    def unsynchronised(self) -> AbstractContextManager[Any]:
        """Forward and backward in here leave the gradients to the backward that follows."""
        if isinstance(self.trained, FSDPModule):
            return _unsynchronised(self.trained)
        return self._replicated.no_sync() if self._replicated is not None else nullcontext()

    def loss(self, task: Task, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """The task's loss, summed; of outputs over a vocabulary that the ranks share, it is found together."""
        if self.tokens is not None:
            return self.tokens.loss(outputs, batch.targets, label_smoothing=label_smoothing)
        return task.loss(outputs, batch, label_smoothing=label_smoothing)

    def backward(self, loss: Tensor) -> None:
        """The gradients of this rank's share of the loss, averaged over the replicas where they are synchronised."""
        with recorded("backward"):
            (loss * self._averaged_over).backward()
            timeline, axis = watched(), self.mesh.replicas
            if timeline is not None and self._replicated is not None and axis.name in timeline.launched:
                # The earlier buckets went while gradients were still computed; the last one is waited for.
                timeline.add("all-reduce", timeline.launched.pop(axis.name), timeline.now(), axis, "buckets")

    def finish_gradients(self) -> None:
        """Add up what no backward pass has: over the replicas of a stage, and of tied weights on two stages."""
        if self.pipeline is None:
            return
        if self.mesh.replicas.size > 1:
            _add_up([_gradient(parameter) for parameter in self.trained.parameters()], self.mesh.replicas)
        for name in self.shares.tied:
            own = self.shares.own.get(name)
            like = self.model.get_parameter(name)
            if own is None:
                gradient = torch.zeros_like(self.shares.part_of(name, like.detach(), like))
            else:
                gradient = _gradient(own)
            with recorded("all-reduce", self.mesh.pipeline):
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
        scale = min(1.0, norm / (self.shares.norm() + _LEAST_NORM))
        for gradient in (parameter.grad for parameter in parameters):
            if gradient is not None:
                held(gradient).mul_(scale)


@contextmanager
def _unsynchronised(sharded: FSDPModule) -> Iterator[None]:
    sharded.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        sharded.set_requires_gradient_sync(True)


def send_gradients(replicated: DistributedDataParallel, layout: Layout) -> None:
    """Add gradients up as they are, or send them in fewer bytes; what is lost in these changes the result.

    PowerSGD (Vogels et al. 2019, arXiv 1905.13727) sends two thin factors of each matrix and keeps what they miss for
    the next step.
    """
    if layout.gradients == "fp32":
        # By itself DDP would divide by the number of ranks, one more pass over all gradients.
        replicated.register_comm_hook(replicated.process_group, lambda group, bucket: _summed(group, bucket))
    elif layout.gradients == "bf16":
        # DDP reads a hook's annotations, and takes no strings for them.
        replicated.register_comm_hook(replicated.process_group, lambda group, bucket: _in_bf16(group, bucket))
    elif layout.gradients == "powersgd":
        replicated.register_comm_hook(_Factors(replicated.process_group), lambda own, bucket: own.send(bucket))


def _summed(group: dist.ProcessGroup, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """The sum over the ranks of a bucket."""
    future = dist.all_reduce(bucket.buffer(), group=group, async_op=True).get_future()
    return future.then(lambda done: done.value()[0])


def _in_bf16(group: dist.ProcessGroup, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """The mean over the ranks of a bucket, sent in bf16: torch's own hook of this kind is for NCCL alone."""
    whole = bucket.buffer()
    sent = whole.to(torch.bfloat16).div_(group.size())
    future = dist.all_reduce(sent, group=group, async_op=True).get_future()
    return future.then(lambda done: whole.copy_(done.value()[0]))


class _Factors:
    """PowerSGD bucket by bucket.

    Its messages follow one another from callbacks: those of two buckets that are under way together would leave one
    rank in another order than the next, which gloo takes for another message.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook

        self._hook = powerSGD_hook.powerSGD_hook
        self._state = powerSGD_hook.PowerSGDState(
            group, matrix_approximation_rank=_FACTOR_RANK, start_powerSGD_iter=_WHOLE_STEPS
        )
        self._before: torch.futures.Future[Tensor] | None = None

    def send(self, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        """The mean over the ranks of a bucket, nearly, once the bucket before is there."""
        if self._before is not None:
            self._before.wait()
        self._before = self._hook(self._state, bucket)
        return self._before


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _add_up(tensors: list[Tensor], axis: Axis) -> None:
    """The sum over the ranks of each, in place, sent as one."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    with recorded("all-reduce", axis):
        dist.all_reduce(flat, group=axis.group)
    for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))
