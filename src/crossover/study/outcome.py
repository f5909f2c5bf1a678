"""What came out on one task: runs by model, baselines, and the figures measured of each model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from crossover.measure.statistics import Interval, score_interval
from crossover.models.settings import ModelSettings
from crossover.study.contest import Contest
from crossover.tasks.base import Baseline, Sums
from crossover.train.record import RunRecord

RESAMPLES = 1000
SHARES = ("accuracy", "macro_f1", "exact_match")
"""Metrics that lie between 0 and 1, whatever few seeds let an interval say."""
_BOUNDS = {**dict.fromkeys(SHARES, (0.0, 1.0)), **dict.fromkeys(("mse", "mae", "pinball"), (0.0, inf))}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One run: done, with its record and test items, or failed, with the reason."""

    seed: int
    folder: Path
    record: RunRecord | None = None
    items: Sums = field(default_factory=dict)
    error: str | None = None


@dataclass
class Outcome:
    """Everything known of one task.

    `split_of` says on which split a run was trained and tested. `baselines` maps a name to its result on each split,
    from `first_split` on (one, or one per seed when the split is drawn anew, or one for each of the `folds` of a
    backtest), and `baselines_valid` to the validation scores. `measured` holds each model's figures that are not the
    run's own: latency, memory, step time in turn.
    """

    contest: Contest
    split_of: Callable[[int], int] = lambda run: 0
    first_split: int = 0
    folds: int = 1
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    baselines: dict[str, list[Baseline]] = field(default_factory=dict)
    baselines_valid: dict[str, float] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    searches: dict[str, dict[str, Any]] = field(default_factory=dict)
    entered: dict[str, ModelSettings] = field(default_factory=dict)

    def done(self, model: str) -> list[Attempt]:
        """The runs of `model` that finished, by seed."""
        return [attempt for attempt in self.attempts.get(model, []) if attempt.record is not None]

    def records(self, model: str) -> list[RunRecord]:
        """Their records."""
        return [attempt.record for attempt in self.done(model) if attempt.record is not None]

    def items(self, name: str) -> list[Sums]:
        """Per-item test statistics of a model (one per seed) or of a baseline (one per split); may be empty."""
        if name in self.baselines:
            return [b.items for b in self.baselines[name] if b.items is not None]
        return [attempt.items for attempt in self.done(name) if attempt.items]

    def score(self, name: str, metric: str | None = None) -> Interval | None:
        """The mean test score with its 95 % interval over items and seeds; None without a finished run.

        `metric` is one of the task's, the one that decides it where none is named.
        """
        items = self.items(name)
        if not items:
            return None
        spec = self.contest.spec
        metric = metric or spec.metric
        interval = score_interval(
            items,
            self.contest.task.summarise,
            metric,
            block=spec.item_block,
            resamples=RESAMPLES,
            splits=self.splits(name),
        )
        return interval.cut(*_BOUNDS[metric]) if metric in _BOUNDS else interval

    def splits(self, name: str) -> list[int]:
        """The split of each of `items`."""
        if name in self.baselines:
            fitted = enumerate(self.baselines[name], start=self.first_split)
            return [split for split, baseline in fitted if baseline.items is not None]
        return [self.split_of(attempt.seed) for attempt in self.done(name) if attempt.items]

    def latest(self, model: str) -> list[Attempt]:
        """The finished runs that were trained last in time: those of the last fold that has any, else all."""
        done = self.done(model)
        last = max((attempt.seed % self.folds for attempt in done), default=0)
        return [attempt for attempt in done if attempt.seed % self.folds == last]

    def validation(self, name: str) -> float | None:
        """The mean best validation score of a model, or a baseline's."""
        if name in self.baselines:
            return self.baselines_valid.get(name)
        records = self.records(name)
        return sum(record.validation for record in records) / len(records) if records else None

    def best_baseline(self) -> str | None:
        """The baseline with the best test score: what the table calls `baseline`."""
        if not self.baselines:
            return None
        sign = 1 if self.contest.spec.higher_is_better else -1
        return max(self.baselines, key=lambda name: sign * mean_score(self.baselines[name]))


def mean_score(results: list[Baseline]) -> float:
    """A baseline's score, over the splits it was fitted on."""
    return sum(result.score for result in results) / len(results)


def by_model(outcome: Outcome) -> Mapping[str, list[RunRecord]]:
    """The records of every model that has one, in the order of the contest."""
    names = [settings.name for settings in outcome.contest.models]
    return {name: outcome.records(name) for name in names if outcome.records(name)}
