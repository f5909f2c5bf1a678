"""What the state carried from block to block is worth: perplexity with memory on against off, all else equal.

    CROSSOVER_DATA=… python benchmarks/memory_on_off.py

Every model reads tinyshakespeare as the same 16 streams of blocks of 32 characters, from the same initial weights,
for the same steps; what differs is whether its state goes on from block to block (on) or every block starts from
nothing (off). Both are scored on the validation text with the memory on and with it off. Keeps its table in
benchmarks/results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from table import keep

from crossover.data.options import DataOptions
from crossover.measure.numerics import Numerics
from crossover.models.settings import ModelSettings
from crossover.study.contest import enter
from crossover.tasks import TASKS
from crossover.tasks.base import Task
from crossover.train.evaluate import evaluate
from crossover.train.loop import train
from crossover.train.settings import TrainSettings

TASK, BLOCK, STREAMS, STEPS = "language-modeling/tinyshakespeare", 32, 16, 300
MODELS = (
    "transformer-xl[layers=2,width=64,memory=64]",
    "lstm[layers=2]",
    "mingru[layers=2]",
)
"""The first one's size is what the others' widths are matched to."""


class Forgetting:
    """The same batches in the same order, of which none says that it continues another."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.spec = replace(task.spec, carry="none")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)


def rows(task: Task, model: ModelSettings, numerics: Numerics) -> Iterator[str]:
    """A line for training with memory on and one for off."""
    for trained, subject in (("on", task), ("off", Forgetting(task))):
        settings = TrainSettings(budget=f"{STEPS}steps", batch=STREAMS, evaluations=4)
        result = train(subject, model, settings, numerics=numerics, test=False)  # type: ignore[arg-type]
        told = []
        for carry in (True, False):
            found = evaluate(
                result.model, task, "valid", numerics=numerics, batch_rows=STREAMS, samples=0, carry=carry
            )
            parts = task.details(found.items)["by_position"]
            told.append(f"{found.scores['perplexity']:.3f} ({math.exp(parts[0]['loss']):.1f})")
        name = model.name.partition("[")[0]
        yield f"| {name} | {result.record.parameters_without_embedding:,} | {trained} | {told[0]} | {told[1]} |"
        print(name, trained, *told, flush=True)


def main() -> None:
    """Train, score and keep the table."""
    numerics = Numerics.default()
    task = TASKS.get(TASK)(DataOptions(settings={"block": BLOCK, "carry": True}))
    contest = enter(task, MODELS, "params", lambda model: 0.0)
    lines = [
        f"Perplexity per character on the validation text of tinyshakespeare after {STEPS} steps of {STREAMS} "
        f"streams of {BLOCK} characters (in brackets: of a block's first one). Attention reaches back 64 characters.",
        "",
        "| model | parameters | trained with memory | scored with memory on | scored with memory off |",
        "|---|---|---|---|---|",
    ]
    for model in contest.models:
        lines += rows(task, model, numerics)
    keep("memory_on_off", "The carried state, on and off", lines)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
