"""Verdicts: every pair of models, and every model against every baseline, by the paired bootstrap, Holm-corrected.

The metrics that decide their tasks are corrected together; further metrics, which decide nothing, by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from crossover.errors import MeasurementError
from crossover.measure.statistics import Bootstrap, Decision, absolute_margin, bootstrap, decide
from crossover.study.outcome import RESAMPLES, SHARES, Outcome, by_model
from crossover.study.request import LOW_POWER_SEEDS


@dataclass(frozen=True)
class _Pair:
    outcome: Outcome
    a: str
    b: str
    metric: str
    comparison: Bootstrap
    margin: float


def verdicts(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The verdicts of a whole study; see docs/study-format.md."""
    return [verdict for _outcome, verdict in verdicts_by_outcome(outcomes)]


def verdicts_by_outcome(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, dict[str, Any]]]:
    """The same, each with the outcome that it belongs to; the outcomes may be of several studies of one question."""
    deciding = [pair for outcome in outcomes for pair in _pairs(outcome, outcome.contest.spec.metric)]
    further = [
        pair
        for outcome in outcomes
        for metric in outcome.contest.spec.further_metrics
        for pair in _pairs(outcome, metric)
    ]
    return _decided(deciding) + _decided(further)


def _decided(pairs: Sequence[_Pair]) -> list[tuple[Outcome, dict[str, Any]]]:
    decisions = decide(
        [pair.comparison for pair in pairs],
        [pair.margin for pair in pairs],
        [pair.outcome.contest.spec.higher_is_better_in(pair.metric) for pair in pairs],
    )
    return [(pair.outcome, _told(pair, decision)) for pair, decision in zip(pairs, decisions, strict=True)]


def _told(pair: _Pair, decision: Decision) -> dict[str, Any]:
    return {
        "task": pair.outcome.contest.spec.name,
        "a": pair.a,
        "b": pair.b,
        "metric": pair.metric,
        **_possible(decision, pair.metric).to_json(),
        "seeds_needed": _seeds(decision.seeds_needed, pair.outcome.folds),
        "margin": pair.margin,
        "low_power": pair.comparison.seeds <= LOW_POWER_SEEDS,
    }


def _seeds(runs: int | None, folds: int) -> int | None:
    """Seeds that make so many runs, each being trained at every fold."""
    return None if runs is None else -(-runs // folds)


def _possible(decision: Decision, metric: str) -> Decision:
    """`decision` with the intervals of a difference of shares cut at ±1."""
    if metric not in SHARES:
        return decision
    return replace(
        decision, difference=decision.difference.cut(-1.0, 1.0), corrected=decision.corrected.cut(-1.0, 1.0)
    )


def _pairs(outcome: Outcome, metric: str) -> list[_Pair]:
    models = list(by_model(outcome))
    against = [(model, baseline) for model in models for baseline in outcome.baselines if outcome.items(baseline)]
    pairs = []
    for a, b in [*combinations(models, 2), *against]:
        comparison = _compare(outcome, a, b, metric)
        if comparison is not None:
            spec = outcome.contest.spec
            margin = absolute_margin(spec.margin, spec.margin_kind, *comparison.scores)
            pairs.append(_Pair(outcome, a, b, metric, comparison, margin))
    return pairs


def _compare(outcome: Outcome, a: str, b: str, metric: str) -> Bootstrap | None:
    """The bootstrap of a - b over the seeds that both finished; None where they cannot be paired."""
    items_a, items_b, splits = _paired_items(outcome, a, b)
    if not items_a or not items_b:
        return None
    spec = outcome.contest.spec
    try:
        return bootstrap(
            items_a,
            items_b,
            outcome.contest.task.summarise,
            metric,
            block=spec.item_block,
            resamples=RESAMPLES,
            splits=splits,
        )
    except MeasurementError:
        return None


def _paired_items(outcome: Outcome, a: str, b: str) -> tuple[list[Any], list[Any], list[int] | None]:
    """Items of both on the splits that both were scored on, and which splits these are.

    With several splits only the same seeds can be paired, a baseline's split being that of the seed; with one split
    for all (None) a baseline is a single run.
    """
    items_a, items_b = outcome.items(a), outcome.items(b)
    if len({*outcome.splits(a), *outcome.splits(b)}) == 1:
        return items_a, items_b, None
    of_a, of_b = _by_seed(outcome, a), _by_seed(outcome, b)
    seeds = sorted(of_a.keys() & of_b.keys())
    return [of_a[seed] for seed in seeds], [of_b[seed] for seed in seeds], [outcome.split_of(seed) for seed in seeds]


def _by_seed(outcome: Outcome, name: str) -> dict[int, Any]:
    if name not in outcome.baselines:
        return {attempt.seed: attempt.items for attempt in outcome.done(name)}
    items = dict(zip(outcome.splits(name), outcome.items(name), strict=True))
    seeds = {attempt.seed for model in outcome.attempts for attempt in outcome.done(model)}
    return {seed: items[outcome.split_of(seed)] for seed in seeds if outcome.split_of(seed) in items}
