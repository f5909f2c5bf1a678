"""What outcomes say beyond one score each: buckets of test rows, and weighted sums of the scores in several cases.

A gain is the score in one case less that in another; a trend is how much the score changes from one bucket to the
next. Of two models the difference of such a contrast is bootstrapped as that of scores is: over test items and seeds,
the same ones for both models and in all cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np

from crossover.errors import MeasurementError
from crossover.measure.statistics import GROUP, Bootstrap, Decision, absolute_margin, bootstrap, decide
from crossover.study.outcome import RESAMPLES, Outcome, by_model
from crossover.tasks.base import Sums

_FEWEST = 20
"""Test rows that a bucket needs to be scored."""

Part = tuple[float, Outcome]
"""A weight, and the outcome whose scores get it."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the scores of `a` in `parts`, less that of `b`, where there is one.

    Within `margin` of 0 it does not matter.
    """

    name: str
    parts: Sequence[Part]
    a: str
    b: str | None = None
    margin: float = 0.0


def by_bucket(outcome: Outcome, statistic: str, edges: Sequence[float]) -> dict[tuple[float, float], Outcome]:
    """The outcome on the test rows whose `statistic` lies above one edge and at most at the next, by these edges.

    The rows of other buckets count as nothing; buckets of few rows are left out. KeyError where rows have no such
    statistic.
    """
    runs = [attempt.items for model in outcome.attempts for attempt in outcome.done(model)]
    buckets: dict[tuple[float, float], Outcome] = {}
    for low, high in zip((-inf, *edges), (*edges, inf), strict=True):
        inside = partial(_inside, statistic=statistic, low=low, high=high)
        if min((int(inside(items).sum()) for items in runs), default=0) >= _FEWEST:
            buckets[low, high] = _masked(outcome, inside)
    return buckets


def trend(buckets: Sequence[Outcome]) -> list[Part]:
    """The parts whose weighted sum is how much better the score gets from bucket to bucket, by least squares."""
    centred = _sign(buckets[0]) * (np.arange(len(buckets)) - (len(buckets) - 1) / 2)
    return list(zip((centred / (centred @ centred)).tolist(), buckets, strict=True))


def gain(case: Outcome, over: Outcome) -> list[Part]:
    """The parts whose weighted sum is how much better the score is in one case than in the other."""
    return [(_sign(case), case), (-_sign(over), over)]


def alone(outcome: Outcome) -> list[Part]:
    """The one part of which two models are compared, more being better."""
    return [(_sign(outcome), outcome)]


def margin_of(outcome: Outcome) -> float:
    """The task's margin, a relative one taken of the smallest score."""
    spec = outcome.contest.spec
    smallest = min(abs(score.value) for model in by_model(outcome) if (score := outcome.score(model)) is not None)
    return absolute_margin(spec.margin, spec.margin_kind, smallest, smallest)


def decided(contrasts: Sequence[Contrast]) -> list[tuple[Contrast, Decision]]:
    """Those contrasts that can be computed: whether each is above 0 or below, corrected by Holm over all of them."""
    found = [(contrast, draws) for contrast in contrasts if (draws := _bootstrap(contrast)) is not None]
    decisions = decide([draws for _contrast, draws in found], [0.0] * len(found), [True] * len(found))
    return [(contrast, decision) for (contrast, _draws), decision in zip(found, decisions, strict=True)]


def _sign(outcome: Outcome) -> float:
    """1 where more is better, -1 where less is."""
    return 1.0 if outcome.contest.spec.higher_is_better else -1.0


def _bootstrap(contrast: Contrast) -> Bootstrap | None:
    """Over the seeds that all models of the contrast finished in all parts; None where they cannot be paired."""
    names = [contrast.a, *([contrast.b] if contrast.b is not None else [])]
    runs = [[_by_seed(outcome, name) for _weight, outcome in contrast.parts] for name in names]
    seeds = sorted(set.intersection(*(set(found) for of_model in runs for found in of_model)))
    first = contrast.parts[0][1]
    splits = [first.split_of(seed) for seed in seeds]
    items = [[_joined([found[seed] for found in of_model]) for seed in seeds] for of_model in runs]
    try:
        return bootstrap(
            items[0],
            items[1] if contrast.b is not None else None,
            partial(_summarise, parts=contrast.parts),
            "contrast",
            block=first.contest.spec.item_block,
            resamples=RESAMPLES,
            splits=splits if len(set(splits)) > 1 else None,
        )
    except MeasurementError:
        return None


def _by_seed(outcome: Outcome, model: str) -> dict[int, Sums]:
    return {attempt.seed: attempt.items for attempt in outcome.done(model) if attempt.items}


def _joined(parts: Sequence[Sums]) -> Sums:
    """The statistics of the same test rows in several parts, side by side."""
    joined = {f"{number}/{name}": values for number, part in enumerate(parts) for name, values in part.items()}
    groups = {name: values for name, values in joined.items() if name.endswith(f"/{GROUP}")}
    kept = {name: values for name, values in joined.items() if name not in groups}
    return {**kept, **({GROUP: next(iter(groups.values()))} if groups else {})}


def _summarise(sums: Sums, *, parts: Sequence[Part]) -> dict[str, float]:
    total = 0.0
    for number, (weight, outcome) in enumerate(parts):
        prefix = f"{number}/"
        own = {name.removeprefix(prefix): values for name, values in sums.items() if name.startswith(prefix)}
        total += weight * outcome.contest.task.summarise(own)[outcome.contest.spec.metric]
    return {"contrast": total}


def _inside(items: Mapping[str, Any], *, statistic: str, low: float, high: float) -> np.ndarray:
    return np.asarray((items[statistic] > low) & (items[statistic] <= high))


def _masked(outcome: Outcome, inside: Callable[[Mapping[str, Any]], np.ndarray]) -> Outcome:
    """The outcome with nothing but zeros as statistics of the rows outside."""

    def masked(items: Sums) -> Sums:
        kept = inside(items)
        return {
            name: values if name == GROUP else np.where(kept.reshape(-1, *[1] * (values.ndim - 1)), values, 0)
            for name, values in items.items()
        }

    return replace(
        outcome,
        attempts={
            model: [replace(attempt, items=masked(attempt.items) if attempt.items else {}) for attempt in attempts]
            for model, attempts in outcome.attempts.items()
        },
        baselines={
            name: [replace(b, items=masked(b.items) if b.items is not None else None) for b in found]
            for name, found in outcome.baselines.items()
        },
    )
