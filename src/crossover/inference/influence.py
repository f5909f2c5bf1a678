"""What an output rests on: how strongly each step that was read changes it, by one measure for every family.

Attention weights exist in one family only, and a hidden unit means something else in every mixer; a gradient is
defined for all of them. Taken is the norm, over the features of a step's embedding, of the derivative of the right
output's log-probability (Simonyan et al. 2014, arXiv 1312.6034, section 3; Li et al. 2016, arXiv 1506.01066,
section 5). It says what a small change would do, not what would happen without the step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel
from crossover.tasks.base import Batch, NamedStepsTask, Split, Task
from crossover.tasks.objectives import IGNORE

MOST_READ = 48
"""Steps of a row that a picture has room for."""
MOST_WRITTEN = 24
"""Scored steps of a row that a picture has room for."""


def influences(
    model: SequenceModel, task: Task, split: Split, numerics: Numerics, *, among: int, limit: int
) -> dict[int, dict[str, Any]]:
    """What the right outputs of some of the first `among` rows of `split` rest on, by row, for at most `limit` rows.

    Each has what was ``"read"``, what should be ``"written"`` (empty where a row has one output), and the
    ``"shares"`` [written][read] of each output's influence, which sum to 1. Rows that are too long for a picture,
    or without a right output, are passed over; a task that does not name its steps, or whose outputs are numbers, has
    none.
    """
    if not among or not hasattr(task, "step_names"):
        return {}
    first = next(iter(task.batches(split, seed=0, epoch=0, batch=among)))
    if first.targets.is_floating_point():
        return {}
    found: dict[int, dict[str, Any]] = {}
    for row in range(min(first.size, among)):
        batch = _row(first, row).to(numerics.device)
        read, written = cast(NamedStepsTask, task).step_names(batch)
        scored = batch.targets.flatten() != IGNORE
        if len(found) < limit and len(read) <= MOST_READ and len(written) <= MOST_WRITTEN and bool(scored.any()):
            shares = [[round(share, 4) for share in line] for line in influence(model, batch)]
            found[row] = {"read": read, "written": written, "shares": shares}
    return found


def influence(model: SequenceModel, batch: Batch) -> list[list[float]]:
    """The shares [scored][read] that each step read has in the one row of `batch`; the source's, where it has one."""
    module = model.embedding if model.encoder is None else model.encoder.embedding
    embedded: list[Tensor] = []

    def watch(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    read = {"source": batch.source} if batch.source is not None else {}
    watching = module.register_forward_hook(watch)
    try:
        # cuDNN's recurrent kernels have no backward pass outside training.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            outputs, _ = model(batch.inputs, features=batch.features or None, span=Span(carry=False), **read)
            targets_N = batch.targets.flatten()
            scores_NV = outputs.flatten(0, -2).log_softmax(-1)[targets_N != IGNORE]
            rights_N = scores_NV.gather(-1, targets_N[targets_N != IGNORE][:, None])[:, 0]
            gradients = [torch.autograd.grad(right, embedded[0], retain_graph=True)[0] for right in rights_N]
    finally:
        watching.remove()
    norms_NT = torch.stack(gradients)[:, 0].norm(dim=-1)
    total_N1 = norms_NT.sum(-1, keepdim=True).clamp_min(torch.finfo(norms_NT.dtype).tiny)
    shares: list[list[float]] = (norms_NT / total_N1).tolist()
    return shares


def _row(batch: Batch, row: int) -> Batch:
    """One row of a batch, without padding."""
    one = batch[row : row + 1]
    length, source = int(one.lengths_B), one.source
    return replace(
        one,
        inputs=one.inputs[:, :length],
        targets=one.targets[:, :length] if one.targets.ndim > 1 else one.targets,
        features={name: values_BT[:, :length] for name, values_BT in one.features.items()},
        source=source and Source(source.inputs[:, : int(source.lengths_B)], source.lengths_B),
        scored_BT=None,
    )
