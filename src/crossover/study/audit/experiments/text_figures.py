"""What texts are like, in figures: how varied, how much of them is copied, and whether one tells them from others.

Distinct-n is Li et al. 2016, arXiv 1510.03055; telling generated text from real by a classifier is in the manner of
Lopez-Paz and Oquab 2017, arXiv 1610.06545. Shape suffix: N texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crossover.tasks.base import Sums

FOLDS = 5
"""Parts that passages are cut into, of which each is told by a classifier that learned on the others."""


@dataclass(frozen=True)
class Known:
    """The n-grams of words that stand in a text, by n."""

    ngrams: Mapping[int, frozenset[tuple[str, ...]]]

    @classmethod
    def of(cls, text: str, orders: Sequence[int]) -> Known:
        """Those of `text`, for n in `orders`."""
        split = text.split()
        return cls({order: frozenset(_ngrams(split, order)) for order in orders})

    def items(self, texts: Sequence[str]) -> Sums:
        """How many n-grams each text has and how many of them are known, [N, orders]."""
        found = [[_ngrams(_inner_words(text), order) for order in self.ngrams] for text in texts]
        copied = [
            [sum(ngram in known for ngram in ngrams) for ngrams, known in zip(row, self.ngrams.values(), strict=True)]
            for row in found
        ]
        counts = [[len(ngrams) for ngrams in row] for row in found]
        return {"copied": np.array(copied, dtype=float), "all": np.array(counts, dtype=float)}


def distinct_shares(texts: Sequence[str], orders: Sequence[int]) -> list[float]:
    """Of all n-grams of words in the texts together, the share that are different ones, for n in `orders`."""
    shares = []
    for order in orders:
        ngrams = [ngram for text in texts for ngram in _ngrams(_inner_words(text), order)]
        shares.append(len(set(ngrams)) / max(len(ngrams), 1))
    return shares


def told_apart(real: Sequence[str], written: Sequence[str]) -> Sums:
    """Whether a linear classifier tells each of the texts, real and written in pairs: ``correct`` of two, [N].

    It sees the n-grams of one to four characters of a text and has learned from other pairs.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False, sublinear_tf=True, min_df=2),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    labels = np.repeat([1, 0], len(real))
    pairs = np.tile(np.arange(len(real)), 2)
    told = cross_val_predict(classifier, [*real, *written], labels, groups=pairs, cv=GroupKFold(n_splits=FOLDS))
    correct_2N = (told == labels).reshape(2, -1)
    return {"correct": correct_2N.sum(0).astype(float), "count": np.full(len(real), 2.0)}


def _ngrams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[place:] for place in range(order)), strict=False))


def _inner_words(text: str) -> list[str]:
    """The words of a passage without its first and last, which may be cut."""
    return text.split()[1:-1]
