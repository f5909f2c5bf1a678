"""A workload under a layout: this rank's part of a pass, over its share of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from crossover.errors import LayoutError
from crossover.measure.workload import Workload, probe_loss, random_inputs, random_source
from crossover.models.mixers.base import Span
from crossover.models.mixers.solved import use_solvers
from crossover.models.model import build_model
from crossover.parallel.apply import Spread
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import Mesh
from crossover.parallel.serving import spread
from crossover.parallel.stages import Part, cut_time


def prepare_spread(workload: Workload, layout: Layout, mesh: Mesh) -> Callable[[], Tensor]:
    """As `Workload.prepare`, on every rank of `mesh`: a call runs this rank's part of the pass once.

    The batch is that of all replicas; a LayoutError where it has fewer rows than there are.
    """
    batch, data = workload.batch, mesh.data
    rows = slice(batch * data.rank // data.size, batch * (data.rank + 1) // data.size)
    own = replace(workload, batch=rows.stop - rows.start)
    if batch < data.size:
        raise LayoutError(f"batch={batch} has fewer rows than data={data.size}: give a larger batch")
    if workload.kind == "train":
        return _Training(workload, rows, layout, mesh).step
    model = build_model(own.model, own.inputs, own.outputs, causal=own.causal, seed=own.seed)
    return own.prepare(spread(model.to(own.numerics.device).eval(), layout, mesh))


class _Training:
    """A training step of this rank on its `rows` of the batch."""

    def __init__(self, workload: Workload, rows: slice, layout: Layout, mesh: Mesh) -> None:
        self.workload, self.layout = workload, layout
        self.first, self.rows, self.taken = rows.start, rows.stop - rows.start, 0
        model = build_model(
            workload.model, workload.inputs, workload.outputs, causal=workload.causal, seed=workload.seed
        )
        use_solvers(model.mixers(), workload.solvers)
        self.spread = Spread(model.to(workload.numerics.device).train(), layout, mesh)
        self.optimizer = torch.optim.AdamW(self.spread.trained.parameters(), lr=1e-4, fused=True)
        sizes = (workload.batch, workload.time, workload.seed, workload.numerics.device)
        inputs, features = random_inputs(workload.inputs, *sizes)
        source = random_source(workload.inputs, workload.batch, workload.read, *sizes[2:])
        self.inputs, self.source = inputs[rows], None if source is None else source[rows]
        self.features = {name: value[rows] for name, value in (features or {}).items()}

    def step(self) -> Tensor:
        """Forward, loss, backward, AdamW; this rank's share of the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._staged() if self.spread.pipeline is not None else self._whole()
        self.spread.finish_gradients()
        self.optimizer.step()
        self.taken += 1
        self.spread.after_step(self.taken)
        return loss

    def _whole(self) -> Tensor:
        stretch, rows, loss = self.spread.stretch, self.rows, self.inputs.new_zeros((), dtype=torch.float32)
        cut = max(1, min(self.layout.microbatches, rows))
        for number in range(cut):
            own = slice(number * rows // cut, (number + 1) * rows // cut)
            inputs, span = self.inputs[own], Span(carry=False)
            features = {name: value[own] for name, value in self.features.items()}
            if stretch is not None:
                span = stretch.enter(inputs.shape[1], span)
                inputs = stretch.cut(inputs)
                features = {name: stretch.cut(value) for name, value in features.items()}
            with self.workload.numerics.autocast():
                read = {"source": self.source[own]} if self.source is not None else {}
                outputs, _ = self.spread.compute(inputs, features or None, span=span, **read)
            start = 0 if stretch is None or stretch.whole_outputs else stretch.start
            loss = loss + self._loss(outputs, own.start, start) * self.spread.share
        self.spread.backward(loss)
        return loss.detach()

    def _staged(self) -> Tensor:
        pipeline, rows = self.spread.pipeline, self.rows
        if pipeline is None:
            raise ValueError("a staged step needs a pipeline")
        cut = max(1, min(self.layout.microbatches, rows))
        bounds = [slice(number * rows // cut, (number + 1) * rows // cut) for number in range(cut)]
        parts = [cut_time(self._part(own), self.layout.chunks) for own in bounds]
        starts = [0, *accumulate(part.inputs.shape[1] for part in parts[0])]
        loss, _ = pipeline.play(
            parts,
            lambda outputs, micro, chunk: self._loss(outputs, bounds[micro].start, starts[chunk]),
            context=self.workload.numerics.autocast,
        )
        return loss if loss is not None else torch.zeros((), device=self.inputs.device)

    def _loss(self, outputs: Tensor, row: int, step: int) -> Tensor:
        """The share of the batch's loss that these outputs have, which begin at a row and a step of this rank's."""
        time = self.inputs.shape[1]
        count = self.workload.batch * (time if outputs.ndim == 3 else 1)
        own = probe_loss(outputs.float(), row=self.first + row, step=step, time=time)
        return own * (outputs.shape[:-1].numel() / count)

    def _part(self, rows: slice) -> Part:
        features = {name: value[rows] for name, value in self.features.items()}
        source = self.source[rows] if self.source is not None else None
        return Part(self.inputs[rows], Span(carry=False), features, source)
