"""What answers to questions are scored by: the right class per kind of question, or the right span of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from crossover.tasks.base import Batch, Sums
from crossover.tasks.objectives import IGNORE, by_length


class AnswerClasses:
    """One answer of C per row: outputs [B, C], targets [B] (IGNORE: an answer that train does not have).

    The score is the mean over the K kinds of question of the share answered rightly; ``extra["kind"]`` [B] holds each
    row's kind. An answer that is no class counts as a mistake, and for no loss.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)

    def count(self, batch: Batch) -> int:
        """Rows whose answer is a class."""
        return int((batch.targets != IGNORE).sum())

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over rows."""
        return F.cross_entropy(
            outputs, batch.targets, reduction="sum", label_smoothing=label_smoothing, ignore_index=IGNORE
        )

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Loss, and by kind [B, K] what was asked and what was answered rightly."""
        losses_B = F.cross_entropy(outputs, batch.targets, reduction="none", ignore_index=IGNORE)
        return self.items(
            outputs.argmax(-1).numpy(force=True),
            batch.targets.numpy(force=True),
            batch.extra["kind"].numpy(force=True),
            batch.lengths_B.numpy(force=True),
            losses_B.numpy(force=True),
        )

    def items(
        self,
        predictions_B: np.ndarray,
        targets_B: np.ndarray,
        kinds_B: np.ndarray,
        lengths_B: np.ndarray,
        losses_B: np.ndarray | None = None,
    ) -> Sums:
        """The statistics of any predictor; one without probabilities has a loss of NaN."""
        asked_BK = np.zeros((len(targets_B), len(self.kinds)))
        asked_BK[np.arange(len(targets_B)), kinds_B] = 1.0
        return {
            "loss": np.full(len(targets_B), np.nan) if losses_B is None else losses_B.astype(np.float64),
            "count": (targets_B != IGNORE).astype(np.float64),
            "asked": asked_BK,
            "right": asked_BK * (predictions_B == targets_B)[:, None],
            "length": lengths_B.astype(np.float64),
        }

    def summarise(self, sums: Sums) -> dict[str, float]:
        """The mean over the kinds that were asked, each kind's own accuracy, and the mean loss."""
        asked_K, right_K = np.asarray(sums["asked"]), np.asarray(sums["right"])
        shares = {
            kind: float(right / asked)
            for kind, right, asked in zip(self.kinds, right_K, asked_K, strict=True)
            if asked > 0
        }
        return {
            "accuracy": float(np.mean(list(shares.values()))) if shares else 0.0,
            "loss": float(sums["loss"]) / max(float(sums["count"]), 1e-12),
            **{f"accuracy@{kind}": share for kind, share in shares.items()},
        }

    def details(self, items: Sums) -> dict[str, Any]:
        """Accuracy by kind of question and by length."""
        asked_K, right_K = items["asked"].sum(0), items["right"].sum(0)
        return {
            "by_kind": [
                {"kind": kind, "count": int(asked), "score": float(right / asked)}
                for kind, asked, right in zip(self.kinds, asked_K, right_K, strict=True)
                if asked > 0
            ],
            "by_length": by_length(items["length"], items["right"].sum(1)),
        }
