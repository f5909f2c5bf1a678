"""Time to one accuracy of the sentiment task on one rank and on two, each with one thread.

    python benchmarks/sentiment_ranks.py

`crossover train sentiment/headlines` under `single` and `data=2`, the same global batch, seed by seed in turn. The
accuracy to be reached is, of each pair of runs, the lower one of their best on validation, so that both reach it;
seconds are those of training, read off the validation curve. Below stands what the planner says of as many steps as
one rank took to it on GPUs that are not here, the global batch being the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from table import keep

from crossover.data.options import DataOptions
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import median_interval
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.planning.machine import load_machine
from crossover.tasks import TASKS
from crossover.train.batch_costs import BatchCosts
from crossover.train.foresight import foresee
from crossover.train.settings import TrainSettings, resolve

SEEDS = range(5)
MODELS = ("lstm", "transformer")
TRAIN = [
    "train",
    "sentiment/headlines",
    "--budget",
    "400steps",
    "--set",
    "train.evaluations=40",
    "--precision",
    "fp32",
]
LAYOUTS = {"single": "1", "data=2": "2"}
"""With the threads of all ranks together."""
GPU, GPUS = "a100-80", (1, 4, 8)


def trained(model: str, layout: str, seed: int, folder: Path) -> dict[str, Any]:
    """The record of a run."""
    tokens = [*TRAIN[:2], model, *TRAIN[2:], "--layout", layout, "--seed", str(seed), "--out", str(folder), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": LAYOUTS[layout]}
    done = subprocess.run(
        [sys.executable, "-m", "crossover", *tokens], capture_output=True, text=True, check=True, env=environment
    )
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def reached(accuracy: float, record: dict[str, Any]) -> dict[str, float]:
    """The first validation that is as accurate, with the seconds of training and the steps until then."""
    found: dict[str, float] = next(point for point in record["curve"] if point["validation"] >= accuracy)
    return found


def foreseen(name: str, steps: float) -> list[str]:
    """Predicted seconds of so many steps on each number of GPUs."""
    task, model = TASKS.get("sentiment/headlines")(DataOptions()), parse_model(name)
    settings = resolve(TrainSettings(), task.spec, model)
    told = []
    for devices in GPUS:
        costs = BatchCosts(task.spec, model, element_bytes=4)
        for batch in task.batches("train", seed=0, epoch=0, batch=settings.batch // devices):
            costs.of(batch)
        layout, machine = Layout(data=devices), load_machine(GPU)
        found = foresee(task.spec, model, settings, Numerics(), layout, costs.shapes, machine=machine)
        if found is None:
            raise SystemExit(f"{GPU} has no rate of fp32")
        seconds = found["step_seconds"]
        low, value, high = (steps * seconds[end] for end in ("low", "value", "high"))
        told.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
    return told


def main() -> None:
    """Train, print and keep the table."""
    lines = [
        f"{' '.join(['crossover', *TRAIN])}, {len(SEEDS)} seeds; medians with the range.",
        "",
        "| model | accuracy | one rank, s | two ranks, s | times as soon | a step as fast | test: one, two |",
        "|---|---|---|---|---|---|---|",
    ]
    expected = [
        "",
        f"Predicted on {load_machine(GPU).title}, fp32, with the 80 % interval of the step:",
        "",
        "| model | steps to the accuracy | "
        + " | ".join(f"{count} GPU{'s'[: count > 1]}, s" for count in GPUS)
        + " |",
        "|---|---|" + "---|" * len(GPUS),
    ]
    for model in MODELS:
        pairs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                pairs.append([trained(model, layout, seed, Path(folder) / layout) for layout in LAYOUTS])
        targets = [min(run["validation"] for run in pair) for pair in pairs]
        one, two = (
            [reached(target, pair[place])["seconds"] for target, pair in zip(targets, pairs, strict=True)]
            for place in (0, 1)
        )
        taken = median(reached(target, pair[0])["step"] for target, pair in zip(targets, pairs, strict=True))
        expected.append("| " + " | ".join([model, f"{taken:.0f}", *foreseen(model, taken)]) + " |")
        steps = [pair[0]["step_seconds"]["value"] / pair[1]["step_seconds"]["value"] for pair in pairs]
        scores = [sum(pair[place]["score"]["value"] for pair in pairs) / len(pairs) for place in (0, 1)]
        cells = [
            model, _told(targets, 3), _told(one, 1), _told(two, 1),
            _told([a / b for a, b in zip(one, two, strict=True)], 2), _told(steps, 2),
            f"{scores[0]:.3f}, {scores[1]:.3f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
        sys.stderr.write(lines[-1] + "\n")
    keep("sentiment_ranks", "Time to one accuracy on one rank and on two", lines + expected)


def _told(values: list[float], digits: int) -> str:
    found = median_interval(values)
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


if __name__ == "__main__":
    main()
