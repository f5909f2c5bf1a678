"""Predicted beside measured peak memory of a training step on this machine, and the sum of its live tensors.

    python benchmarks/predict_memory.py

Four blocks of width 256 over 256 tokens, one thread, fp32, AdamW. Measured is how far a new process grows over two
steps above what it was before the model was built (the median of three); live tensors are counted operation by
operation in a second step, which no allocator blurs. They are predicted as on a device that gives what is set aside
at once; of a CPU the planner leaves out what a kernel has not written yet, which has no pages.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from statistics import mean

from table import keep

from crossover.measure.memory import Nursery
from crossover.measure.numerics import Numerics
from crossover.measure.workload import Workload
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.planning.machine import load_machine
from crossover.planning.predict import Planner
from crossover.testing.live import LiveBytes

MODELS = ("lstm", "gru", "elman", "mingru", "linear-attention", "transformer")
SHAPES = ((256, 16), (256, 64), (1024, 16))
SIZES = "[layers=4,width=256,dropout=0.0]"
LEAST = 300e6
BARS = {"measured": (0.12, 0.30), "live": (0.03, 0.03)}


def workload(name: str, time: int, batch: int) -> Workload:
    """A training step."""
    model = parse_model(name + SIZES)
    return Workload(model=model, batch=batch, time=time, numerics=Numerics(threads=1, allocator="default"))


def predicted(asked: Workload, kind: str = "cpu") -> float:
    """Bytes that the planner gives it on a device of this kind."""
    machine = replace(load_machine("cpu"), kind=kind)
    return Planner(asked.job(), machine).predict(Layout()).memory.total


def live(asked: Workload) -> int:
    """The most bytes of tensors at one time in its second step; the first one makes the optimiser's known."""
    step = asked.prepare()
    with LiveBytes() as counted:
        step()
        step()
    return counted.most


def main() -> None:
    """Predict, measure, print and keep the table."""
    lines = [
        "| model | steps | rows | predicted MB | measured MB | error | of tensors, predicted MB | live MB | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    errors: dict[str, list[float]] = {"measured": [], "live": []}
    with Nursery() as nursery:
        for name, (time, batch) in product(MODELS, SHAPES):
            asked = workload(name, time, batch)
            told, grown = predicted(asked), nursery.peak(asked).bytes
            if grown is None or grown < LEAST:
                continue
            whole, held = predicted(asked, "gpu"), live(asked)
            errors["measured"].append(told / grown - 1)
            errors["live"].append(whole / held - 1)
            cells = [name, str(time), str(batch), f"{told / 1e6:.0f}", f"{grown / 1e6:.0f}"]
            cells += [
                f"{told / grown - 1:+.0%}",
                f"{whole / 1e6:.0f}",
                f"{held / 1e6:.0f}",
                f"{whole / held - 1:+.1%}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    lines.append("")
    for kind, found in errors.items():
        average, worst = mean(map(abs, found)), max(map(abs, found))
        met = "met" if average <= BARS[kind][0] and worst <= BARS[kind][1] else "not met"
        lines.append(f"- against {kind}: {len(found)} cells, mean error {average:.1%}, worst {worst:.0%}: {met}")
    keep("predict_memory", "Predicted beside measured peak memory", lines)


if __name__ == "__main__":
    main()
