"""What one training run is told: budget, batch, optimiser, seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one run; None takes the task's own value, or the model preset's for the rate.

    `budget` is a number and a unit (``60s``, ``500steps``, ``2Mtokens``, ``3epochs``, ``1e15flops``). `batch` is rows,
    or tokens with ``batch_by="tokens"`` (rows bucketed by length). `warmup` is a share of the budget; the rate then
    falls as a cosine to `final_rate` times its peak. `patience` stops after that many validations without a better
    score (0: never). `evaluations` is the number of validations over the budget.
    """

    budget: str | None = None
    batch: int | None = None
    batch_by: Literal["rows", "tokens"] = "rows"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float | None = None
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: float = 0.05
    final_rate: float = 0.05
    clip: float = 1.0
    label_smoothing: float = 0.0
    accumulate: int = 1
    patience: int = 0
    evaluations: int = 10
    checkpoint_seconds: float = 30.0
    seed: int = 0
    compile: bool = False
