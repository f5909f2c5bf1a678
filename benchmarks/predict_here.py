"""Predicted beside measured training steps on this machine, one thread a rank: mixers x lengths x batches x layouts.

    python benchmarks/predict_here.py

The machine is calibrated first, for one rank that has it alone and for two that work at the same time, and nothing is
fitted to the steps. A step is that of `crossover scale`: forward, a loss, backward, AdamW. The median of steps taken
after one that does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import mean, median

from table import keep

from crossover.measure.calibrate import calibrate
from crossover.measure.numerics import Numerics
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.together import TeamStopwatch
from crossover.measure.workload import Workload
from crossover.models.presets import parse_model
from crossover.parallel.launch import Team
from crossover.parallel.layout import Layout
from crossover.planning.machine import Machine
from crossover.planning.predict import Planner

MODELS = ("lstm", "gru", "elman", "mingru", "linear-attention", "transformer")
LENGTHS, BATCHES = (64, 256), (8, 32)
LAYOUTS = ("data=2", "tensor=2", "pipeline=2,microbatches=4", "sequence=2")
SIZES = "[layers=4,width=256,dropout=0.0]"
ROUNDS = 7


@dataclass(frozen=True)
class Cell:
    """One step that is predicted and measured."""

    model: str
    time: int
    batch: int
    layout: str = ""

    def workload(self, threads: int) -> Workload:
        """What is measured."""
        model = parse_model(self.model + SIZES)
        numerics = Numerics(threads=threads, precision="fp32", allocator="retain")
        return Workload(model=model, batch=self.batch, time=self.time, numerics=numerics)

    def predicted(self, machine: Machine) -> float:
        """Seconds of a step."""
        return Planner(self.workload(1).job(), machine).predict(Layout.parse(self.layout)).step_seconds

    def measured(self, watch: Stopwatch, threads: int) -> float:
        """The same, measured."""
        workload = self.workload(threads)
        workload.numerics.apply()
        finite, _ = watch.begin("step", workload)
        if not finite:
            raise ValueError(f"{self} gave something that is no number")
        taken = watch.time(["step"], rounds=ROUNDS, minimum=3, device="cpu", time_limit=5.0)["step"]
        watch.forget()
        return median(taken[1:])


def cells() -> Iterator[Cell]:
    """One rank at every length and batch, two ranks at the larger batch."""
    for model, time, batch in product(MODELS, LENGTHS, BATCHES):
        yield Cell(model, time, batch)
    for layout, model, time in product(LAYOUTS, MODELS, LENGTHS):
        yield Cell(model, time, BATCHES[-1], layout)


def measure(alone: Machine, both: Machine) -> list[tuple[Cell, float, float]]:
    """Every cell with its predicted and its measured seconds."""
    found = []
    for cell in cells():
        if not cell.layout:
            found.append((cell, cell.predicted(alone), cell.measured(Stopwatch(), 1)))
    with Team(2) as team:
        for cell in cells():
            if cell.layout:
                watch = TeamStopwatch(team, Layout.parse(cell.layout))
                found.append((cell, cell.predicted(both), cell.measured(watch, 2)))
    return found


def main() -> None:
    """Calibrate, predict, measure, print and keep the table."""
    (alone, how), (both, _) = calibrate(threads=1), calibrate(devices=2)
    found = measure(alone, both)
    lines = [
        "| model | steps | rows | layout | predicted ms | measured ms | error |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell, told, taken in found:
        lines.append(
            f"| {cell.model} | {cell.time} | {cell.batch} | {cell.layout or 'single'} | {told * 1e3:.1f} | "
            f"{taken * 1e3:.1f} | {told / taken - 1:+.1%} |"
        )
    errors = [told / taken - 1 for _, told, taken in found]
    worst = max(found, key=lambda each: abs(each[1] / each[2] - 1))
    lines += [
        "",
        f"{len(found)} cells: mean error {mean(abs(error) for error in errors):.1%}, "
        f"median {median(abs(error) for error in errors):.1%}, bias {mean(errors):+.1%}, worst {worst[0]} "
        f"{worst[1] / worst[2] - 1:+.0%}. {how}",
    ]
    keep("predict_here", "Predicted beside measured steps on this machine", lines)


if __name__ == "__main__":
    main()
