"""What one rank says in a whole training step: what its blocks say, its neighbours in the pipeline, its replicas."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from crossover.parallel.layout import Layout
from crossover.parallel.traffic import Sent
from crossover.planning.predict import BUCKET_BYTES, Planner
from crossover.planning.traffic import Passes, state_over_tensor, summed

_EXACT, _SQUARE = 4, 8
"""Bytes of a gradient, and of a sum of squares."""
_FIRST_BUCKET_BYTES = 2**20
"""After so many PyTorch's DDP closes the first bucket of gradients."""


def step_traffic(
    planner: Planner, layout: Layout, *, stage: int | None = None, stretch: int | None = None
) -> tuple[Sent, ...]:
    """By operation and axis, for the rank of this `stage` of the pipeline and `stretch` of time.

    By itself the second of each, which has neighbours on both sides where there are more than two.
    """
    stage = min(1, layout.pipeline - 1) if stage is None else stage
    stretch = min(1, layout.sequence - 1) if stretch is None else stretch
    cut, job = planner.cut(layout), planner.job
    sizes = layout.stages or planner.stage_sizes(layout.pipeline * layout.interleave)
    ends = list(accumulate(sizes))
    own = [range(ends[n] - sizes[n], ends[n]) for n in range(stage, len(sizes), layout.pipeline)]
    said, states = Passes(), Passes()
    for number in (number for blocks in own for number in blocks):
        passes = planner.blocks.passes(number, cut, stretch)
        said += passes
        states += state_over_tensor(
            job.mixers[number], rows=cut.rows, ranks=cut.tensor, element_bytes=job.element_bytes
        )
        if layout.recompute != "none":
            spared = layout.recompute == "blocks" or (number == len(job.mixers) - 1 and job.model.style == "classic")
            said += Passes(planner.blocks.said_again(number, cut, stretch) if spared else passes.forward)
    actions = layout.microbatches * layout.chunks * layout.accumulate
    # Where blocks go through time in chunks by themselves, the ends do not.
    whole = layout.chunks if layout.recompute == "chunks" else 1
    first, last = planner.blocks.ends(replace(cut, chunks=cut.chunks // whole))
    at_ends = first if own[0].start == 0 else Passes()
    at_ends += last if own[-1].stop == len(job.mixers) else Passes()
    # A chunk goes on from the one before it, and a stretch of time from the one on the rank before.
    going_on = actions if stretch else actions - actions // layout.chunks
    lines = [*_times(said, actions), *_times(at_ends, actions // whole), *_times(states, going_on)]
    lines += _along_pipeline(planner, layout, stage, actions)
    return summed([*lines, *_replicas(planner, layout, stage), *_norm(layout)])


def _times(said: Passes, actions: int) -> list[Sent]:
    """What is said in so many actions."""
    each = summed(said.forward + said.backward)
    return [replace(line, count=line.count * actions, bytes=line.bytes * actions) for line in each]


def _along_pipeline(planner: Planner, layout: Layout, stage: int, actions: int) -> list[Sent]:
    """Activations that go on and gradients that come back, over every border between two of the rank's neighbours."""
    if layout.pipeline == 1:
        return []
    cut, stages = planner.cut(layout), layout.pipeline * layout.interleave
    payload = cut.rows * planner.job.steps // cut.stretches * planner.job.model.width * planner.job.between_blocks
    own = range(stage, stages, layout.pipeline)
    borders = sum(n > 0 for n in own) + sum(n < stages - 1 for n in own)
    said = [Sent(name, "pipeline", borders * actions, borders * actions * payload) for name in ("receive", "send")]
    if planner.job.model.tie_embeddings:
        # Each end has its own copy of the table, and a part of its gradient.
        said.append(Sent("all-reduce", "pipeline", 1, planner.tied_parameters(layout) * _EXACT))
    return said


def _norm(layout: Layout) -> list[Sent]:
    """The squares that the bound on the gradient's norm is found from, where no rank has the whole gradient."""
    apart = layout.shard_parameters or layout.recompute != "none"
    apart = apart or layout.tensor * layout.sequence * layout.pipeline > 1
    if not apart or layout.independent:
        return []
    sizes = {"tensor": layout.tensor, "replicas": layout.data * layout.sequence, "pipeline": layout.pipeline}
    return [Sent("all-reduce", axis, 1, _SQUARE) for axis, size in sizes.items() if size > 1]


def _replicas(planner: Planner, layout: Layout, stage: int) -> list[Sent]:
    """Gradients, and of parameters in shards the weights too."""
    ranks = layout.data * layout.sequence
    if ranks == 1:
        return []
    parameters = int(planner.rank_parameters(layout)[stage])
    per = planner.job.per_parameter
    axis = "replicas"
    if layout.shard_parameters:
        blocks = len(planner.job.mixers) + 1
        gathered = 2 * layout.accumulate
        return [
            Sent("all-gather", axis, gathered * blocks, int(gathered * parameters * per.gathered) // ranks),
            Sent("reduce-scatter", axis, blocks, int(parameters * per.sent)),
        ]
    payload = int(parameters * per.sent)
    buckets = 1 + max(0, -(-(payload - _FIRST_BUCKET_BYTES) // BUCKET_BYTES)) if layout.pipeline == 1 else 1
    return [Sent("all-reduce", axis, buckets, payload)]
