"""Two ranks with one thread each against one rank with one thread, the batch being the same.

    python benchmarks/two_ranks.py [data] [tensor] [pipeline] [sequence]

Four blocks of width 256. Each layout stands against its ceiling, measured in the same rounds: two processes that do
the halves and say nothing to one another; a wavefront against the ideal of its chunks. Halves are those of the batch
where the work of a row is no sum over its steps, as in attention. The loss of both ranks, or what they encode, is
that of one before a time counts. Four times are taken in turn, each after a step that does not count, the first of
them again at the end (A-A); where the medians of the two differ by more than 5 per cent the case is measured anew, at
most twice, and then said to be unsteady.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
import torch.distributed as dist
from table import keep

from crossover.measure.clock import seconds_of
from crossover.measure.numerics import Numerics
from crossover.measure.spread import prepare_spread
from crossover.measure.statistics import median_interval
from crossover.measure.workload import Pass, Workload
from crossover.models.ports import Continuous, PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import alone, make_mesh, total
from crossover.testing.spawn import RankPool

ROUNDS = 9
UNSTEADY = 0.05
SIZES = "[layers=4,width=256,dropout=0.0]"


@dataclass(frozen=True)
class Case:
    """`halved` is what each of two unconnected processes has half of: the batch or the time."""

    model: str
    layout: str
    batch: int
    time: int
    bar: float
    precision: str = "fp32"
    halved: str = "batch"
    layers_only: bool = False
    causal: bool = True
    kind: Pass = "train"

    def __str__(self) -> str:
        return (
            self.model + ("" if self.causal else ", both ways") + ("" if self.kind == "train" else f", {self.kind}")
        )

    def workload(self) -> Workload:
        """A pass over the whole batch on one thread."""
        inputs, outputs = Tokens(vocabulary=8000), PerStep(size=8000)
        if self.layers_only:
            inputs, outputs = Continuous(channels=1), PerStep(size=1)
        model = parse_model(self.model + SIZES)
        return Workload(
            model=replace(model, max_length=max(model.max_length, self.time)),
            inputs=inputs,
            outputs=outputs,
            batch=self.batch,
            time=self.time,
            causal=self.causal,
            kind=self.kind,
            numerics=Numerics(threads=1, precision=self.precision, allocator="retain"),
        )


CASES = [
    *[Case(model, "data=2", 32, 128, 0.93, kind) for model in ("lstm", "transformer") for kind in ("fp32", "bf16")],
    Case("lstm", "tensor=2", 32, 128, 0.0, halved="time", layers_only=True, causal=False),
    *[
        Case(model, "tensor=2", batch, 128, 0.0, halved="time", layers_only=True, causal=False, kind="encode")
        for model in ("lstm", "transformer")
        for batch in (32, 1)
    ],
    Case("lstm", "pipeline=2,chunks=16", 8, 1024, 1.6, layers_only=True),
    Case("lstm", "pipeline=2,chunks=8", 32, 128, 1.35, layers_only=True),
    Case("transformer", "pipeline=2,chunks=16", 8, 1024, 0.0, layers_only=True),
    Case("mingru", "sequence=2", 2, 4096, 0.85, halved="time", layers_only=True),
    Case("transformer", "sequence=2", 2, 4096, 0.85, layers_only=True),
    Case("lstm", "sequence=2,microbatches=4", 8, 1024, 0.0, halved="time", layers_only=True),
]


def measure(case: Case) -> tuple[list[list[float]], float]:
    """On both ranks: seconds of one rank, of both, of unconnected halves, of one rank again; the loss is verified."""
    workload, layout, rank = case.workload(), Layout.parse(case.layout), dist.get_rank()
    workload.numerics.apply()
    mesh = make_mesh(layout)
    half = replace(workload, **{case.halved: getattr(workload, case.halved) // 2})
    steps = {
        "one": prepare_spread(workload, Layout(), alone()),
        "both": prepare_spread(workload, layout, mesh),
        "halves": prepare_spread(half, Layout(), alone()),
    }
    expected, found = steps["one"](), steps["both"]()
    if case.kind == "train":
        (found,) = torch.tensor(total([float(found)], mesh.contributors))
    error = float((found - expected).norm() / expected.norm())
    steps["halves"]()
    taken: list[list[float]] = [[], [], [], []]
    for _ in range(ROUNDS):
        for place, name in enumerate(("one", "both", "halves", "one")):
            works = name != "one" or rank == 0
            for _warming in range(works):
                steps[name]()
            dist.barrier()
            own = seconds_of(steps[name]) if works else 0.0
            longest = torch.tensor([own])
            dist.all_reduce(longest, dist.ReduceOp.MAX)
            taken[place].append(float(longest))
    return taken, error


def row(case: Case, pool: RankPool) -> str:
    """The case's line in the table."""
    for _attempt in range(3):
        (one, both, halves, again), error = pool.run(measure, case)[0]
        apart = abs(median(one) / median(again) - 1)
        if apart <= UNSTEADY:
            break
    milliseconds = [f"{1e3 * median(seconds):.{0 if median(seconds) > 0.1 else 1}f}" for seconds in (one, both)]
    limit = 1e-4 if case.precision == "fp32" else 2e-2
    if error > limit:
        raise SystemExit(f"{case} under {case.layout}: two ranks are off by {error:.1e}")
    faster = median_interval([a / b for a, b in zip(one, both, strict=True)])
    ceiling = median_interval([a / b for a, b in zip(one, halves, strict=True)])
    ideal, reached = f"{ceiling.value:.2f}", median_interval([a / b for a, b in zip(halves, both, strict=True)])
    chunks = Layout.parse(case.layout).chunks
    if chunks > 1:
        ideal, reached = f"{2 * chunks / (chunks + 1):.2f} (ideal)", faster
    verdict = "unsteady" if apart > UNSTEADY else "met" if reached.value >= case.bar else "not met"
    cells = [
        str(case), case.layout, case.precision, f"{case.batch} x {case.time}", *milliseconds,
        f"{faster.value:.2f} ({faster.low:.2f} to {faster.high:.2f})", ideal,
        f"{reached.value:.2f} ({reached.low:.2f} to {reached.high:.2f})", f"{case.bar:.2f}" if case.bar else "none",
        verdict if case.bar else "", f"{apart:.1%}", f"{error:.0e}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main(axes: Sequence[str]) -> None:
    """Measure the cases of these axes (none given: all), print and keep the table."""
    lines = [
        "One step (forward, loss, backward, AdamW) or pass, on one thread a rank. `reached` is the share of the "
        "ceiling (two unconnected processes doing the halves), of a wavefront the speed-up itself. Layers only, but "
        "for `data`, which has a vocabulary of 8,000.",
        "",
        "| model | layout | precision | batch x T | one rank, ms | two ranks, ms | speed-up | ceiling | reached "
        "| bar | verdict | A-A | off by |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    with RankPool(2, seconds=600) as pool:
        for case in CASES:
            if not axes or case.layout.partition("=")[0] in axes:
                lines.append(row(case, pool))
                sys.stderr.write(lines[-1] + "\n")
    keep("two_ranks", "Two ranks against one", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
