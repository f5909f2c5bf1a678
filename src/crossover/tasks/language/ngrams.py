"""Interpolated Kneser-Ney n-grams: the strong simple baseline of language modelling.

Kneser and Ney 1995; in the interpolated form of Chen and Goodman 1999, section 2.7, with one discount per order.
"""

from __future__ import annotations

import numpy as np


class KneserNey:
    """An n-gram model over integer tokens, fitted on one sequence and scored on another.

    Every n-gram that occurs in either sequence gets a number of its own, order by order, so that counting and
    looking up are array operations; a token never seen gets its share of the uniform distribution.
    """

    def __init__(self, train: np.ndarray, scored: np.ndarray, *, vocabulary: int, order: int = 5) -> None:
        self.order = order
        self.vocabulary = vocabulary
        self.parameters = 0
        both = np.concatenate([train, scored]).astype(np.int64)
        start = len(train)
        self._log_probabilities = self._score(both, start)

    def log_probabilities(self) -> np.ndarray:
        """Natural log-probability of each scored token given those before it, [N]; train's end is its past."""
        return self._log_probabilities

    def _score(self, tokens: np.ndarray, start: int) -> np.ndarray:
        """Interpolate from the unigram up; at each order the probability of every position is revised at once."""
        size = len(tokens)
        grams = [_renumber(tokens)]
        for _ in range(self.order - 1):
            grams.append(_extend(grams[-1], grams[0]))
        probability = np.full(size, 1.0 / self.vocabulary)
        for n in range(1, self.order + 1):
            gram = grams[n - 1]
            longer = grams[n] if n < self.order else None
            counts = self._counts(gram, longer, n, start, size)
            probability = self._interpolate(gram, grams[n - 2] if n > 1 else None, counts, probability, n)
        return np.log(np.maximum(probability[start:], 1e-300))

    def _counts(self, gram: np.ndarray, longer: np.ndarray | None, n: int, start: int, size: int) -> np.ndarray:
        """Per n-gram: occurrences in train at the highest order, below it the number of distinct left neighbours."""
        kinds = int(gram.max()) + 1
        inside = np.zeros(size, dtype=bool)
        inside[n - 1 : start] = True
        if longer is None:
            return np.bincount(gram[inside], minlength=kinds).astype(np.float64)
        inside[n - 1] = False
        first = np.zeros(size, dtype=bool)
        positions = np.flatnonzero(inside)
        _, where = np.unique(longer[positions], return_index=True)
        first[positions[where]] = True
        return np.bincount(gram[first], minlength=kinds).astype(np.float64)

    def _interpolate(
        self, gram: np.ndarray, context: np.ndarray | None, counts: np.ndarray, lower: np.ndarray, n: int
    ) -> np.ndarray:
        """p_n(w|c) = max(count(cw) - D, 0) / count(c) + D · kinds(c) / count(c) · p_{n-1}(w|c')."""
        seen = counts > 0
        self.parameters += int(seen.sum())
        once, twice = float((counts == 1).sum()), float((counts == 2).sum())
        discount = once / (once + 2 * twice) if once + 2 * twice > 0 else 0.5
        # Each n-gram's context is that of any position where it stands: the (n-1)-gram that ends one step before.
        of_gram = np.zeros(len(counts), dtype=np.int64)
        if context is not None:
            of_gram[gram[n - 1 :]] = context[n - 2 : -1] if n > 1 else 0
        kinds = int(of_gram.max()) + 1
        total = np.bincount(of_gram, weights=counts, minlength=kinds)
        types = np.bincount(of_gram, weights=seen.astype(np.float64), minlength=kinds)
        context_of = of_gram[gram]
        known = total[context_of] > 0
        share = np.divide(1.0, total[context_of], out=np.zeros(len(gram)), where=known)
        direct = np.maximum(counts[gram] - discount, 0.0) * share
        backed_off = np.where(known, discount * types[context_of] * share, 1.0)
        revised = direct + backed_off * lower
        revised[: n - 1] = lower[: n - 1]
        return revised


def _renumber(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _extend(gram: np.ndarray, token: np.ndarray) -> np.ndarray:
    """Numbers of the grams one token longer: (the gram that ends one step before, the token)."""
    before = np.concatenate([[gram.max() + 1], gram[:-1]])
    return _renumber(before * (int(token.max()) + 1) + token)
