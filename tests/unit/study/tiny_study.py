"""Outcomes made by hand on a genuine small task: scores are chosen item by item, so that verdicts can be foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossover.measure.statistics import Interval
from crossover.models.settings import ModelSettings
from crossover.study.contest import Contest
from crossover.study.outcome import Attempt, Outcome
from crossover.tasks.base import Baseline, Sums
from crossover.tasks.objectives import classification_items
from crossover.train.record import RunRecord
from unit.train.tiny_task import LABELS, TinyTask, tiny_model

TASK = TinyTask()


def items(share: float, seed: int = 0) -> Sums:
    """The test items of a predictor that is right on `share` of them."""
    targets = np.asarray(TASK.splits["test"].targets)
    wrong = np.random.default_rng(seed).permutation(len(targets))[: round((1 - share) * len(targets))]
    predictions = targets.copy()
    predictions[wrong] = 1 - predictions[wrong]
    losses, lengths = np.full(len(targets), 0.5), TASK.splits["test"].lengths_N
    return classification_items(targets, predictions, len(LABELS), losses=losses, lengths=lengths)


def record(model: str, seed: int, validation: float, score: float, **changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "task": TASK.spec.name,
        "model": model,
        "family": "recurrent",
        "mixer": "lstm",
        "parameters": 1000,
        "parameters_without_embedding": 800,
        "seed": seed,
        "metric": "accuracy",
        "higher_is_better": True,
        "score": Interval(score, score - 0.05, score + 0.05),
        "validation": validation,
        "steps": 40,
        "tokens": 4000,
        "epochs": 2.0,
        "train_seconds": 1.5,
        "data_seconds": 0.1,
        "validation_seconds": 0.2,
        "test_seconds": 0.1,
        "tokens_per_second": Interval(4000, 3900, 4100),
        "step_seconds": Interval(0.01, 0.009, 0.011),
        "learning_rate": 3e-3,
        "dropout": 0.1,
        "width": 16,
        "layers": 1,
        "batch": 16,
        "budget": "40steps",
        "flops_forward": 1e6,
        "flops_backward": 2e6,
        "state_bytes": None,
        "peak_bytes": None,
        "precision": "fp32",
        "stopped": "budget",
        "best_step": 36,
        "summary": {"accuracy": score, "loss": 0.5},
        "details": {"labels": list(LABELS)},
        "samples": [{"input": "1 2", "target": "absent", "prediction": "absent"}],
    }
    return RunRecord(**values | changes)


def attempts(model: str, shares: Sequence[float | None], validation: float = 0.9) -> list[Attempt]:
    """One run per share of items that are right; None is a run that failed."""
    made = []
    for seed, share in enumerate(shares):
        folder = Path("study") / "runs" / "tiny_sign" / model / f"seed{seed}"
        if share is None:
            made.append(Attempt(seed=seed, folder=folder, error="loss became nan at step 3"))
        else:
            run = record(model, seed, validation + 0.01 * seed, share)
            made.append(Attempt(seed=seed, folder=folder, record=run, items=items(share, seed)))
    return made


def baseline(name: str, share: float, kind: Any = "strong", seed: int = 99) -> Baseline:
    return Baseline(name=name, kind=kind, score=share, seconds=0.5, parameters=7, items=items(share, seed))


def outcome(runs: dict[str, Sequence[float | None]], baselines: dict[str, float] | None = None) -> Outcome:
    """The outcome of models with these shares of right items, seed by seed, beside baselines."""
    models: tuple[ModelSettings, ...] = tuple(tiny_model(name) for name in runs)
    named = {settings.name: shares for settings, shares in zip(models, runs.values(), strict=True)}
    return Outcome(
        contest=Contest(TASK, models),
        attempts={name: attempts(name, shares) for name, shares in named.items()},
        baselines={name: [baseline(name, share)] for name, share in (baselines or {}).items()},
        baselines_valid=dict(baselines or {}),
    )
