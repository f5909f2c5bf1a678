"""What checkpoints cost that are written while training goes on: 100 steps with five of them, and without.

    python benchmarks/checkpoints.py

A GPT of 4 blocks, width 256, on Python's documentation. Twenty steps while a checkpoint is written to its last byte
and twenty without are timed in turn, so that the machine's drift is the same for both, and five such pairs make a
hundred steps; a checkpoint is read back and compared with the weights before a time counts.
"""

from __future__ import annotations

import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from table import keep

from crossover.data.options import DataOptions
from crossover.measure.numerics import choose
from crossover.measure.statistics import median_interval
from crossover.models.model import build_model
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import alone
from crossover.tasks import TASKS
from crossover.train.checkpoint import Checkpoints, under
from crossover.train.settings import TrainSettings, resolve
from crossover.train.update import Update

STEPS, PAIRS = 20, 25
BAR = 1.03


def main() -> None:
    """Measure, print and keep the table."""
    task = TASKS.get("language-modeling/python-docs")(DataOptions())
    model = parse_model("gpt[layers=4,width=256]")
    numerics = choose("auto", "cpu")
    settings = resolve(TrainSettings(batch=16), task.spec, model)
    built = build_model(model, task.spec.inputs, task.spec.outputs, causal=True, seed=0)
    update = Update(task, built, settings, numerics, Layout(), alone(), carry=False)
    batches = list(islice(task.batches("train", seed=0, epoch=0, batch=16), STEPS))

    def steps() -> None:
        for batch in batches:
            update.step([batch], task.count(batch), 1e-4)

    def run(checkpoints: Checkpoints | None, number: int = 0) -> float:
        started = time.perf_counter()
        if checkpoints is not None:
            checkpoints.save(number, update.state(), update.tensors())
        steps()
        if checkpoints is not None:
            checkpoints.wait()
        return time.perf_counter() - started

    steps()
    with_them, without, again = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), {}, alone(), kept=2)
        check(checkpoints, update)
        for number in range(1, PAIRS + 1):
            without.append(run(None))
            with_them.append(run(checkpoints, number))
            again.append(run(None))
    ratio = median_interval([a / b for a, b in zip(with_them, without, strict=True)])
    size = sum(tensor.numel() * tensor.element_size() for tensor in update.tensors().values()) / 1e6
    verdict, apart = "met" if ratio.value <= BAR else "not met", abs(median(without) / median(again) - 1)
    told = f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
    lines = [
        f"{STEPS} steps while a checkpoint of {size:.0f} MB is written, and without; medians of {PAIRS} pairs.",
        "",
        "| without, s | with, s | ratio | bar | verdict | A-A |",
        "|---|---|---|---|---|---|",
        f"| {median(without):.2f} | {median(with_them):.2f} | {told} | {BAR} | {verdict} | {apart:.1%} |",
    ]
    keep("checkpoints", "Checkpoints while training goes on", lines)


def check(checkpoints: Checkpoints, update: Update) -> None:
    """Write what stands, read it back and compare."""
    checkpoints.save(0, update.state(), update.tensors())
    checkpoints.wait()
    loaded = checkpoints.load(device=torch.device("cpu"))
    held = under(loaded.tensors, "weights") if loaded is not None else {}
    if not all(torch.equal(held[name], weight) for name, weight in update.shares.own.items()):
        raise SystemExit("what was written is not what was trained")


if __name__ == "__main__":
    main()
