"""A genuine small task for tests of training: does the sign 5 occur in a row of 3 to 12 signs?"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from crossover.models.ports import PerRow, Tokens
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.tasks.base import Baseline, Batch, Split, TaskSpec
from crossover.tasks.objectives import Classification, classification_items
from crossover.tasks.rows import Rows, RowTask

LABELS = ("absent", "present")
SIGNS = 7


class TinyTask(RowTask):
    """Rows of signs 1 to 6; `present` if a 5 is among them, which is so in about half of the rows."""

    def __init__(self, *, train: int = 96, seed: int = 0, **spec: Any) -> None:
        rng = np.random.default_rng(seed)
        self.splits: dict[Split, Rows] = {
            "train": _rows(rng, train),
            "valid": _rows(rng, 32),
            "test": _rows(rng, 40),
        }
        self.objective = Classification(LABELS)
        settings: dict[str, Any] = {
            "name": "tiny/sign",
            "family": "tiny",
            "description": "does the sign 5 occur",
            "inputs": Tokens(vocabulary=SIGNS),
            "outputs": PerRow(size=len(LABELS)),
            "objective": "classification",
            "metric": "accuracy",
            "higher_is_better": True,
            "causal": False,
            "margin": 0.015,
            "budget": "40steps",
            "batch_rows": 16,
            "max_length": 12,
            "labels": LABELS,
        }
        self.spec = TaskSpec(**{**settings, **spec})

    def baselines(self, split: Split) -> list[Baseline]:
        """The more frequent class."""
        targets = np.asarray(self.splits[split].targets)
        majority = int(np.bincount(np.asarray(self.splits["train"].targets)).argmax())
        items = classification_items(targets, np.full(len(targets), majority), len(LABELS))
        return [self.baseline("majority", "trivial", items, seconds=0.0)]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """Signs, true and predicted label."""
        predicted = outputs.argmax(-1).tolist()
        return [
            {
                "input": " ".join(map(str, batch.inputs[i, : batch.lengths_B[i]].tolist())),
                "target": LABELS[int(batch.targets[i])],
                "prediction": LABELS[predicted[i]],
            }
            for i in range(min(limit, batch.size))
        ]

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The label of each row."""
        return [{"label": LABELS[index]} for index in outputs.argmax(-1).tolist()]

    def artifacts(self) -> dict[str, Any]:
        """The labels."""
        return {"labels": list(LABELS)}


def tiny_model(name: str = "lstm", *, dropout: float = 0.1, width: int = 16) -> ModelSettings:
    """A preset at a size that trains in a second."""
    return parse_model(f"{name}[width={width},layers=1,dropout={dropout},max_length=12]")


def _rows(rng: np.random.Generator, count: int) -> Rows:
    inputs = [rng.integers(1, SIGNS, size=rng.integers(3, 13)) for _ in range(count)]
    for index, row in enumerate(inputs):
        if index % 2:
            row[row == 5] = 4
    targets = np.array([int((row == 5).any()) for row in inputs], dtype=np.int64)
    return Rows(inputs=inputs, targets=targets)
