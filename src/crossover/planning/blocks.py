"""What one rank does, says and keeps for one micro-batch, block by block: the table that a step is added up from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from crossover.costs import Cost, Shape, Streamed, Term
from crossover.models.block import feed_forward_width
from crossover.models.mixers.base import MixerSettings
from crossover.models.ports import PerStep
from crossover.parallel.traffic import Sent
from crossover.planning.communication import Group
from crossover.planning.compute import Work, cost_work, stream_seconds, weights_seconds
from crossover.planning.job import Job
from crossover.planning.network import Network
from crossover.planning.practice import Practice
from crossover.planning.share import around_parameters, ends_parameters, mixer_parameters, share_of, with_casts
from crossover.planning.traffic import (
    Passes,
    around_over_tensor,
    ends_over_tensor,
    mixer_over_sequence,
    mixer_over_tensor,
)

COLUMNS = (
    "forward",
    "backward",
    "forward_messages",
    "backward_messages",
    "again",
    "again_messages",
    "spared",
    "spared_messages",
    "weights",
    "kept",
    "unwritten",
    "entering",
    "working",
    "carried",
    "outputs",
    "parameters",
    "ends",
)
"""Seconds of compute, of what is said along tensor and sequence, of both in a block that is computed again, of what
that is spared where it is so by itself, and of products that give gradients of weights. Bytes that a block keeps, of
them those that the device has no pages of before the way back; that enter it; of gradients that it works with at one
time on its way back; of the states that it hands from chunk to chunk in time; and that the head and the loss keep.
Numbers of parameters, and of those before the first block and behind the last."""


Groups = Mapping[str, Group]
_KERNELS_OF_A_MESSAGE = 5
"""How many kernels a host could start while it starts a message; assumed."""


@dataclass(frozen=True)
class Cut:
    """How a micro-batch is cut: `rows` of it, ranks along tensor and sequence, and chunks in time."""

    rows: int
    tensor: int = 1
    sequence: int = 1
    chunks: int = 1

    @property
    def stretches(self) -> int:
        """Parts of a row's time that are computed apart."""
        return self.sequence * self.chunks


@dataclass(frozen=True)
class Table:
    """A column for each block, the ends with the first and the last; rows are those of `COLUMNS`.

    `logits` are the bytes of one micro-batch's outputs on a rank, which are held when the way back begins.
    """

    values: np.ndarray
    logits: float

    def __getitem__(self, name: str) -> np.ndarray:
        values: np.ndarray = self.values[COLUMNS.index(name)]
        return values

    def stages(self, sizes: tuple[int, ...]) -> Table:
        """The same by stages of so many blocks."""
        starts = np.cumsum((0, *sizes[:-1]))
        return replace(self, values=np.add.reduceat(self.values, starts, axis=1))

    def ranks(self, count: int) -> Table:
        """Stages by rank: stage s is on rank s modulo their number."""
        return replace(self, values=self.values.reshape(len(COLUMNS), -1, count).sum(axis=1))


class Blocks:
    """Tables of a job on a machine; each is made once.

    `practice` says what of a block is left out, computed a second time, and shared.
    """

    def __init__(self, job: Job, network: Network, practice: Practice) -> None:
        self.job, self.network, self.machine, self.practice = job, network, network.machine, practice
        self.table = cache(self._table)
        self._costs = cache(job.blocks)

    def share(self, number: int, cost: Cost, cut: Cut) -> Cost:
        """What a rank does of a block, which costs `cost` for a whole micro-batch."""
        own = share_of(
            cost,
            tensor=cut.tensor,
            stretches=cut.stretches,
            by_direction=_by_direction(self.job.mixers[number], cut.tensor),
            practice=self.practice,
        )
        return with_casts(own) if self.job.precision == "fp8" else own

    def passes(self, number: int, cut: Cut, rank: int = 0) -> Passes:
        """What `rank` says in one block for one micro-batch, along tensor and sequence."""
        job = self.job
        mixer, reads = job.mixers[number], number < job.encoder_blocks
        time = job.read if reads else job.steps
        said = Passes()
        if cut.tensor > 1:
            size = {"rows": cut.rows, "ranks": cut.tensor, "element_bytes": job.element_bytes}
            steps = max(1, time // cut.stretches)
            said += mixer_over_tensor(mixer, time=steps, **size)
            said += around_over_tensor(job.model, time=steps, source=job.read if job.looks(number) else 0, **size)
        if cut.sequence > 1 and not mixer.sharding().refusal:
            whole = max(2 * cut.sequence, time // (2 * cut.sequence) * 2 * cut.sequence)
            said += mixer_over_sequence(
                mixer,
                rows=cut.rows,
                time=whole,
                ranks=cut.sequence,
                rank=rank,
                tensor=cut.tensor,
                element_bytes=job.element_bytes,
            )
        return said

    def said_again(self, number: int, cut: Cut, rank: int = 0) -> tuple[Sent, ...]:
        """What is said once more where the block is computed again.

        All of it, but for the sum that a block ends with where that leaves nothing behind that anybody asks for.
        """
        job, mixer = self.job, self.job.mixers[number]
        if not self._stops_early:
            return self.passes(number, cut, rank).forward
        sharding = mixer.sharding().tensor
        summed = bool(feed_forward_width(job.model)) or (sharding is not None and bool(sharding.summed))
        steps = (job.read if number < job.encoder_blocks else job.steps) // cut.stretches
        last = cut.rows * steps * job.model.width * job.element_bytes
        return tuple(
            replace(line, count=line.count - 1, bytes=line.bytes - last)
            if summed and (line.operation, line.axis) == ("all-reduce", "tensor")
            else line
            for line in self.passes(number, cut, rank).forward
        )

    @property
    def _stops_early(self) -> bool:
        """Whether a block that is computed again is so only as far as its backward pass asks for what it left.

        PyTorch's checkpoints stop there, and nothing asks for the last product, unless dropout or a norm follows it.
        """
        model = self.job.model
        return not self.practice.whole_again and model.style != "post-norm" and model.dropout == 0

    def ends(self, cut: Cut) -> tuple[Passes, Passes]:
        """What is said along tensor before the first block, and behind the last."""
        job, steps = self.job, max(1, self.job.steps // cut.stretches)
        if cut.tensor == 1:
            return Passes(), Passes()
        return ends_over_tensor(
            job.model,
            job.inputs,
            job.outputs,
            rows=cut.rows,
            time=steps,
            source=job.read,
            ranks=cut.tensor,
            element_bytes=job.element_bytes,
        )

    def _table(self, cut: Cut, tensor: Group, sequence: Group) -> Table:
        """The groups are the devices that stand along these axes."""
        job, groups = self.job, {"tensor": tensor, "sequence": sequence}
        known: dict[tuple[bool, bool, int], list[float]] = {}
        columns = []
        for number, cost in enumerate(self._costs(cut.rows)):
            kind = (number < job.encoder_blocks, job.looks(number), id(job.mixers[number]))
            if kind not in known:
                known[kind] = self._column(number, cost, cut, groups)
            columns.append(known[kind])
        values = np.array(columns).T
        first, last = self._end_columns(cut, groups)
        values[:, 0] += first
        values[:, -1] += last
        return Table(values, self._logits(cut))

    def _column(self, number: int, cost: Cost, cut: Cut, groups: Groups) -> list[float]:
        job, mixer = self.job, self.job.mixers[number]
        reads = number < job.encoder_blocks
        own = self.share(number, cost, cut)
        parameters = mixer_parameters(mixer, cut.tensor) + around_parameters(
            job.model, cut.tensor, looks=job.looks(number)
        )
        time = job.read if reads else job.steps
        entering = cut.rows * time / cut.stretches * job.model.width * job.between_blocks
        entering /= cut.tensor if self.practice.spread else 1
        kept = own.activation_bytes
        if cut.sequence > 1 and mixer.sharding().state == "gather":
            kept += self._gathered(mixer, cut)
        said = self.passes(number, cut)
        forward, backward = self._seconds(own, job.precision, parameters, said)
        early, _ = self._seconds(_without_last(own), job.precision, parameters, said)
        spared = forward - early if self._stops_early else 0.0
        twice = Cost.of(*(term for term in own.terms if term.name in self.practice.again))
        backward += self._seconds(twice, job.precision, 0, Passes())[0]
        kept -= twice.activation_bytes
        parts = (said.forward, said.backward, self.said_again(number, cut))
        ahead, back, again = (self.network.seconds(groups, part) for part in parts)
        unwritten = own.unwritten_bytes if self.machine.kind == "cpu" else 0.0
        working = 2 * entering + _largest_product(own) * job.element_bytes
        bytes_of = [kept, unwritten, entering, working, self._carried(mixer, cut), 0.0]
        seconds = [forward, backward, ahead, back, forward, ahead, spared, ahead - again]
        weights = weights_seconds(self.machine, job.precision, own)
        return [*seconds, weights, *bytes_of, parameters, 0.0]

    def _carried(self, mixer: MixerSettings, cut: Cut) -> float:
        """Bytes of the states behind every chunk in time but the last."""
        if cut.chunks == 1:
            return 0.0
        each = max(1, self.job.steps // cut.stretches)
        shapes = [Shape(batch=cut.rows, time=each, context=number * each) for number in range(cut.chunks - 1)]
        return sum(mixer.cost(shape, self.job.execution).state_bytes / cut.tensor for shape in shapes)

    def _seconds(self, own: Cost, precision: str, parameters: int, said: Passes) -> tuple[float, float]:
        """Forward and backward; weights are copied to the format of products, and gradients from there."""
        forward, backward = cost_work(self.machine, precision, own)
        forward += Work(0.0, _KERNELS_OF_A_MESSAGE * sum(line.count for line in said.forward))
        backward += Work(0.0, _KERNELS_OF_A_MESSAGE * sum(line.count for line in said.backward))
        per = self.job.per_parameter
        there = stream_seconds(self.machine, parameters * (per.weight + per.copy)) if per.copy else 0.0
        back = stream_seconds(self.machine, parameters * (per.gradient + per.copy)) if per.copy else 0.0
        return forward.on(self.machine) + there, backward.on(self.machine) + back

    def _gathered(self, mixer: MixerSettings, cut: Cut) -> float:
        """Bytes of the other ranks' keys and values."""
        heads, size = getattr(mixer, "key_heads", 0), getattr(mixer, "head_size", 0)
        whole = 2 * cut.rows * self.job.steps * heads * size * self.job.element_bytes / cut.tensor
        return whole * (1 - 1 / cut.sequence)

    def _end_columns(self, cut: Cut, groups: Groups) -> tuple[list[float], list[float]]:
        job = self.job
        parameters = ends_parameters(job, cut.tensor)
        columns: list[list[float]] = []
        costs = list(job.ends(cut.rows))
        if job.kind == "train":
            costs[1] += Cost.of(self.loss(cut))
        for cost, own, said in zip(costs, parameters, self.ends(cut), strict=True):
            shared = share_of(cost, tensor=cut.tensor, stretches=cut.stretches, practice=self.practice)
            ahead, back = (self.network.seconds(groups, part) for part in (said.forward, said.backward))
            seconds = self._seconds(shared, job.precision_of_ends, own, said)
            kept = shared.activation_bytes
            bytes_of = [0.0 if columns else kept, 0.0, 0.0, 0.0, 0.0, kept if columns else 0.0]
            columns.append([*seconds, ahead, back, *[0.0] * 5, *bytes_of, own, own])
        return columns[0], columns[1]

    def loss(self, cut: Cut) -> Term:
        """The softmax over outputs and its gradient, in fp32 whatever the products are in."""
        job = self.job
        outputs = self._outputs(cut) * job.outputs.size
        converted = job.element_bytes + 4 if job.element_bytes < 4 else 0
        return Term(
            name="loss",
            activation_bytes=4 * outputs,
            streamed_forward=Streamed(3, outputs * (8 + converted), outputs),
            streamed_backward=Streamed(3, outputs * (16 + converted), outputs),
        )

    def _logits(self, cut: Cut) -> float:
        job = self.job
        divided = cut.tensor if isinstance(job.outputs, PerStep) and job.outputs.size % cut.tensor == 0 else 1
        stretches = cut.stretches if isinstance(job.outputs, PerStep) else 1
        return self._outputs(cut) * job.outputs.size * 4 / (divided * stretches)

    def _outputs(self, cut: Cut) -> int:
        """Vectors of outputs of a micro-batch, over all its time."""
        if not isinstance(self.job.outputs, PerStep):
            return cut.rows
        scored = self.job.outputs_of(cut.rows)
        return cut.rows * self.job.steps if scored is None else scored


def _without_last(cost: Cost) -> Cost:
    """A block without the last product of its feed-forward, if it has one."""
    return Cost.of(
        *(replace(term, products=term.products[:-1]) if term.name == "feed-forward" else term for term in cost.terms)
    )


def _largest_product(cost: Cost) -> int:
    """Elements of the largest product that is written down."""
    sizes = [p.rows * p.columns * p.count * p.serial for t in cost.terms if not t.fused for p in t.products]
    return max(sizes, default=0)


def _by_direction(mixer: MixerSettings, tensor: int) -> bool:
    sharding = mixer.sharding().tensor
    return sharding is not None and tensor > 1 and sharding.over(tensor).by_direction
