"""From samples to statements: intervals, exponents, the paired bootstrap over items and seeds, verdicts, Holm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil, comb, isfinite, prod
from typing import Any, Literal

import numpy as np

from crossover.errors import MeasurementError

Sums = dict[str, np.ndarray]
Summarise = Callable[[Sums], dict[str, float]]
Verdict = Literal["a", "b", "equal", "undecided"]

GROUP = "group"
"""The statistic that tells which group an item belongs to, and does not add up."""

_WEIGHTS_AT_ONCE = 2_000_000
"""Bootstrap weights held in memory at once; more draws are taken in several rounds."""


@dataclass(frozen=True)
class Interval:
    """A value with the interval that holds it (95 % unless the field that carries it says otherwise)."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """The JSON form, ``{"value", "low", "high"}``."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, value: Mapping[str, float]) -> Interval:
        """The interval that `to_json` wrote."""
        return cls(float(value["value"]), float(value["low"]), float(value["high"]))

    def excludes(self, point: float) -> bool:
        """Whether `point` lies outside."""
        return not self.low <= point <= self.high

    def inside(self, margin: float) -> bool:
        """Whether the whole interval lies within ±margin."""
        return -margin <= self.low and self.high <= margin

    def cut(self, low: float, high: float) -> Interval:
        """The part between the bounds of what is measured, whatever few samples let an interval say."""
        return Interval(self.value, max(self.low, low), min(self.high, high))


def percentiles(samples: Sequence[float], levels: Sequence[float]) -> list[float]:
    """Percentiles (levels in per cent) by linear interpolation; no sample at all is a MeasurementError."""
    if len(samples) == 0:
        raise MeasurementError("no samples to take percentiles of: measure at least once")
    return [float(value) for value in np.percentile(np.asarray(samples, dtype=float), list(levels))]


def median_interval(samples: Sequence[float], level: float = 0.95) -> Interval:
    """The median with its distribution-free interval, from order statistics.

    The narrowest symmetric pair of order statistics whose binomial coverage reaches `level`; with fewer than six
    samples no pair reaches 95 % and the interval is the whole range.
    """
    if len(samples) == 0:
        raise MeasurementError("no samples to take a median of: measure at least once")
    ordered = np.sort(np.asarray(samples, dtype=float))
    n, rank, tail = len(ordered), 0, 0.0
    while rank < n // 2:
        tail += comb(n, rank) / 2**n
        if 2 * tail > 1 - level:
            break
        rank += 1
    index = max(rank - 1, 0)
    return Interval(float(np.median(ordered)), float(ordered[index]), float(ordered[n - 1 - index]))


def fit_exponent(x: Sequence[float], y: Sequence[float], level: float = 0.95) -> Interval:
    """The exponent p of y = c·x^p: least squares of log y on log x over all given points, with its t interval.

    No floor is taken out: where a fixed overhead flattens the lower end, the exponent is smaller and its interval
    wider, and the caller chooses the points. Fewer than three distinct x, or a value that is not positive, is a
    MeasurementError.
    """
    from scipy.special import stdtrit

    if len(set(x)) < 3 or len(x) != len(y) or not all(isfinite(v) and v > 0 for v in (*x, *y)):
        raise MeasurementError(f"cannot fit an exponent to {len(x)} points: give three or more, all positive")
    log_x, log_y = (np.log(np.asarray(values, dtype=float)) for values in (x, y))
    centred = log_x - log_x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ log_y) / spread
    residuals = log_y - log_y.mean() - slope * centred
    degrees = len(log_x) - 2
    error = (float(residuals @ residuals) / degrees / spread) ** 0.5
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    return Interval(slope, slope - half, slope + half)


@dataclass(frozen=True)
class Bootstrap:
    """Bootstrap draws of a score or of a difference of scores, with what is needed to read intervals from them.

    `seed_variances` holds (variance of the mean, degrees of freedom) of each set of seeds. Few seeds know their own
    spread badly, so draws are stretched from normal to Student's t with Satterthwaite's degrees of freedom: with
    seeds dominating and five of them that is t with 4 degrees, with items dominating it is the plain percentile
    interval. `scores` are the mean score, or the two that are compared.
    """

    scores: tuple[float, ...]
    draws: np.ndarray
    seeds: int
    seed_variances: tuple[tuple[float, int], ...] = ()

    @property
    def value(self) -> float:
        """The score, or the first less the second."""
        return self.scores[0] - sum(self.scores[1:])

    @cached_property
    def variance(self) -> float:
        """Variance of the draws."""
        return float(np.var(self.draws))

    @cached_property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom; infinite when no seed varies."""
        seed_part = sum(variance**2 / degrees for variance, degrees in self.seed_variances)
        total = max(self.variance, sum(variance for variance, _ in self.seed_variances))
        return total**2 / seed_part if seed_part > 0 else float("inf")

    def interval(self, level: float = 0.95) -> Interval:
        """The interval at `level`."""
        from scipy.special import ndtri, stdtrit

        upper = (1 + level) / 2
        stretch = float(stdtrit(self.degrees, upper) / ndtri(upper)) if isfinite(self.degrees) else 1.0
        low, high = np.quantile(self.draws, [1 - upper, upper])
        return Interval(
            self.value, self.value + stretch * (low - self.value), self.value + stretch * (high - self.value)
        )

    @cached_property
    def p_value(self) -> float:
        """The smallest 1 - level at which the interval excludes 0; never below two over the number of draws."""
        low, high = 2 / (len(self.draws) + 1), 1.0
        if self.interval(1 - low).excludes(0.0):
            return low
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if self.interval(1 - middle).excludes(0.0) else (middle, high)
        return high


class _Runs:
    """The runs of one model, one per seed: statistics summed over blocks of items, and scores from them."""

    def __init__(self, items: Sequence[Sums], summarise: Summarise, metric: str, block: int) -> None:
        if not items:
            raise MeasurementError("no run to take statistics from: give the items of one seed or more")
        self.summarise, self.metric = summarise, metric
        self.shapes = {name: np.shape(values)[1:] for name, values in items[0].items() if name != GROUP}
        ends = np.cumsum([prod(shape) for shape in self.shapes.values()]).tolist()
        self.parts = dict(zip(self.shapes, map(slice, [0, *ends], ends), strict=False))
        self.stats = [self._per_block(run, block) for run in items]
        self.blocks = [len(stats) for stats in self.stats]
        self.scores = np.array([self._score(stats.sum(axis=0)) for stats in self.stats])

    def _per_block(self, items: Sums, block: int) -> np.ndarray:
        """Statistics summed over blocks of consecutive items of one group and laid side by side, [blocks, K]."""
        counts = sorted({len(values) for values in items.values()})
        if len(counts) != 1 or counts[0] == 0:
            raise MeasurementError(f"every statistic needs the same items, one or more, given {counts}")
        flat = [np.asarray(items[name], dtype=float).reshape(counts[0], -1) for name in self.shapes]
        return np.add.reduceat(np.concatenate(flat, axis=1), _starts(counts[0], block, items.get(GROUP)), axis=0)

    def _score(self, flat: np.ndarray) -> float:
        sums = {name: flat[self.parts[name]].reshape(shape) for name, shape in self.shapes.items()}
        return float(self.summarise(sums)[self.metric])

    def resampled(self, weights: Sequence[np.ndarray], seeds: np.ndarray) -> np.ndarray:
        """Each draw's mean score: weights[seed] is [draws, blocks], `seeds` the seeds drawn, [draws, n]."""
        scores = np.zeros((len(seeds), len(self.stats)))
        for seed, stats in enumerate(self.stats):
            sums = weights[seed] @ stats
            for draw in np.flatnonzero((seeds == seed).any(axis=1)):
                scores[draw, seed] = self._score(sums[draw])
        return np.take_along_axis(scores, seeds, axis=1).mean(axis=1)


def _starts(count: int, block: int, groups: np.ndarray | None) -> np.ndarray:
    """The first item of each block; a block ends with its group."""
    if groups is None:
        return np.arange(0, count, block)
    begins = [0, *(np.flatnonzero(np.diff(groups)) + 1), count]
    return np.concatenate([np.arange(a, b, block) for a, b in pairwise(begins)])


def _mean_variance(scores: np.ndarray) -> tuple[tuple[float, int], ...]:
    """Variance of the mean over seeds and its degrees of freedom; nothing from a single seed."""
    return ((float(np.var(scores, ddof=1)) / len(scores), len(scores) - 1),) if len(scores) > 1 else ()


def _draw_seeds(rng: np.random.Generator, draws: int, seeds: int) -> np.ndarray:
    """Seeds of every draw: one fewer than there are, which makes the mean's variance unbiased (Rao and Wu, 1988)."""
    return rng.integers(seeds, size=(draws, max(seeds - 1, 1)))


def _blocks_by_split(runs: Sequence[_Runs], which: Sequence[int]) -> dict[int, int]:
    """How many blocks each split has; runs of one split that differ in that are a MeasurementError."""
    counts: dict[int, set[int]] = {}
    for run in runs:
        for split, blocks in zip(which, run.blocks, strict=False):
            counts.setdefault(split, set()).add(blocks)
    for found in counts.values():
        if len(found) != 1:
            raise MeasurementError(f"the runs were not scored on the same items: they hold {sorted(found)} blocks")
    return {split: blocks for split, (blocks,) in counts.items()}


def bootstrap(
    items_a: Sequence[Sums],
    items_b: Sequence[Sums] | None,
    summarise: Summarise,
    metric: str,
    *,
    block: int = 1,
    resamples: int = 2000,
    seed: int = 0,
    splits: Sequence[int] | None = None,
) -> Bootstrap:
    """Bootstrap of the score of a (`items_b` None) or of the difference a - b, over test items and seeds.

    `items_a` and `items_b` hold each seed's per-item statistics, as `Task.metrics` gives them. Items are drawn in
    blocks of `block` consecutive ones (of one group, where they have a `GROUP`), the same for a and b and for all
    seeds of one test split. `splits` says which split each seed was scored on (None: all on the same); the items of
    different splits are drawn by themselves, and a and b then have the same seeds. Equally many seeds are drawn in
    pairs, a single one (a deterministic baseline) stands beside every other, different numbers are drawn
    independently. Raises MeasurementError when items do not match, or scores are not finite.
    """
    a = _Runs(items_a, summarise, metric, block)
    b = _Runs(items_b, summarise, metric, block) if items_b is not None else None
    runs = [a] if b is None else [a, b]
    paired = b is None or len(a.stats) == len(b.stats)
    which = [0] * max(len(run.stats) for run in runs) if splits is None else list(splits)
    blocks = _blocks_by_split(runs, which)
    rng = np.random.default_rng(seed)
    draws: list[np.ndarray] = []
    at_once = max(1, min(resamples, _WEIGHTS_AT_ONCE // sum(blocks.values())))
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = {s: rng.multinomial(n, np.full(n, 1 / n), size=size).astype(float) for s, n in blocks.items()}
        weights = [drawn[split] for split in which]
        seeds = [_draw_seeds(rng, size, len(run.stats)) for run in (runs[:1] if paired else runs)]
        scores = [run.resampled(weights, seeds[0 if paired else k]) for k, run in enumerate(runs)]
        draws.append(scores[0] if b is None else scores[0] - scores[1])
    values = np.concatenate(draws)
    means = tuple(float(run.scores.mean()) for run in runs)
    if not (np.isfinite(values).all() and all(map(isfinite, means))):
        raise MeasurementError(f"the scores {metric!r} are not finite: a run diverged or a statistic is missing")
    if b is None:
        variances = _mean_variance(a.scores)
    elif paired:
        variances = _mean_variance(a.scores - b.scores)
    else:
        variances = _mean_variance(a.scores) + _mean_variance(b.scores)
    return Bootstrap(means, values, max(len(run.stats) for run in runs), variances)


def score_interval(
    items: Sequence[Sums],
    summarise: Summarise,
    metric: str,
    *,
    block: int = 1,
    resamples: int = 2000,
    seed: int = 0,
    splits: Sequence[int] | None = None,
) -> Interval:
    """The 95 % interval of one model's mean score; see `bootstrap`."""
    return bootstrap(
        items, None, summarise, metric, block=block, resamples=resamples, seed=seed, splits=splits
    ).interval()


def absolute_margin(margin: float, kind: Literal["absolute", "relative"], score_a: float, score_b: float) -> float:
    """A task's margin in units of its metric; a relative one is taken of the smaller score's size."""
    return margin if kind == "absolute" else margin * min(abs(score_a), abs(score_b))


def verdict(difference: Interval, margin: float, *, higher_is_better: bool = True) -> Verdict:
    """Who wins, given the interval of a - b.

    ``"equal"`` if the interval lies inside ±margin, even where it also excludes 0: a difference that small does not
    matter. Else ``"a"`` or ``"b"`` if it excludes 0, else ``"undecided"``.
    """
    if difference.inside(margin):
        return "equal"
    if not difference.excludes(0.0):
        return "undecided"
    return "a" if (difference.low > 0) == higher_is_better else "b"


def holm(p_values: Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects at family-wise error `alpha`, in the order given."""
    rejected = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > alpha / (len(p_values) - place):
            break
        rejected[index] = True
    return rejected


@dataclass(frozen=True)
class Decision:
    """One comparison among several: its verdict after Holm, the 95 % interval and the widened one that decided."""

    verdict: Verdict
    difference: Interval
    corrected: Interval
    p_value: float
    seeds_needed: int | None

    def to_json(self) -> dict[str, Any]:
        """The fields of a study's verdict that statistics decide."""
        return {
            "verdict": self.verdict,
            "difference": self.difference.to_json(),
            "corrected": self.corrected.to_json(),
            "p_value": self.p_value,
            "seeds_needed": self.seeds_needed,
        }


def decide(
    comparisons: Sequence[Bootstrap],
    margins: Sequence[float],
    higher_is_better: Sequence[bool],
    alpha: float = 0.05,
) -> list[Decision]:
    """Verdicts of several comparisons, corrected by Holm.

    The comparison with the k-th smallest p-value (k from 0, of m) is judged by its interval at level
    1 - alpha/(m - k); a winner is named only where Holm's procedure rejects, so not after the first that it keeps.
    """
    rejected = holm([comparison.p_value for comparison in comparisons], alpha)
    order = sorted(range(len(comparisons)), key=lambda i: comparisons[i].p_value)
    decisions: dict[int, Decision] = {}
    for place, index in enumerate(order):
        comparison, margin = comparisons[index], margins[index]
        corrected = comparison.interval(1 - alpha / (len(comparisons) - place))
        outcome = verdict(corrected, margin, higher_is_better=higher_is_better[index])
        if outcome in ("a", "b") and not rejected[index]:
            outcome = "undecided"
        needed = seeds_needed(comparison, margin, alpha=alpha) if outcome == "undecided" else None
        decisions[index] = Decision(outcome, comparison.interval(), corrected, comparison.p_value, needed)
    return [decisions[index] for index in range(len(comparisons))]


def seeds_needed(comparison: Bootstrap, margin: float, *, alpha: float = 0.05) -> int | None:
    """Seeds that would settle an undecided comparison if the difference and its spread stay what they are.

    The half width must fall below |difference| (a winner) or below margin - |difference| (equal). Items' share of
    the variance stays, the seeds' share falls as 1/S. None when the items alone are too few, or nothing is known of
    the spread over seeds; else more than there are now.
    """
    from scipy.special import ndtri

    if not comparison.seed_variances:
        return None
    seed_part = sum(variance for variance, _ in comparison.seed_variances)
    item_part = max(comparison.variance - seed_part, 0.0)
    reach = max(abs(comparison.value), margin - abs(comparison.value)) / float(ndtri(1 - alpha / 2))
    spare = reach**2 - item_part
    return max(ceil(seed_part * comparison.seeds / spare), comparison.seeds + 1) if spare > 0 else None
