"""The most bytes that a rank holds at one time, by what they are for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from crossover.parallel.layout import Layout
from crossover.planning.job import Job


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes at the moment when a rank holds the most; `buffers` are what is there for a kernel or a message alone."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float

    @property
    def total(self) -> float:
        """All of them."""
        return sum(asdict(self).values())

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a rank has: numbers of parameters, in all and of its largest `block`, and bytes of one micro-batch.

    Those are what it leaves for its way back (`kept`), what enters the blocks, what the largest block keeps, what of
    that it writes on the way back only and is not in `kept`, and the `logits`. `in_flight` micro-batches wait for
    their way back at one time.
    """

    parameters: float
    block: float
    kept: float
    entering: float
    block_kept: float
    block_unwritten: float = 0.0
    logits: float
    in_flight: int = 1


def training_memory(job: Job, layout: Layout, held: Held, *, standing: bool = False) -> Memory:
    """Of a training step.

    The way back frees activations as it makes gradients, so that where these are made anew at every step, the larger
    of the two counts; where they are `standing`, between several slices, and in the buckets of
    replicas, gradients stay.
    """
    per = job.per_parameter
    replicas = layout.data * layout.sequence
    shards = replicas if layout.shard_parameters else 1
    parameters, optimizer = held.parameters * per.weight / shards, held.parameters * per.optimizer / shards
    gradients, copies = held.parameters * per.gradient / shards, held.parameters * per.copy
    activations = held.kept * held.in_flight
    # The gradient of the outputs is gone when the first block is on its way back.
    buffers = max(2 * held.logits, held.block_unwritten)
    if layout.recompute == "blocks":
        # All that the one block keeps is counted, what it writes on its way back too.
        activations, buffers = held.entering * held.in_flight + held.block_kept, 2 * held.logits
    if layout.shard_parameters:
        # One block's weights and gradients are whole, and the next one's weights are under way.
        copies = 0.0
        buffers += held.block * (2 * per.gathered + per.gradient)
    stay = standing or layout.accumulate * layout.microbatches > 1 or (replicas > 1 and not layout.shard_parameters)
    forward_end = activations + copies + buffers
    if not stay and forward_end >= gradients:
        gradients = 0.0
    elif not stay:
        activations = buffers = copies = 0.0
    return Memory(
        parameters=parameters,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        buffers=buffers + copies,
    )


def inference_memory(job: Job, held: Held, *, state: float) -> Memory:
    """Of a pass without a way back: weights, the carried `state`, and what one block needs at a time."""
    per = job.per_parameter
    return Memory(
        parameters=held.parameters * (per.weight + per.copy),
        gradients=0.0,
        optimizer=0.0,
        activations=state,
        buffers=held.block_kept + held.logits,
    )
