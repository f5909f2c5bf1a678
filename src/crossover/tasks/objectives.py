"""Objectives: a loss that is a sum, statistics per item that add up, and scores from the sums.

Shape suffixes: B rows, T steps, C classes or channels, V vocabulary, H horizon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crossover.tasks.base import Batch, Sums

IGNORE = -100
"""Target value of steps that are not scored."""


CLASSIFIED: Mapping[str, Any] = {
    "objective": "classification",
    "metric": "accuracy",
    "higher_is_better": True,
    "margin": 0.015,
    "further_metrics": ("macro_f1",),
}
"""The fields of `TaskSpec` that every task with one class for each row has: 1.5 points still count as equal."""


class Objective(Protocol):
    """What a task optimises and reports; see `crossover.tasks.base.Task` for the meaning of each method."""

    def count(self, batch: Batch) -> int:
        """What the loss sum is divided by."""
        ...

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss, summed."""
        ...

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Statistics per item."""
        ...

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Scores from summed statistics."""
        ...

    def details(self, items: Sums) -> dict[str, Any]:
        """What a report draws beyond scores."""
        ...


class Classification:
    """One of C classes per row: outputs [B, C], targets [B]; scores accuracy and macro-F1."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)

    def count(self, batch: Batch) -> int:
        """Rows."""
        return batch.size

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over rows."""
        return F.cross_entropy(outputs, batch.targets, reduction="sum", label_smoothing=label_smoothing)

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Loss, a one-hot confusion matrix [B, C, C] (true, predicted) and the length of each row."""
        losses_B = F.cross_entropy(outputs, batch.targets, reduction="none")
        return classification_items(
            batch.targets.numpy(force=True),
            outputs.argmax(-1).numpy(force=True),
            len(self.labels),
            losses=losses_B.numpy(force=True),
            lengths=batch.lengths_B.numpy(force=True),
        )

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Accuracy, macro-F1 over the classes that occur in targets or predictions, and mean loss."""
        confusion_CC = np.asarray(sums["confusion"], dtype=np.float64)
        total = max(confusion_CC.sum(), 1e-12)
        _, _, f1_C, present_C = _per_class(confusion_CC)
        macro_f1 = f1_C[present_C].mean() if present_C.any() else 0.0
        return {
            "accuracy": float(np.trace(confusion_CC) / total),
            "macro_f1": float(macro_f1),
            "loss": float(sums["loss"] / max(float(sums["count"]), 1e-12)),
        }

    def details(self, items: Sums) -> dict[str, Any]:
        """Confusion matrix, per-class precision and recall, accuracy by length (quartiles of the test split)."""
        confusion_CC = items["confusion"].sum(0)
        precision_C, recall_C, f1_C, _ = _per_class(confusion_CC)
        correct_N = items["confusion"].diagonal(axis1=1, axis2=2).sum(1)
        return {
            "labels": list(self.labels),
            "confusion": confusion_CC.astype(int).tolist(),
            "per_class": [
                {
                    "label": label,
                    "precision": float(precision_C[c]),
                    "recall": float(recall_C[c]),
                    "f1": float(f1_C[c]),
                    "support": int(confusion_CC[c].sum()),
                }
                for c, label in enumerate(self.labels)
            ],
            "by_length": by_length(items["length"], correct_N),
        }


class TokenPrediction:
    """One of V tokens per step: outputs [B, T, V], targets [B, T] with IGNORE where a step is not scored.

    The loss also takes the outputs [N, V] and targets [N] of scored steps alone.
    """

    def count(self, batch: Batch) -> int:
        """Scored steps."""
        return int((batch.targets != IGNORE).sum())

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy in nats, summed over scored steps."""
        return F.cross_entropy(
            outputs.reshape(-1, outputs.shape[-1]),
            batch.targets.flatten(),
            ignore_index=IGNORE,
            reduction="sum",
            label_smoothing=label_smoothing,
        )

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Loss, scored steps and correct steps of each row."""
        losses_BT = F.cross_entropy(outputs.transpose(1, 2), batch.targets, ignore_index=IGNORE, reduction="none")
        scored_BT = batch.targets != IGNORE
        correct_BT = (outputs.argmax(-1) == batch.targets) & scored_BT
        return {
            "loss": losses_BT.sum(1).numpy(force=True).astype(np.float64),
            "count": scored_BT.sum(1).numpy(force=True).astype(np.float64),
            "correct": correct_BT.sum(1).numpy(force=True).astype(np.float64),
            "length": batch.lengths_B.numpy(force=True).astype(np.float64),
        }

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Accuracy per scored step, mean loss in nats, perplexity."""
        count = max(float(sums["count"]), 1e-12)
        loss = float(sums["loss"]) / count
        return {
            "accuracy": float(sums["correct"]) / count,
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
        }

    def details(self, items: Sums) -> dict[str, Any]:
        """Accuracy by length."""
        return {"by_length": by_length(items["length"], items["correct"], items["count"])}


class SquaredError:
    """Real values per row: outputs [B, H*C] (or [B, H, C]), targets [B, H, C]; scores MSE and MAE.

    Regression is H = C = 1. Targets that are NaN are not scored.
    """

    def count(self, batch: Batch) -> int:
        """Values that are not missing."""
        return int((~batch.targets.isnan()).sum())

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Squared error, summed over values; `label_smoothing` has no meaning here and is ignored."""
        return self._errors(outputs, batch).square().sum()

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Squared and absolute error of each row, and the squared error at each step of the horizon [B, H]."""
        errors_BHC = self._errors(outputs, batch)
        scored_BHC = ~batch.targets.isnan()
        return {
            "loss": errors_BHC.square().sum((1, 2)).numpy(force=True).astype(np.float64),
            "count": scored_BHC.sum((1, 2)).numpy(force=True).astype(np.float64),
            "absolute": errors_BHC.abs().sum((1, 2)).numpy(force=True).astype(np.float64),
            "squared_by_step": errors_BHC.square().sum(2).numpy(force=True).astype(np.float64),
            "count_by_step": scored_BHC.sum(2).numpy(force=True).astype(np.float64),
        }

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Mean squared and mean absolute error."""
        count = max(float(sums["count"]), 1e-12)
        mse = float(sums["loss"]) / count
        return {"mse": mse, "mae": float(sums["absolute"]) / count, "loss": mse}

    def details(self, items: Sums) -> dict[str, Any]:
        """MSE at each step of the horizon."""
        counts_H = np.maximum(items["count_by_step"].sum(0), 1e-12)
        return {"by_step": (items["squared_by_step"].sum(0) / counts_H).tolist()}

    @staticmethod
    def _errors(outputs: Tensor, batch: Batch) -> Tensor:
        errors = outputs.reshape(batch.targets.shape) - batch.targets
        return torch.where(batch.targets.isnan(), torch.zeros_like(errors), errors)


def classification_items(
    targets: np.ndarray,
    predictions: np.ndarray,
    classes: int,
    *,
    losses: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
) -> Sums:
    """The items of `Classification` for any predictor [B]: what a baseline reports beside the models'.

    Predictors without probabilities have a loss of NaN.
    """
    confusion_BCC = np.zeros((len(targets), classes, classes), dtype=np.float32)
    confusion_BCC[np.arange(len(targets)), targets, predictions] = 1.0
    return {
        "loss": np.full(len(targets), np.nan) if losses is None else losses.astype(np.float64),
        "count": np.ones(len(targets)),
        "confusion": confusion_BCC,
        "length": np.zeros(len(targets)) if lengths is None else lengths.astype(np.float64),
    }


def by_length(
    lengths_N: np.ndarray, correct_N: np.ndarray, counts_N: np.ndarray | None = None, buckets: int = 4
) -> list[dict[str, float]]:
    """Share correct in buckets of row length that hold about equally many rows."""
    if len(lengths_N) == 0:
        return []
    counts_N = np.ones(len(lengths_N)) if counts_N is None else counts_N
    edges = np.unique(np.quantile(lengths_N, np.linspace(0, 1, buckets + 1), method="lower"))
    bucket_N = np.clip(np.searchsorted(edges, lengths_N, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for bucket in np.unique(bucket_N):
        inside_N = bucket_N == bucket
        rows.append(
            {
                "from": float(lengths_N[inside_N].min()),
                "to": float(lengths_N[inside_N].max()),
                "count": int(inside_N.sum()),
                "score": float(correct_N[inside_N].sum() / max(counts_N[inside_N].sum(), 1e-12)),
            }
        )
    return rows


def _per_class(confusion_CC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall, F1 and presence of each class."""
    hits_C = np.diag(confusion_CC)
    predicted_C, actual_C = confusion_CC.sum(0), confusion_CC.sum(1)
    precision_C = hits_C / np.maximum(predicted_C, 1e-12)
    recall_C = hits_C / np.maximum(actual_C, 1e-12)
    f1_C = 2 * hits_C / np.maximum(predicted_C + actual_C, 1e-12)
    return precision_C, recall_C, f1_C, (predicted_C + actual_C) > 0
