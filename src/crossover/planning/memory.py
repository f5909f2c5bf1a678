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
    """What a rank has: numbers of parameters, in all, of a block, and of what stands at the `ends`; and bytes.

    Those are of one micro-batch: what it leaves for its way back in blocks (`waiting`), and what the head and the
    loss keep (`outputs`); what is computed `again` at one time where blocks or chunks are; the gradients that a block
    is `working` with, or what it writes on its way back only; and the `logits`. `in_flight` micro-batches wait for
    their way back at one time. States `carried` from chunk to chunk are those of all of them.
    """

    parameters: float
    block: float
    ends: float = 0.0
    waiting: float
    outputs: float = 0.0
    again: float
    working: float = 0.0
    carried: float = 0.0
    logits: float
    in_flight: int = 1


def training_memory(job: Job, layout: Layout, held: Held, *, standing: bool = False) -> Memory:
    """Of a training step.

    Of two moments that counts at which more is there: when the gradient of the outputs has been made, and when the
    last block begins its way back, for which outputs are gone and what it forgot is computed again. The way back
    frees activations as it makes gradients, so that where these are made anew at every step, the larger of the two
    counts; where they are `standing`, between several slices or chunks, and in the buckets of replicas, they stay.
    """
    per = job.per_parameter
    replicas = layout.data * layout.sequence
    shards = replicas if layout.shard_parameters else 1
    parameters, optimizer = held.parameters * per.weight / shards, held.parameters * per.optimizer / shards
    gradients, copies = held.parameters * per.gradient / shards, held.parameters * per.copy
    slices = layout.accumulate * layout.microbatches * (1 if layout.recompute == "chunks" else layout.chunks)
    stay = standing or slices > 1 or (replicas > 1 and not layout.shard_parameters)
    waiting = (held.waiting + held.outputs) * held.in_flight + held.carried
    # Of chunks that are computed again all but one have left their gradients when the last begins its way back.
    left = gradients if stay or layout.chunks > 1 else 0.0
    behind_outputs = (gradients if stay else 0.0, waiting, 2 * held.logits)
    behind_blocks = (left, waiting - held.outputs + held.again, held.working)
    made, activations, buffers = max(behind_outputs, behind_blocks, key=sum)
    if layout.shard_parameters:
        # What stands at the ends is whole all along; one block's weights and gradients are, and the weights of the
        # next one are under way.
        copies = 0.0
        buffers += held.block * (2 * per.gathered + per.gradient) + held.ends * per.gathered
    if made + activations + copies + buffers < gradients:
        made, activations, buffers, copies = gradients, 0.0, 0.0, 0.0
    return Memory(
        parameters=parameters,
        gradients=made,
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
        buffers=held.again + held.logits,
    )
