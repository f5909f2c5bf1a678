"""One update of the weights: the slices of a global batch forward and backward, the gradient clipped, a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from crossover.errors import CheckpointError
from crossover.inference.forward import Stream, batch_outputs
from crossover.measure.numerics import Numerics
from crossover.models.model import SequenceModel
from crossover.parallel.apply import Spread
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh, everyones
from crossover.parallel.timeline import recorded
from crossover.tasks.base import Batch, Task
from crossover.tasks.objectives import TokenPrediction
from crossover.tasks.rows import RowTask
from crossover.train import checkpoint
from crossover.train.average import kept_weights
from crossover.train.optimizer import build_optimizer, decayed_parameters, set_rate
from crossover.train.settings import TrainSettings
from crossover.train.staged import StagedStream, cut_rows, refuse_cut_rows

_TOGETHER = ("ctc", "spans")
"""Objectives that need the outputs of all steps of a row together."""


class Update:
    """The weights in training and all that moves them: optimiser, averages, carried states, generators.

    `model` is whole; over several ranks each holds its part in `spread`, and takes the slices `shards` of every
    global batch.
    """

    def __init__(
        self,
        task: Task,
        model: SequenceModel,
        settings: TrainSettings,
        numerics: Numerics,
        layout: Layout,
        mesh: Mesh,
        *,
        carry: bool,
    ) -> None:
        self.task, self.settings, self.numerics, self.mesh = task, settings, numerics, mesh
        self.device = torch.device(numerics.device)
        self.spread = Spread(
            model,
            layout,
            mesh,
            whole_outputs=task.spec.objective in _TOGETHER,
            tokens=_predicts_tokens(task),
            compile=settings.compile,
        )
        self.shares = self.spread.shares
        self.optimizer = build_optimizer(self.spread.trained, settings, spared=self._undecayed(model))
        self.kept = kept_weights(model, settings.average)
        self.streams: list[Stream | StagedStream] = [self._stream(carry=carry) for _ in range(settings.accumulate)]
        self.taken = 0
        """Steps so far."""
        self._stand_in: Batch | None = None

    @property
    def shards(self) -> list[tuple[int, int]]:
        """Which row slices of every global batch this rank takes, as (index, number of slices)."""
        own, parts = self.mesh.data, self.settings.accumulate
        return [(own.rank * parts + index, own.size * parts) for index in range(parts)]

    def step(self, slices: Sequence[Batch], count: int, rate: float) -> Tensor:
        """Take one step; returns this rank's share of the mean loss before it, not yet read.

        `slices` are those of `shards`, of which some may be empty; `count` is that of the whole global batch. A
        replica that trains by itself takes the mean over its own slices.
        """
        read = [(stream, part) for stream, part in zip(self.streams, slices, strict=True) if part.size]
        own = sum(self.task.count(part) for _, part in read) if self.spread.layout.independent else count
        losses = []
        for place, (stream, part) in enumerate(read):
            with self.spread.unsynchronised() if place < len(read) - 1 else nullcontext():
                losses.append(self._loss(stream, part, max(own, 1)) * (own / count))
        if read:
            self._stand_in = read[0][1][:1]
        elif self.spread.synchronised:
            self._take_part()
        self.spread.finish_gradients()
        with recorded("update"):
            if self.settings.clip > 0:
                self.spread.clip(self.settings.clip)
            set_rate(self.optimizer, rate)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.taken += 1
            self.spread.after_step(self.taken)
            self.kept.after_step()
        return torch.stack(losses).sum() if losses else torch.zeros((), device=self.device)

    def _loss(self, stream: Stream | StagedStream, part: Batch, count: int) -> Tensor:
        """Forward and backward of one slice; its share of the loss."""
        smoothing = self.settings.label_smoothing
        if isinstance(stream, StagedStream):
            return stream.loss(part, count, label_smoothing=smoothing)
        # Of rows split in time all micro-batches go forward first: while a rank waits for one, it computes another.
        found = []
        with recorded("forward"):
            for micro in cut_rows(part, self.spread.layout.microbatches):
                outputs, batch = stream.outputs(self.spread.compute, micro, self.numerics, scored_only=True)
                found.append(self.spread.loss(self.task, outputs, batch, label_smoothing=smoothing))
            loss = torch.stack(found).sum() * (self.spread.share / count)
        self.spread.backward(loss)
        return loss.detach()

    def _stream(self, *, carry: bool) -> Stream | StagedStream:
        if self.spread.pipeline is not None:
            loss = partial(self.spread.loss, self.task)
            return StagedStream(self.spread.pipeline, self.task, loss, self.numerics, carry=carry)
        refuse_cut_rows(self.task, self.spread.layout, carry=carry)
        return Stream(carry=carry, stretch=self.spread.stretch)

    def _undecayed(self, model: SequenceModel) -> list[nn.Parameter]:
        """This rank's parameters that stand for some which do not decay in the whole model."""
        _, others = decayed_parameters(model)
        numbers = {id(parameter) for parameter in others}
        names = {name for name, parameter in model.named_parameters() if id(parameter) in numbers}
        return [parameter for name, parameter in self.shares.own.items() if name in names]

    def _take_part(self) -> None:
        """The other ranks wait for this one's gradient, and the batch has no row for it: give them a zero."""
        row = self._stand_in if self._stand_in is not None else self._first_row()
        outputs, batch = batch_outputs(
            self.spread.compute, row, self.numerics, scored_only=True, stretch=self.spread.stretch
        )
        (self.spread.loss(self.task, outputs, batch) * 0.0).backward()

    def _first_row(self) -> Batch:
        size, by = self.settings.batch or 1, self.settings.batch_by or "rows"
        return next(iter(self.task.batches("train", seed=0, epoch=0, batch=size, by=by)))[:1]

    def before_validation(self) -> None:
        """Bring the weights that validation scores up to date; every rank takes part."""
        self.shares.gather()
        self.kept.before_validation()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it besides `tensors`; every rank takes part."""
        own = {"random": checkpoint.random_state(self.device), "streams": [s.kept() for s in self.streams]}
        ranks = everyones(own, self.mesh.world)
        return {
            "taken": self.taken,
            "random": [of["random"] for of in ranks],
            "streams": [of["streams"] for of in ranks],
        }

    def tensors(self) -> dict[str, Tensor]:
        """This rank's part of what a checkpoint holds, by name; every rank takes part."""
        parts = {
            "weights": self.shares.stored({name: weight.detach() for name, weight in self.shares.own.items()}),
            "moments": self.shares.stored_moments(self.optimizer),
            "average": self.kept.state(),
        }
        return {f"{kind}/{name}": tensor for kind, named in parts.items() for name, tensor in named.items()}

    def restore(self, state: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Stand where `state` and `tensors` were taken, the latter now whole.

        Under another layout the weights, the optimiser and the order of the data go on; what only those ranks have
        does not: dropout draws other numbers. Raises CheckpointError where a carried state is needed for other slices
        than it was kept for.
        """
        of_kind = partial(checkpoint.under, tensors)
        self.shares.restore(self.optimizer, of_kind("weights"), of_kind("moments"))
        self.kept.restore(of_kind("average"))
        self.taken = state["taken"]
        ranks, own = len(state["random"]), self.mesh.world
        if ranks == own.size:
            checkpoint.restore_random_state(state["random"][own.rank], self.device)
            for stream, carried in zip(self.streams, state["streams"][own.rank], strict=True):
                stream.go_on(carried)
        elif any(carried for of in state["streams"] for carried in of):
            raise CheckpointError(
                f"this run carries its state and was saved by {ranks} ranks, not {own.size}: go on with the layout "
                "that it was begun with"
            )


def _predicts_tokens(task: Task) -> bool:
    """Whether the task's loss is that of `TokenPrediction`, and no other one of its family."""
    objective = type(getattr(task, "objective", None))
    plain = getattr(type(task), "loss", None) is RowTask.loss
    return plain and issubclass(objective, TokenPrediction) and objective.loss is TokenPrediction.loss
