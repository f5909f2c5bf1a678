"""Count-based guesses of hidden units: by frequency, and by what stood between the same neighbours.

Shape suffixes: N places, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter

import numpy as np
from scipy.sparse import csr_matrix

_STRENGTHS = (1.0, 5.0, 25.0, 125.0)
"""Counts that the guess by less context is worth; chosen on the validation split, for one neighbour and for both."""
_CHOOSING = 2000
"""Places that the choice is made on."""
_CHUNK = 256


@dataclass(frozen=True)
class Places:
    """Scored units, [N] each: the unit on the left, what the model sees, the unit on the right, the target.

    Where there is no neighbour the vocabulary's size stands for it.
    """

    left: np.ndarray
    seen: np.ndarray
    right: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: slice) -> Places:
        """Some of the places."""
        return Places(self.left[rows], self.seen[rows], self.right[rows], self.target[rows])


class NeighbourModel:
    """p(unit | left, right) from counts of train, smoothed towards less context.

    ``p0(w)``: counts plus one; ``p(w | l) = (c(l, w) + a p0(w)) / (c(l) + a)``, and for the right alike; both as if
    they were independent given the unit, ``p1 ∝ p(w | l) p(w | r) / p0(w)``; and what stood between just these two,
    ``p(w | l, r) = (c(l, w, r) + b p1(w)) / (c(l, r) + b)``. Units in `spared_V` are never guessed. Where the model
    sees a unit and no mask, it is either the target or drawn at random, and Bayes' rule weighs the two.
    """

    def __init__(self, train: Sequence[np.ndarray], valid: Places, *, spared_V: np.ndarray, mask: int) -> None:
        start = perf_counter()
        self.vocabulary, self.mask = len(spared_V), mask
        vocabulary, edge = len(spared_V), np.array([len(spared_V)])
        units = np.concatenate([part for row in train for part in (edge, row)] + [edge])
        inner = np.flatnonzero(~np.append(spared_V, True)[units])
        left_N, unit_N, right_N = units[inner - 1], units[inner], units[inner + 1]
        counts_V = np.bincount(unit_N, minlength=vocabulary) + 1.0
        self._frequency_V = counts_V / counts_V.sum()
        self._left = _counts(left_N, unit_N, vocabulary + 1, vocabulary)
        self._right = _counts(right_N, unit_N, vocabulary + 1, vocabulary)
        self._pairs, number_N = np.unique(self._pair(left_N, right_N), return_inverse=True)
        self._between = _counts(number_N, unit_N, len(self._pairs), vocabulary)
        some = valid.take(slice(0, _CHOOSING))
        self._strengths = min(
            product(_STRENGTHS, _STRENGTHS), key=lambda strengths: float(self._score(some, strengths)[0].sum())
        )
        self.parameters = vocabulary + sum(table.nnz for table in (self._left, self._right, self._between))
        self.seconds = perf_counter() - start

    def frequencies(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """Loss in nats and whether the guess is right, [N] each, for the units' frequencies alone."""
        target_N = places.target
        return -np.log(self._frequency_V[target_N]), (target_N == self._frequency_V.argmax()).astype(np.float64)

    def between(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """The same for the whole model."""
        return self._score(places, self._strengths)

    def _score(self, places: Places, strengths: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        losses, hits = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(places), _CHUNK):
            part = places.take(slice(start, start + _CHUNK))
            shares_NV = self._probabilities(part, strengths)
            losses.append(-np.log(shares_NV[np.arange(len(part)), part.target]))
            hits.append((shares_NV.argmax(1) == part.target).astype(np.float64))
        return np.concatenate(losses), np.concatenate(hits)

    def _probabilities(self, places: Places, strengths: tuple[float, float]) -> np.ndarray:
        single, both = strengths
        p0_V = self._frequency_V
        left_NV = _smoothed(self._left[places.left], p0_V, single)
        right_NV = _smoothed(self._right[places.right], p0_V, single)
        joint_NV = left_NV * right_NV / p0_V
        joint_NV /= joint_NV.sum(1, keepdims=True)
        pair_N = self._pair(places.left, places.right)
        number_N = np.searchsorted(self._pairs, pair_N).clip(max=len(self._pairs) - 1)
        known_N = self._pairs[number_N] == pair_N
        shares_NV = joint_NV
        shares_NV[known_N] = _smoothed(self._between[number_N[known_N]], joint_NV[known_N], both)
        shown_N = np.flatnonzero(places.seen != self.mask)
        seen_N = places.seen[shown_N]
        kept_N = shares_NV[shown_N, seen_N].copy()
        shares_NV[shown_N] /= self.vocabulary
        shares_NV[shown_N, seen_N] += kept_N
        return shares_NV / shares_NV.sum(1, keepdims=True)

    def _pair(self, left_N: np.ndarray, right_N: np.ndarray) -> np.ndarray:
        return left_N.astype(np.int64) * (self.vocabulary + 1) + right_N


def _counts(given_N: np.ndarray, unit_N: np.ndarray, rows: int, columns: int) -> csr_matrix:
    """How often each unit stood with each given one, [rows, columns]."""
    return csr_matrix((np.ones(len(unit_N)), (given_N, unit_N)), shape=(rows, columns))


def _smoothed(counts: csr_matrix, towards: np.ndarray, strength: float) -> np.ndarray:
    """Counts [N, V] with `strength` times the distribution `towards` ([V] or [N, V]) added, as shares."""
    added_NV = counts.toarray() + strength * towards
    return added_NV / added_NV.sum(1, keepdims=True)
