"""Why a layout takes what it takes: every term of its step and of its memory, with its formula and its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from crossover.costs import Cost, Term
from crossover.parallel.layout import Layout
from crossover.planning.compute import Work, term_work
from crossover.planning.machine import Machine
from crossover.planning.predict import Planner, Prediction
from crossover.planning.share import share_of
from crossover.planning.step_traffic import step_traffic


@dataclass(frozen=True)
class Reason:
    """One term: what it is, the formula in symbols, and the same in numbers with its result."""

    name: str
    formula: str
    numbers: str


def explain(planner: Planner, found: Prediction) -> list[Reason]:
    """The terms of a training step's prediction, in the order in which they are added."""
    return [*_compute(planner, found.layout), *_messages(planner, found), *_rest(planner, found), *_memory(found)]


def _compute(planner: Planner, layout: Layout) -> Iterator[Reason]:
    """A term of all blocks and both passes, of one micro-batch on one rank of each stage."""
    job, machine, cut = planner.job, planner.machine, planner.cut(layout)
    blocks = [planner.blocks.share(number, cost, cut) for number, cost in enumerate(job.blocks(cut.rows))]
    ends = [*job.ends(cut.rows), Cost.of(planner.blocks.loss(cut))]
    shared = [share_of(end, tensor=cut.tensor, stretches=cut.stretches) for end in ends]
    for precision, costs in ((job.precision, blocks), (job.precision_of_ends, shared)):
        by_name: defaultdict[str, list[Term]] = defaultdict(list)
        for term in Cost.sum(costs).terms:
            by_name[term.name].append(term)
        for name, terms in by_name.items():
            total = sum((work for term in terms for work in term_work(machine, precision, term)), Work())
            if total.seconds or total.kernels:
                yield Reason(name, *_in_numbers(machine, precision, Cost(tuple(terms)), total))


def _in_numbers(machine: Machine, precision: str, cost: Cost, work: Work) -> tuple[str, str]:
    flops = cost.flops_forward + cost.flops_backward
    parts, numbers = [], []
    if flops:
        parts.append("FLOPs / (rate x filled)")
        numbers.append(f"{flops / 1e9:,.1f} GFLOP at {machine.rate(precision).achievable / 1e12:.4g} TFLOP/s")
    if cost.streamed_bytes:
        parts.append("bytes / bandwidth")
        bandwidth = machine.memory_bandwidth * machine.memory_share
        numbers.append(f"{cost.streamed_bytes / 1e6:,.1f} MB at {bandwidth / 1e9:,.0f} GB/s")
    return " + ".join(parts), f"{', '.join(numbers)}: {_milliseconds(work.on(machine))} a micro-batch"


def _messages(planner: Planner, found: Prediction) -> Iterator[Reason]:
    layout = found.layout
    for sent in step_traffic(planner, layout):
        if sent.operation == "receive":
            continue
        group = planner.network.group(layout, sent.axis)
        seconds = planner.network.seconds({sent.axis: group}, [sent])
        yield Reason(
            f"{sent.operation} along {sent.axis}",
            _FORMULAS[sent.operation],
            f"{sent.count} of {sent.bytes / max(sent.count, 1) / 1e6:,.3f} MB over {group.size} ranks: "
            f"{_milliseconds(seconds)} in all, as far as nothing hides it",
        )


_FORMULAS = {
    "all-reduce": "2 (n - 1)/n B / bandwidth + 2 log2(n) latency",
    "all-gather": "(n - 1) B / bandwidth + log2(n) latency",
    "reduce-scatter": "(n - 1)/n B / bandwidth + log2(n) latency",
    "send": "B / bandwidth + latency",
    "broadcast": "B / bandwidth + log2(n) latency",
}


def _rest(planner: Planner, found: Prediction) -> Iterator[Reason]:
    layout = found.layout
    yield Reason(
        "compute", "actions x (forward + backward) of the slowest rank", _milliseconds(found.compute_seconds)
    )
    yield Reason("messages that are waited for", "", _milliseconds(found.communication_seconds))
    if found.bubble_seconds:
        formula = (
            "one action of every other rank" if layout.pipeline > 1 else "(n - 1) x a block that hands its state on"
        )
        yield Reason("bubble", formula, _milliseconds(found.bubble_seconds))
    yield Reason("update", "parameters x bytes / bandwidth", _milliseconds(found.update_seconds))
    low, high = found.interval
    yield Reason(
        "step",
        "compute + messages + bubble + update",
        f"{_milliseconds(found.step_seconds)} (80 %: {_milliseconds(low)} to {_milliseconds(high)})",
    )


def _memory(found: Prediction) -> Iterator[Reason]:
    for name, value in found.memory.to_json().items():
        yield Reason(f"memory: {name}", "", f"{value / 1e9:,.2f} GB")
    yield Reason("memory", "their sum", f"{found.memory.total / 1e9:,.2f} of {found.limit_bytes / 1e9:,.1f} GB")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms"
