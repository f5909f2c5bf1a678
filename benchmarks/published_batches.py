"""Batches of sentences as NVIDIA's GNMT and Transformer-big make them, from published laws of sentences' lengths.

Nothing is fitted to their rows. WMT's English and German training sentences have 25.8 and 24.4 words (Luong et al.
2015, arXiv 1508.04025, section 4.1), some 29 pieces of a joint vocabulary of 32,000 of 5 letters each; lengths are
taken to be log-normal. A translation's length in letters lies around that of its source with a variance of 7.3 a
letter (Gale and Church 1993, Computational Linguistics 19(1), English and German). How batches are made of them is
read in NVIDIA/DeepLearningExamples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import fmean, pvariance

import numpy as np

PIECES, SPREAD = 29.0, 0.6
"""Of a sentence: the mean, and the standard deviation of the logarithm (assumed)."""
LETTERS, VARIANCE = 5.0, 7.3
"""Letters of a piece, and the variance of a translation's letters over those of its source."""
SENTENCES, LOOKED_AT = 1_000_000, 200


@dataclass(frozen=True)
class Batch:
    """What one device reads: rows, the steps that they are padded to, and the real pieces of both languages.

    Devices read batches of one `group` at a time.
    """

    group: int
    rows: int
    source: int
    target: int
    source_pieces: int
    target_pieces: int


@cache
def sentences() -> tuple[np.ndarray, np.ndarray]:
    """Pieces of sentences and of their translations, with the sign of the end."""
    generator = np.random.default_rng(0)
    drawn = generator.lognormal(np.log(PIECES) - SPREAD**2 / 2, SPREAD, SENTENCES)
    apart = np.sqrt(VARIANCE * drawn / LETTERS) * generator.standard_normal(SENTENCES)
    source, target = (np.rint(length).astype(int) + 1 for length in (drawn, drawn + apart))
    there = (source > 1) & (target > 1)
    return source[there], target[there]


@cache
def by_pieces(most: int, multiple: int = 8) -> tuple[Batch, ...]:
    """Transformer-big's: sorted by both lengths, as many rows as `most` padded pieces allow, in a random order."""
    source, target = sentences()
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    found, start = [], 0
    while start < len(source):
        widest = np.maximum.accumulate(np.maximum(source[start : start + most], target[start : start + most]))
        over = np.flatnonzero(widest * np.arange(1, len(widest) + 1) > most)
        rows = int(over[0]) if len(over) else len(widest)
        rows = max(rows // multiple * multiple, rows % multiple, 1)
        found.append(_batch(0, source[start : start + rows], target[start : start + rows]))
        start += rows
    return _some(found)


@cache
def by_buckets(rows: int, longest: int = 50, buckets: int = 5) -> tuple[Batch, ...]:
    """GNMT's: rows of one bucket of lengths, at random within it, those of all ranks of the same bucket."""
    source, target = sentences()
    short = (source <= longest) & (target <= longest)
    source, target = source[short], target[short]
    bucket = np.minimum(np.maximum(source, target) // (longest // buckets), buckets - 1)
    found = []
    for number in range(buckets):
        own = np.flatnonzero(bucket == number)
        for start in range(0, len(own) - rows + 1, rows):
            chosen = own[start : start + rows]
            found.append(_batch(number, source[chosen], target[chosen]))
    return _some(found)


def _batch(group: int, source: np.ndarray, target: np.ndarray) -> Batch:
    return Batch(group, len(source), int(source.max()), int(target.max()), int(source.sum()), int(target.sum()))


def _some(batches: list[Batch]) -> tuple[Batch, ...]:
    chosen = np.random.default_rng(1).permutation(len(batches))[:LOOKED_AT]
    return tuple(batches[number] for number in chosen)


@dataclass(frozen=True)
class Usual:
    """A batch that stands for many: mean rows, mean steps of a row, real pieces of a row."""

    rows: float
    source: float
    target: float
    source_pieces: float
    target_pieces: float

    @classmethod
    def of(cls, batches: tuple[Batch, ...]) -> Usual:
        """Their mean."""
        rows = sum(batch.rows for batch in batches)
        return cls(
            rows / len(batches),
            sum(batch.rows * batch.source for batch in batches) / rows,
            sum(batch.rows * batch.target for batch in batches) / rows,
            sum(batch.source_pieces for batch in batches) / rows,
            sum(batch.target_pieces for batch in batches) / rows,
        )


def unevenness(batches: tuple[Batch, ...], seconds: Callable[[Batch], float]) -> float:
    """The standard deviation of what batches of one group take, over the mean of all."""
    taken: defaultdict[int, list[float]] = defaultdict(list)
    for batch in batches:
        taken[batch.group].append(seconds(batch))
    within = fmean(pvariance(own) for own in taken.values() for _ in own)
    return within**0.5 / fmean(value for own in taken.values() for value in own)
