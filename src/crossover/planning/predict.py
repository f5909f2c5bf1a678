"""A step's seconds, memory and traffic on a rank of any layout, from settings and a machine's file alone.

    step = compute + exposed messages + bubble + update

A rank computes its share of every block for one micro-batch at a time; what it says along tensor and sequence it
waits for. A pipeline of stages takes the slowest rank's actions and, once, one action of each of the others.
Gradients of replicas are added up while the way back goes on where the machine can; the last bucket is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import groupby
from math import ceil
from statistics import NormalDist
from typing import Any

import numpy as np

from crossover.parallel.layout import ORDER, Layout
from crossover.parallel.schedule import in_flight
from crossover.parallel.stages import balanced
from crossover.parallel.traffic import Sent
from crossover.planning.blocks import Blocks, Cut, Table
from crossover.planning.compute import stream_seconds
from crossover.planning.job import Job
from crossover.planning.machine import Machine
from crossover.planning.memory import Held, Memory, inference_memory, training_memory
from crossover.planning.network import Network
from crossover.planning.practice import OURS, Practice

BUCKET_BYTES = 25 * 2**20
"""Of a bucket of gradients, which replicas add up together (PyTorch's DDP)."""
_UPDATED = {"adamw": 28, "sgd": 20}
"""Bytes that the optimiser reads and writes for each parameter in fp32."""
_CLIPPED, _ACCUMULATED = 12, 12
"""The same of a gradient whose norm is bounded, and of one that is added to an earlier one."""
_FILLING = ("pipeline", "microbatches", "chunks", "interleave", "schedule")
"""What of a layout says how many micro-batches wait for their way back."""
_SLOWED = 0.1256
"""By how much computing is slower while messages go (PKU-DAIR/Hetu-Galvatron, its profile of the overlap)."""
_MASK_BYTES = 1
"""Of an element that dropout lets through or not, as kernels for GPUs keep it."""
_FACTOR_RANK = 4
"""Of PowerSGD's factors."""
SPREAD = {"compute": (0.12, 0.17), "communication": (0.4, 0.4), "bubble": (0.2, 0.2), "update": (0.2, 0.2)}
"""How far the 80 % interval of each part reaches below and above it, as shares of it: such intervals hold 82 % of 273
published steps (`benchmarks/predict_training.py`). Programs do more than is counted rather than less."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One layout's step: seconds with an 80 % interval and the parts that they are the sum of, and a rank's memory.

    `communication_seconds` are those in which a rank waits for messages, `bubble_seconds` those in which it waits for
    work. `utilisation` is the share of the machine's peak that the model's FLOPs make up.
    """

    layout: Layout
    step_seconds: float
    compute_seconds: float
    communication_seconds: float
    bubble_seconds: float
    update_seconds: float
    tokens_per_second: float
    utilisation: float
    memory: Memory
    limit_bytes: float
    plan_only: tuple[str, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high ends of the 80 % interval of the step's seconds."""
        parts = {name: getattr(self, f"{name}_seconds") for name in SPREAD}
        below, above = (
            sum((SPREAD[name][end] * seconds) ** 2 for name, seconds in parts.items()) ** 0.5 for end in (0, 1)
        )
        return self.step_seconds - below, self.step_seconds + above

    @property
    def fits(self) -> bool:
        """Whether a device has the memory."""
        return self.memory.total <= self.limit_bytes

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        low, high = self.interval
        return {
            "layout": self.layout.to_json(),
            "name": str(self.layout),
            "step_seconds": {"value": self.step_seconds, "low": low, "high": high},
            "compute_seconds": self.compute_seconds,
            "communication_seconds": self.communication_seconds,
            "bubble_seconds": self.bubble_seconds,
            "update_seconds": self.update_seconds,
            "tokens_per_second": self.tokens_per_second,
            "utilisation": self.utilisation,
            "peak_bytes": self.memory.total,
            "parts": self.memory.to_json(),
            "fits": self.fits,
            "plan_only": list(self.plan_only),
        }


class Planner:
    """Predictions of one job on one machine; what layouts have in common is computed once.

    `order` names the axes from the outermost to the innermost; `memory_bytes` is what a device has (None: as its file
    says). `practice` is how a step is carried out.
    """

    def __init__(
        self,
        job: Job,
        machine: Machine,
        *,
        order: tuple[str, ...] = ORDER,
        memory_bytes: float | None = None,
        practice: Practice = OURS,
    ) -> None:
        self.practice = practice
        self.job = job if machine.kind == "cpu" else replace(job, noise_bytes=_MASK_BYTES)
        self.machine = self.practice.on(machine)
        self.memory_bytes = memory_bytes or machine.memory_bytes
        self.network = Network(self.machine, order)
        self.blocks = Blocks(self.job, self.network, self.practice)
        self.stage_sizes = cache(self._stage_sizes)
        self._waiting = cache(_waiting)

    def predict(self, layout: Layout) -> Prediction:
        """What `layout` takes; nothing of it is checked here."""
        if self.job.kind != "train":
            return self._inference(layout)
        stages = self._stages(layout)
        ranks = stages.ranks(layout.pipeline)
        actions = layout.microbatches * layout.chunks * layout.accumulate
        computing, messages = self._computing(layout, ranks), self._messages(layout, ranks)
        each = computing + messages
        worst = int(each.argmax())
        compute, said = float(computing[worst]) * actions, float(messages[worst]) * actions
        waiting = self._filling(layout, stages, each, worst)
        parameters = float(ranks["parameters"].max())
        sums = layout.accumulate if self.practice.summed_each else 1
        compute += self._added_up(layout, parameters, sums)
        backward = float(each[worst] - ranks["forward"][worst]) * layout.microbatches * layout.chunks
        said += sums * self._replicas(layout, parameters, sums, compute=compute / sums, backward=backward)
        compute += sums * stream_seconds(self.machine, parameters * self.practice.copied) * (layout.data > 1)
        waiting += self.practice.uneven * _longest_of(layout.data) * compute
        update = self._update(layout, parameters)
        return self._told(layout, compute, said, waiting, update, self._memory(layout, stages))

    def cut(self, layout: Layout) -> Cut:
        """How a micro-batch of this layout is cut; the largest, where rows do not divide evenly."""
        rows = ceil(self.job.rows / (layout.data * layout.accumulate * layout.microbatches))
        return Cut(rows, layout.tensor, layout.sequence, layout.chunks)

    def rank_parameters(self, layout: Layout) -> np.ndarray:
        """Numbers of parameters by rank of the pipeline."""
        return self._stages(layout).ranks(layout.pipeline)["parameters"]

    def tied_parameters(self, layout: Layout) -> int:
        """Those of the table that embeds and puts out tokens, as one rank has it."""
        divided = layout.tensor if self.job.outputs.size % layout.tensor == 0 else 1
        return self.job.outputs.size * self.job.model.width // divided

    def _stages(self, layout: Layout) -> Table:
        groups = (self.network.group(layout, "tensor"), self.network.group(layout, "sequence"))
        table = self.blocks.table(self.cut(layout), *groups)
        return table.stages(layout.stages or self.stage_sizes(layout.pipeline * layout.interleave))

    def _stage_sizes(self, stages: int) -> tuple[int, ...]:
        """Blocks of every stage, as even as can be by their FLOPs, as the pipeline deals them out."""
        if stages == 1:
            return (len(self.job.mixers),)
        costs = [cost.flops_forward for cost in self.job.blocks(1)]
        first, last = (cost.flops_forward for cost in self.job.ends(1))
        return balanced(costs, stages, first=first, last=last)

    def _computing(self, layout: Layout, of: Table) -> np.ndarray:
        """Seconds of work on a micro-batch forward and backward, by stage or by rank."""
        return of["forward"] + of["backward"] + self._again(layout, of["again"], of["spared"])

    @staticmethod
    def _again(layout: Layout, whole: np.ndarray, spared: np.ndarray) -> np.ndarray:
        """What is done again: of blocks that are so one by one only what is asked for, within chunks all."""
        if layout.recompute == "none":
            return np.zeros_like(whole)
        return whole - spared if layout.recompute == "blocks" else whole

    def _messages(self, layout: Layout, of: Table) -> np.ndarray:
        """Seconds in which messages of a micro-batch are waited for, by stage or by rank."""
        between = self._between_stages(layout) * layout.pipeline * layout.interleave
        again = self._again(layout, of["again_messages"], of["spared_messages"])
        said = of["forward_messages"] + of["backward_messages"] + again
        said = said + between / len(said)
        if self.practice.overlapped:
            return _behind(said, self._computing(layout, of))
        hidden = self.practice.behind_weights * of["backward_messages"]
        return said - hidden + _behind(hidden, of["weights"])

    def _between_stages(self, layout: Layout) -> float:
        """Seconds in which a stage gives the next one what enters that, and its gradient back."""
        if layout.pipeline == 1:
            return 0.0
        cut = self.cut(layout)
        payload = cut.rows * self.job.steps / cut.stretches * self.job.model.width * self.job.between_blocks
        payload /= layout.tensor if self.practice.scattered else 1
        groups = {"pipeline": self.network.group(layout, "pipeline")}
        return 2 * self.network.seconds(groups, [Sent("send", "pipeline", 1, int(payload))])

    def _filling(self, layout: Layout, stages: Table, each: np.ndarray, worst: int) -> float:
        """Seconds in which the slowest rank has no work: until the first comes to it, and after its last."""
        if layout.pipeline > 1:
            first = (self._computing(layout, stages) + self._messages(layout, stages))[: layout.pipeline]
            return float(first.sum() - first[worst]) * layout.accumulate
        if layout.sequence == 1:
            return 0.0
        block = float(each[worst]) / len(self.job.mixers)
        return self._runs_handed_on * (layout.sequence - 1) * block * layout.accumulate

    @cached_property
    def _runs_handed_on(self) -> int:
        """Runs of blocks that hand their states on: a rank waits for the one before it once in each."""
        return sum(
            travels == "hand-on" for travels, _ in groupby(mixer.sharding().state for mixer in self.job.mixers)
        )

    def _added_up(self, layout: Layout, parameters: float, sums: int) -> float:
        """Seconds in which gradients are added to those of earlier slices: in shards if they are sent before."""
        slices = layout.accumulate * (layout.microbatches if layout.pipeline > 1 else 1)
        shards = layout.data * layout.sequence if layout.shard_parameters and sums > 1 else 1
        moved = _ACCUMULATED if self.practice.accumulated is None else self.practice.accumulated
        return (slices - 1) * stream_seconds(self.machine, parameters / shards * moved)

    def _replicas(self, layout: Layout, parameters: float, sums: int, *, compute: float, backward: float) -> float:
        """Seconds in which a rank waits for the other replicas, each of `sums` times: what its work does not hide."""
        group = self.network.group(layout, "replicas")
        if group.size == 1:
            return 0.0
        per, groups = self.job.per_parameter, {"replicas": group}

        def seconds(operation: str, payload: float) -> float:
            return self.network.seconds(groups, [Sent(operation, "replicas", 1, int(payload))])

        payload = parameters * per.sent * self._shrunk(layout)
        if layout.shard_parameters:
            gathered = seconds("all-gather", parameters * per.gathered / group.size)
            scattered = seconds("reduce-scatter", payload)
            first = (gathered + scattered) / max(len(self.job.mixers), 1)
            said = 2 * gathered * layout.accumulate / sums + scattered
            return self._waited(said, behind=compute, least=first)
        whole = seconds("all-reduce", payload)
        if layout.independent:
            return whole / layout.synchronise if isinstance(layout.synchronise, int) else 0.0
        if layout.pipeline > 1:
            return whole
        return self._waited(
            whole, behind=backward, least=min(whole, seconds("all-reduce", min(payload, BUCKET_BYTES)))
        )

    def _waited(self, said: float, *, behind: float, least: float) -> float:
        """What messages add to a step that go while a rank computes for `behind` seconds; a CPU does both itself."""
        return said if self.machine.kind == "cpu" else least + float(_behind(said - least, behind))

    def _shrunk(self, layout: Layout) -> float:
        """The bytes of sent gradients over those of whole ones."""
        if layout.gradients == "bf16":
            return 2 / self.job.per_parameter.sent if self.job.per_parameter.sent > 2 else 1.0
        if layout.gradients == "powersgd":
            return min(1.0, 2.5 * _FACTOR_RANK / self.job.model.width)
        return 1.0

    def _update(self, layout: Layout, parameters: float) -> float:
        shards = layout.data * layout.sequence if layout.shard_parameters else 1
        usual = _UPDATED[self.job.optimizer] + _CLIPPED
        moved = usual if self.practice.updated is None else self.practice.updated
        return stream_seconds(self.machine, parameters / shards * moved)

    def _memory(self, layout: Layout, stages: Table) -> Memory:
        """Of the rank that holds the most."""
        ranks, count = stages.ranks(layout.pipeline), layout.pipeline
        filling = replace(Layout(), **{name: getattr(layout, name) for name in _FILLING})
        left = (ranks["kept"] - ranks["unwritten"]) / layout.interleave
        outputs, logits = ranks["outputs"], np.where(np.arange(count) == count - 1, stages.logits, 0.0)
        sizes = layout.stages or self.stage_sizes(count * layout.interleave)
        blocks = np.array([sum(sizes[rank::count]) for rank in range(count)])
        # A mixer writes what it had set aside when the feed-forward behind it is through with its gradients.
        again, working = np.zeros(count), np.maximum(ranks["working"], ranks["unwritten"])
        if layout.recompute == "blocks":
            left, again = ranks["entering"] / layout.interleave, (ranks["kept"] - ranks["unwritten"]) / blocks
        if layout.recompute == "chunks":
            # One chunk is there at a time, between the whole of what enters the first block and leaves the last.
            filling, outputs, logits = replace(filling, chunks=1), outputs * layout.chunks, logits * layout.chunks
            between = 2 * layout.chunks * ranks["entering"] / len(self.job.mixers)
            # On the way back there are the gradients of both besides.
            left, again = between, left + between
        waiting = self._waiting(filling)
        per = self.job.per_parameter
        states = ranks["parameters"] * (per.weight + per.gradient + per.optimizer)
        rank = int((states + waiting * (left + outputs) + 2 * logits).argmax())
        held = Held(
            parameters=float(ranks["parameters"][rank]),
            block=float((ranks["parameters"] - ranks["ends"])[rank] / blocks[rank]),
            ends=float(ranks["ends"][rank]),
            waiting=float(left[rank]),
            outputs=float(outputs[rank]),
            again=float(again[rank]),
            working=float(working[rank] / blocks[rank]),
            carried=float(ranks["carried"][rank]),
            logits=float(logits[rank]),
            in_flight=int(waiting[rank]),
        )
        return training_memory(self.job, layout, held, standing=self.practice.standing)

    def _inference(self, layout: Layout) -> Prediction:
        """Whole sequences at once, or one step of each row from its state."""
        stages = self._stages(layout)
        ranks = stages.ranks(layout.pipeline)
        compute = float(ranks["forward"].sum()) * layout.microbatches
        said = float(ranks["forward_messages"].sum()) * layout.microbatches + self._between_stages(layout) / 2
        rows, worst = self.cut(layout).rows, int(ranks["parameters"].argmax())
        state = sum(cost.state_bytes for cost in self.job.blocks(rows)) / (layout.tensor * layout.pipeline)
        held = Held(
            parameters=float(ranks["parameters"][worst]),
            block=0.0,
            waiting=0.0,
            again=float(stages["kept"].max()) / max(len(self.job.mixers) / layout.pipeline, 1),
            logits=stages.logits,
        )
        memory = inference_memory(self.job, held, state=state)
        return self._told(layout, compute, said, 0.0, 0.0, memory)

    def _told(
        self, layout: Layout, compute: float, said: float, waiting: float, update: float, memory: Memory
    ) -> Prediction:
        seconds = compute + said + waiting + update
        tokens = self.job.rows * self.job.steps
        peak = self.machine.rate(self.job.precision).peak * layout.devices
        return Prediction(
            layout=layout,
            step_seconds=seconds,
            compute_seconds=compute,
            communication_seconds=said,
            bubble_seconds=waiting,
            update_seconds=update,
            tokens_per_second=tokens / seconds,
            utilisation=self.flops / (seconds * peak),
            memory=memory,
            limit_bytes=self.memory_bytes,
            plan_only=tuple(layout.unwritten_reasons()),
        )

    @cached_property
    def flops(self) -> float:
        """Of the model's pass over the whole batch, forward and backward; what is computed twice counts once."""
        costs = [*self.job.blocks(1), *self.job.ends(1)]
        each = sum(cost.flops_forward + cost.flops_backward * (self.job.kind == "train") for cost in costs)
        return each * self.job.rows


def _longest_of(count: int) -> float:
    """How many standard deviations the longest of so many lies above their mean (Blom 1958, normal order scores)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25))


def _waiting(filling: Layout) -> np.ndarray:
    """By rank of the pipeline, the most micro-batches, or chunks of them, that wait for their way back."""
    return np.array([in_flight(filling, rank) for rank in range(filling.pipeline)])


def _behind(said: float | np.ndarray, computing: float | np.ndarray) -> np.ndarray:
    """Seconds that messages add which go while a device computes: what is longer, and what they slow down."""
    hidden = np.minimum(said, computing)
    return np.asarray(said - hidden + _SLOWED * hidden)
