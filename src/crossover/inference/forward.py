"""One batch through a model: what training, evaluation and prediction have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from crossover.inference.decode import write
from crossover.measure.numerics import Numerics
from crossover.models.backbones import ModelState
from crossover.models.encoder import Source
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel
from crossover.parallel.stretch import Stretch
from crossover.tasks.base import Batch, RolloutTask, TaskSpec


class HasSpec(Protocol):
    """A task, or the half of one that a saved model brings back."""

    @property
    def spec(self) -> TaskSpec:
        """What kind of outputs it takes."""
        ...


def batch_outputs(
    model: nn.Module,
    batch: Batch,
    numerics: Numerics,
    *,
    scored_only: bool = False,
    stretch: Stretch | None = None,
) -> tuple[Tensor, Batch]:
    """The model's outputs in float32 at least, [B, size] or [B, T, size], and `batch` on the model's device.

    With `scored_only`, where the batch says which of its steps are scored, they are [N, size] and its targets [N].
    The forward pass runs under the numerics policy's autocast. Rows of one length take the unmasked path; lengths
    are read before the batch moves, so a device is never waited for. A model of a `stretch` of time is given that of
    the batch; unless it puts its outputs together, the batch that is returned is cut to it as well.
    """
    outputs, batch, _ = _pass(model, batch, numerics, None, carry=False, scored_only=scored_only, stretch=stretch)
    return outputs, batch


class Stream:
    """Batches of a text read in order: with `carry` the model's state goes on where a batch continues the last one.

    The state is cut from what led to it, so that a gradient ends where its batch begins: truncated backpropagation
    through time for a recurrent model, the memory of the previous segment for attention. Without `carry` every batch
    stands by itself.
    """

    def __init__(self, *, carry: bool, state: ModelState | None = None, stretch: Stretch | None = None) -> None:
        self.carry = carry
        self.state = state
        self.stretch = stretch

    def outputs(
        self, model: nn.Module, batch: Batch, numerics: Numerics, *, scored_only: bool = False
    ) -> tuple[Tensor, Batch]:
        """As `batch_outputs`, from the state after the batch before; rows that have ended are left behind."""
        if not self.carry:
            return batch_outputs(model, batch, numerics, scored_only=scored_only, stretch=self.stretch)
        state = self.state if batch.continues else None
        if state is not None and len(state.position_B) > batch.size:
            state = state.select(torch.arange(batch.size, device=state.position_B.device))
        outputs, batch, after = _pass(
            model, batch, numerics, state, carry=True, scored_only=scored_only, stretch=self.stretch
        )
        self.state = after.detach() if after is not None else None
        return outputs, batch

    def kept(self) -> dict[str, Any] | None:
        """The carried state as plain values and tensors, for a checkpoint; None where there is none."""
        return vars(self.state) if self.state is not None else None

    def go_on(self, kept: dict[str, Any] | None) -> None:
        """Stand where `kept` was taken."""
        self.state = ModelState(**kept) if kept else None


def _pass(
    model: nn.Module,
    batch: Batch,
    numerics: Numerics,
    state: ModelState | None,
    *,
    carry: bool,
    scored_only: bool,
    stretch: Stretch | None = None,
) -> tuple[Tensor, Batch, ModelState | None]:
    full = bool((batch.lengths_B == batch.inputs.shape[1]).all())
    span = Span(lengths_B=None if full else batch.lengths_B.to(numerics.device), carry=carry)
    part = batch
    if stretch is not None:
        span = stretch.enter(batch.inputs.shape[1], span)
        part = batch.in_time(stretch.start, stretch.start + stretch.steps)
        batch = batch if stretch.whole_outputs else part
    read: dict[str, Any] = {}
    if scored_only and batch.scored_BT is not None:
        scored_N = batch.scored_BT.flatten().nonzero().flatten()
        batch = replace(batch, targets=batch.targets.flatten(0, 1)[scored_N], scored_BT=None)
        read["scored_N"] = scored_N.to(numerics.device)
    batch, part = _on_device(batch, numerics), _on_device(part, numerics)
    if part.source is not None:
        read["source"] = part.source
    with numerics.autocast():
        outputs, after = model(part.inputs, features=part.features or None, state=state, span=span, **read)
    if stretch is not None and after is not None:
        before_B = state.position_B if state is not None else torch.zeros_like(after.position_B)
        after = replace(after, position_B=stretch.position(before_B))
    return precise(outputs), batch, after


def scored_outputs(
    model: nn.Module, batch: Batch, numerics: Numerics, task: HasSpec, stream: Stream | None = None
) -> tuple[Tensor, Batch]:
    """The outputs that `task` scores and decodes: those of `batch_outputs`, or rolled out from the model's own.

    With a `stream` the batch is its next. Where the task scores what is written, what the model writes from the
    batch's sources is added to its `extra`.
    """
    if task.spec.decoding == "rollout":
        batch = _on_device(batch, numerics)
        return cast(RolloutTask, task).rollout(_stepper(model, numerics, batch.source), batch), batch
    outputs, batch = (stream or Stream(carry=False)).outputs(model, batch, numerics)
    if task.spec.decoding == "written" and batch.source is not None:
        written = write(cast(SequenceModel, model), batch.source, numerics, beam=task.spec.beam)
        batch = replace(batch, extra={**batch.extra, "written": written})
    return outputs, batch


def _stepper(model: nn.Module, numerics: Numerics, source: Source | None) -> Callable[[Tensor], Tensor]:
    """Runs `model` over further inputs [B, t, ...] with its state carried from call to call, the source in it."""
    state: ModelState | None = None
    read = {"source": source} if source is not None else {}

    def step(inputs: Tensor) -> Tensor:
        nonlocal state
        with numerics.autocast():
            outputs, state = model(inputs, state=state, **(read if state is None else {}))
        return precise(outputs)

    return step


def precise(outputs: Tensor) -> Tensor:
    """In float32 at least: what a loss is taken of."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def _on_device(batch: Batch, numerics: Numerics) -> Batch:
    return batch if torch.device(numerics.device).type == "cpu" else batch.to(numerics.device)
