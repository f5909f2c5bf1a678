"""Evaluation: a whole split through a model, once, item by item."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from crossover.errors import DataError
from crossover.inference.decode import Drawer, Sampling, continuation
from crossover.inference.forward import Stream, scored_outputs
from crossover.inference.influence import influences
from crossover.measure.numerics import Numerics
from crossover.models.model import SequenceModel
from crossover.parallel.collectives import Axis
from crossover.parallel.mesh import alone, everyones
from crossover.tasks.base import Split, Sums, Task, WritingTask

_DRAWN = 2
"""Samples of which is shown what they rest on."""

_BATCH_FACTOR = 2
"""Evaluation keeps no activations, so its batches are this much larger than training's."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model on one split: scores, per-item statistics in the split's order, some rows for people."""

    scores: dict[str, float]
    items: Sums
    samples: list[dict[str, Any]]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Scores and seconds; items go to a file of their own."""
        return {"scores": self.scores, "seconds": self.seconds}


def evaluate(
    model: nn.Module,
    task: Task,
    split: Split,
    *,
    numerics: Numerics,
    batch_rows: int | None = None,
    samples: int = 5,
    carry: bool = False,
    ranks: Axis | None = None,
) -> Evaluation:
    """Score `model` on every row of `split`, in batches of twice `batch_rows` (None: the task's own).

    With `carry` the model's state goes on from batch to batch where these continue each other. The `ranks` share the
    rows, each with the whole model, and all of them return the scores of all rows; the first alone draws samples.
    Raises DataError when the split is empty. Leaves the model in the mode (training or not) it came in.
    """
    ranks = ranks or alone().world
    samples = samples if ranks.rank == 0 else 0
    was_training, started = model.training, time.perf_counter()
    model.eval()
    collected: dict[str, list[np.ndarray]] = defaultdict(list)
    rows: list[np.ndarray] = []
    shown: list[dict[str, Any]] = []
    size = _BATCH_FACTOR * (batch_rows or task.spec.batch_rows)
    stream = Stream(carry=carry)
    try:
        with torch.inference_mode():
            for given in task.batches(split, seed=0, epoch=0, batch=size, shard=(ranks.rank, ranks.size)):
                if given.size == 0:
                    continue
                outputs, batch = scored_outputs(model, given, numerics, task, stream)
                for name, values in task.metrics(outputs, batch).items():
                    collected[name].append(values)
                rows.append(given.rows_B.numpy())
                if len(shown) < samples:
                    shown += task.samples(outputs, batch, samples - len(shown))
            if samples and hasattr(task, "passages"):
                shown = _passages(model, cast(WritingTask, task), split, numerics)
        drawn = influences(cast(SequenceModel, model), task, split, numerics, among=len(shown), limit=_DRAWN)
        for row, influence in drawn.items():
            shown[row] = {**shown[row], "influence": influence}
    finally:
        model.train(was_training)
    own = {name: np.concatenate(values) for name, values in collected.items()}
    found = [part for part in everyones((np.concatenate(rows), own) if rows else None, ranks) if part is not None]
    if not found:
        raise DataError(f"the {split} split of {task.spec.name} is empty: give more rows or another split")
    order = np.argsort(np.concatenate([places for places, _ in found]), kind="stable")
    items = {name: np.concatenate([values[name] for _, values in found])[order] for name in found[0][1]}
    scores = task.summarise({name: values.sum(0) for name, values in items.items()})
    return Evaluation(scores=scores, items=items, samples=shown, seconds=time.perf_counter() - started)


_PASSAGES = Sampling(temperature=0.8, seed=0)
"""How passages are drawn, the same for every model."""


def _passages(model: nn.Module, task: WritingTask, split: Split, numerics: Numerics) -> list[dict[str, str]]:
    def write(ids: Sequence[int], tokens: int) -> list[int]:
        return list(continuation(cast(SequenceModel, model), ids, tokens, numerics, Drawer(_PASSAGES, 1)))

    drawn = f"temperature {_PASSAGES.temperature:g}"
    return [{**passage, "decoding": drawn} for passage in task.passages(split, write)]
