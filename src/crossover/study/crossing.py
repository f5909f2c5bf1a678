"""Where two cost curves cross: interpolated in log-log, claimed only where the change of sign exceeds the noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

import numpy as np

from crossover.errors import MeasurementError
from crossover.measure.statistics import Interval, median_interval

_RESAMPLES = 2000
_ENOUGH_FOR_MEDIAN = 6


@dataclass(frozen=True)
class Crossing:
    """An axis value at which a and b cost the same, with its 95 % interval; None if there is none in `searched`."""

    at: Interval | None
    searched: tuple[float, float]


def find_crossings(
    a: Mapping[float, Sequence[float]],
    b: Mapping[float, Sequence[float]],
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> list[Crossing]:
    """Every crossing of two curves, in the order of the axis; a single one with `at` None where none is found.

    `a` and `b` hold the repeated measurements at each axis value, taken in turn: the i-th of a and the i-th of b make
    a pair. A curve counts as the higher one at a value if the 95 % interval of the middle of the pairwise ratios lies
    beyond 1 ± `noise` (a single measurement is its own interval). A crossing is claimed between neighbouring values
    at which different curves are higher; undecided values between them are passed over. It lies where the line
    through the log ratios is zero; its interval comes from a bootstrap over the pairs at each value. Single
    measurements tell no spread: the interval is then the two values between which the curves change places. Fewer
    than two common values, or unequal numbers of repeats, are a MeasurementError.
    """
    values = sorted(a.keys() & b.keys())
    if len(values) < 2:
        raise MeasurementError(f"two curves need two common values or more to be compared, given {len(values)}")
    ratios = [_log_ratios(a[x], b[x], x) for x in values]
    searched = (float(values[0]), float(values[-1]))
    higher = [_sign(sample, noise) for sample in ratios]
    decided = [index for index, sign in enumerate(higher) if sign != 0]
    changes = [(i, j) for i, j in pairwise(decided) if higher[i] != higher[j]]
    rng = np.random.default_rng(seed)
    found = [Crossing(_locate(values[i : j + 1], ratios[i : j + 1], rng), searched) for i, j in changes]
    return found or [Crossing(None, searched)]


def ratio_interval(a: Sequence[float], b: Sequence[float]) -> Interval:
    """The middle of the ratios of a to b, pair by pair, with its 95 % interval; unequal numbers are refused."""
    sample = _log_ratios(a, b, 0.0)
    low, high = _range(sample)
    middle = float(np.median(sample) if len(sample) >= _ENOUGH_FOR_MEDIAN else sample.mean())
    return Interval(exp(middle), exp(low), exp(high))


def _log_ratios(a: Sequence[float], b: Sequence[float], x: float) -> np.ndarray:
    if len(a) != len(b) or not len(a):
        raise MeasurementError(f"measurements at {x:g} make no pairs: {len(a)} against {len(b)}")
    return np.log(np.asarray(a, dtype=float) / np.asarray(b, dtype=float))


def _sign(sample: np.ndarray, noise: float) -> int:
    """1 if a is higher for certain, -1 if b is, else 0."""
    low, high = _range(sample)
    return int(low > log(1 + noise)) - int(high < -log(1 + noise))


def _range(sample: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the middle: of the median from six pairs on, of the mean by Student's t below that."""
    if len(sample) >= _ENOUGH_FOR_MEDIAN or len(sample) == 1:
        interval = median_interval(list(sample))
        return interval.low, interval.high
    from scipy.special import stdtrit

    half = float(stdtrit(len(sample) - 1, 0.975)) * float(np.std(sample, ddof=1)) / len(sample) ** 0.5
    return float(sample.mean()) - half, float(sample.mean()) + half


def _locate(values: Sequence[float], ratios: Sequence[np.ndarray], rng: np.random.Generator) -> Interval:
    """The crossing between the first and the last of `values`, which have different signs for certain."""
    log_x = np.log(np.asarray(values, dtype=float))
    point = _zero(log_x, np.array([np.median(sample) for sample in ratios]))
    if all(len(sample) == 1 for sample in ratios):
        return Interval(exp(point), float(values[0]), float(values[-1]))
    draws = np.stack(
        [np.median(rng.choice(sample, size=(_RESAMPLES, len(sample))), axis=1) for sample in ratios], axis=1
    )
    low, high = np.percentile([_zero(log_x, row) for row in draws], [2.5, 97.5])
    return Interval(exp(point), exp(min(low, point)), exp(max(high, point)))


def _zero(log_x: np.ndarray, log_ratio: np.ndarray) -> float:
    """The first zero of the line through the points; an end of the range where a draw has none."""
    rising = log_ratio[-1] > log_ratio[0]
    heights = log_ratio if rising else -log_ratio
    if heights[0] >= 0:
        return float(log_x[0])
    above = np.flatnonzero(heights >= 0)
    if not len(above):
        return float(log_x[-1])
    right = int(above[0])
    share = -heights[right - 1] / (heights[right] - heights[right - 1])
    return float(log_x[right - 1] + share * (log_x[right] - log_x[right - 1]))
