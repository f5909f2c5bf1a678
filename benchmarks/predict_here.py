"""Predicted beside measured training steps on this machine, one thread a rank: mixers x lengths x batches x layouts.

    python benchmarks/predict_here.py

The machine is calibrated before and after the steps of each layout, for one rank that has it alone or for two that
work at the same time, since its speed drifts by a fifth within minutes; the prediction is the mean of what the two
calibrations say. A layout is measured again where they are apart, or where its first step takes another time at its
end; of several tries the steadiest is kept, whatever its errors. Nothing is fitted to the steps. A step is that of
`crossover scale`: forward, a loss, backward, AdamW. The median of steps taken after one that does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby, product
from statistics import mean, median

from choosing import Seconds, quality
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
APART, TRIES = 0.05, 3
"""Equal steps, or predictions of one step, that differ by more say that the machine was unsteady; so often a layout
is tried."""


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


@dataclass(frozen=True)
class Measured:
    """The cells of one layout with their predicted and measured seconds.

    `steps` is how far apart the first of them is from itself, measured again behind the last, and `calibrations` how
    far apart predictions are by the calibrations before and after, in the mean.
    """

    cells: list[tuple[Cell, float, float]]
    steps: float
    calibrations: float

    @property
    def apart(self) -> float:
        """The larger of the two."""
        return max(self.steps, self.calibrations)


def measure() -> dict[str, Measured]:
    """Every layout's cells, measured until the machine is steady."""
    found = {}
    for layout, asked in groupby(cells(), key=lambda cell: cell.layout):
        own, tries = list(asked), list[Measured]()
        while not tries or (tries[-1].apart > APART and len(tries) < TRIES):
            tries.append(measure_layout(layout, own))
            print(f"{layout or 'single'}: {tries[-1].steps:.0%} and {tries[-1].calibrations:.0%} apart", flush=True)
        found[layout] = min(tries, key=lambda measured: measured.apart)
    return found


def measure_layout(layout: str, own: list[Cell]) -> Measured:
    """The cells of one layout, between two calibrations."""
    ranks = 2 if layout else 1
    before, _ = calibrate(devices=ranks, threads=1)
    with Team(2) if layout else nullcontext() as team:
        watch = TeamStopwatch(team, Layout.parse(layout)) if team else Stopwatch()
        taken = [cell.measured(watch, ranks) for cell in own]
        again = own[0].measured(watch, ranks)
    after, _ = calibrate(devices=ranks, threads=1)
    told = [(cell.predicted(before), cell.predicted(after)) for cell in own]
    return Measured(
        [(cell, mean(both), seconds) for cell, both, seconds in zip(own, told, taken, strict=True)],
        steps=abs(again / taken[0] - 1),
        calibrations=mean(abs(late / early - 1) for early, late in told),
    )


def main() -> None:
    """Calibrate, predict, measure, print and keep the table."""
    measured = measure()
    found = [cell for each in measured.values() for cell in each.cells]
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
        f"{worst[1] / worst[2] - 1:+.0%}.",
        "",
        f"Where equal steps or calibrations are more than {APART:.0%} apart, the machine was unsteady in each of "
        f"{TRIES} tries.",
        "",
        "| layout | cells | mean error | bias | equal steps apart | calibrations apart |",
        "|---|---|---|---|---|---|",
    ]
    for layout, each in measured.items():
        own = [told / taken - 1 for _, told, taken in each.cells]
        figures = f"{mean(map(abs, own)):.1%} | {mean(own):+.1%} | {each.steps:.0%} | {each.calibrations:.0%}"
        lines.append(f"| {layout or 'single'} | {len(own)} | {figures} |")
    layouts: defaultdict[tuple[str, int, int], list[Seconds]] = defaultdict(list)
    for cell, told, taken in found:
        if cell.layout:
            layouts[cell.model, cell.time, cell.batch].append((told, taken))
    lines += ["", f"The layout on two ranks that is predicted to be the fastest: {quality(layouts.values())}."]
    keep("predict_here", "Predicted beside measured steps on this machine", lines)


if __name__ == "__main__":
    main()
