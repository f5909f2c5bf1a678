"""A genuine small language model task: the letters a, b, c in turn, as characters."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from crossover.data.text import train_vocabulary
from crossover.models.ports import PerStep, Tokens
from crossover.tasks.base import Baseline, Batch, Split, TaskSpec
from crossover.tasks.objectives import TokenPrediction
from crossover.tasks.rows import Rows, RowTask


class TinyLanguage(RowTask):
    """Rows of 12 letters that go on abcabc… from any of the three; each step predicts the next letter."""

    def __init__(self) -> None:
        self.vocabulary = train_vocabulary("characters", ["abc"], size=10)
        self.splits: dict[Split, Rows] = {split: self._rows() for split in ("train", "valid", "test")}
        self.objective = TokenPrediction()
        self.spec = TaskSpec(
            name="tiny/language",
            family="tiny",
            description="abcabc",
            inputs=Tokens(vocabulary=self.vocabulary.size),
            outputs=PerStep(size=self.vocabulary.size),
            objective="language-modeling",
            metric="loss",
            higher_is_better=False,
            causal=True,
            margin=0.02,
            margin_kind="relative",
            budget="60steps",
            batch_rows=8,
            max_length=12,
        )

    def _rows(self) -> Rows:
        texts = [("abc" * 5)[start : start + 13] for start in (0, 1, 2) * 4]
        ids = [np.array(row) for row in self.vocabulary.encode(texts)]
        return Rows(inputs=[row[:-1] for row in ids], targets=[row[1:] for row in ids])

    def baselines(self, split: Split) -> list[Baseline]:
        """None: the tests compare with nothing."""
        return []

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """What was given, what follows, what was predicted."""
        decode = self.vocabulary.decode
        return [
            {
                "input": decode(batch.inputs[i].tolist()),
                "target": decode(batch.targets[i].tolist()),
                "prediction": decode(outputs[i].argmax(-1).tolist()),
            }
            for i in range(min(limit, batch.size))
        ]

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The likeliest letters."""
        return [{"text": self.vocabulary.decode(row)} for row in outputs.argmax(-1).tolist()]

    def artifacts(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": self.vocabulary.to_json()}
