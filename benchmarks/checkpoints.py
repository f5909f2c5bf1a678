"""What checkpoints cost that are written while training goes on: 100 steps with five of them, and without.

    python benchmarks/checkpoints.py

A GPT of 4 blocks, width 256, on Python's documentation. Both are timed in turn, the five checkpoints written to the
last byte; the last one is read back and compared with the weights before a time counts.
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

STEPS, EVERY, ROUNDS = 100, 20, 5
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

    def run(folder: Path | None) -> float:
        checkpoints = Checkpoints(folder, {}, alone(), kept=2)
        started = time.perf_counter()
        for number, batch in enumerate(batches, start=1):
            update.step([batch], task.count(batch), 1e-4)
            if number % EVERY == 0:
                checkpoints.save(number, update.state(), update.tensors())
        checkpoints.wait()
        seconds = time.perf_counter() - started
        if folder is not None:
            loaded = checkpoints.load(device=torch.device("cpu"))
            held = under(loaded.tensors, "weights") if loaded is not None else {}
            if not all(torch.equal(held[name], weight) for name, weight in update.shares.own.items()):
                raise SystemExit("what was written is not what was trained")
        return seconds

    run(None)
    with_them, without, again = [], [], []
    for _ in range(ROUNDS):
        without.append(run(None))
        with tempfile.TemporaryDirectory() as folder:
            with_them.append(run(Path(folder)))
        again.append(run(None))
    ratio = median_interval([a / b for a, b in zip(with_them, without, strict=True)])
    size = sum(tensor.numel() * tensor.element_size() for tensor in update.tensors().values()) / 1e6
    verdict, apart = "met" if ratio.value <= BAR else "not met", abs(median(without) / median(again) - 1)
    told = f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
    lines = [
        f"{STEPS} steps, a checkpoint of {size:.0f} MB every {EVERY}; medians of {ROUNDS} rounds in turn.",
        "",
        "| without, s | with, s | ratio | bar | verdict | A-A |",
        "|---|---|---|---|---|---|",
        f"| {median(without):.2f} | {median(with_them):.2f} | {told} | {BAR} | {verdict} | {apart:.1%} |",
    ]
    keep("checkpoints", "Checkpoints while training goes on", lines)


if __name__ == "__main__":
    main()
