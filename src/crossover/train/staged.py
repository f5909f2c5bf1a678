"""Forward and backward of one slice of a batch through the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crossover.errors import LayoutError
from crossover.inference.forward import precise
from crossover.measure.numerics import Numerics
from crossover.models.mixers.base import Span
from crossover.parallel.layout import Layout
from crossover.parallel.pipeline import Carried, Pipeline
from crossover.parallel.stages import Part, cut_time
from crossover.tasks.base import Batch, Task


class StagedStream:
    """Batches of a text read in order through a pipeline; see `crossover.inference.forward.Stream`.

    `loss` is the task's, of outputs and a batch. With `carry` the states of this rank's blocks go on where a batch
    continues the one before it.
    """

    def __init__(
        self, pipeline: Pipeline, task: Task, loss: Callable[..., Tensor], numerics: Numerics, *, carry: bool
    ) -> None:
        refuse_cut_rows(task, pipeline.layout, carry=carry)
        self.pipeline, self.task_loss, self.numerics, self.carry = pipeline, loss, numerics, carry
        self.states: Carried = {}
        self.position_B: Tensor | None = None

    def loss(self, batch: Batch, count: int, *, label_smoothing: float) -> Tensor:
        """The loss of `batch` over `count` before the update, 0 where the last stage is elsewhere.

        Gradients are added to the parameters of this rank's stages.
        """
        layout = self.pipeline.layout
        if not batch.continues:
            self.states, self.position_B = {}, None
        whole = batch.to(self.numerics.device)
        micros = cut_rows(whole, layout.microbatches)
        parts = [cut_time(self._part(micro), layout.chunks) for micro in micros]
        chunks = [_bounds(batch.inputs.shape[1], len(parts[0])) for _ in micros]

        def loss(outputs: Tensor, microbatch: int, chunk: int) -> Tensor:
            given = micros[microbatch]
            if len(parts[0]) > 1:
                given = given.in_time(chunks[microbatch][chunk].start, chunks[microbatch][chunk].stop)
            if given.scored_BT is not None:
                given = replace(given, targets=given.targets[given.scored_BT], scored_BT=None)
            return self.task_loss(precise(outputs), given, label_smoothing=label_smoothing) / count

        before = self._entering(batch.size)
        found, states = self.pipeline.play(parts, loss, before, context=self.numerics.autocast)
        if self.carry:
            self.states = states
            steps_B = whole.lengths_B if self.position_B is None else self.position_B[: batch.size] + whole.lengths_B
            self.position_B = steps_B
        return found if found is not None else torch.zeros((), device=self.numerics.device)

    def kept(self) -> dict[str, Any] | None:
        """The carried states as plain values and tensors, for a checkpoint; None where there are none."""
        if not self.states:
            return None
        states = [[*place, [None if s is None else tuple(s) for s in own]] for place, own in self.states.items()]
        return {"states": states, "position_B": self.position_B}

    def go_on(self, kept: dict[str, Any] | None) -> None:
        """Stand where `kept` was taken."""
        self.states = {(stage, micro): own for stage, micro, own in kept["states"]} if kept else {}
        self.position_B = kept["position_B"] if kept else None

    def _part(self, micro: Batch) -> Part:
        full = bool((micro.lengths_B == micro.inputs.shape[1]).all())
        offset = 0 if self.position_B is None else self.position_B[: micro.size]
        scored_N = None if micro.scored_BT is None else micro.scored_BT.flatten().nonzero().flatten()
        span = Span(lengths_B=None if full else micro.lengths_B, offset=offset, carry=self.carry)
        return Part(micro.inputs, span, micro.features, micro.source, scored_N)

    def _entering(self, rows: int) -> Carried:
        """The states that this batch begins with; rows that have ended are left behind."""
        return {
            place: [None if state is None else _first(state, rows) for state in states]
            for place, states in self.states.items()
        }


def cut_rows(batch: Batch, count: int) -> list[Batch]:
    """`batch` as micro-batches of as equal a number of rows as can be; fewer where there are fewer rows."""
    count = max(1, min(count, batch.size))
    return [batch] if count == 1 else [batch[rows] for rows in _bounds(batch.size, count)]


def refuse_cut_rows(task: Task, layout: Layout, *, carry: bool) -> None:
    """A LayoutError where micro-batches would cut rows whose state is carried from batch to batch."""
    if carry and layout.microbatches > 1:
        instead = "fill the pipeline by chunks" if layout.pipeline > 1 else "leave them out"
        raise LayoutError(
            f"{task.spec.name} carries the state of its rows from batch to batch, and "
            f"microbatches={layout.microbatches} would cut them: {instead}"
        )


def _first(state: tuple[Tensor, ...], rows: int) -> tuple[Tensor, ...]:
    parts = [part[:rows] for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def _bounds(size: int, count: int) -> list[slice]:
    return [slice(n * size // count, (n + 1) * size // count) for n in range(count)]
