"""The strong simple baseline on text: TF-IDF of words and word pairs, and a linear model over it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

PENALTIES = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""The C of the support vector machine; ridge takes their inverses as its alpha."""


@dataclass(frozen=True)
class LinearText:
    """A fitted baseline; `penalty` is the C chosen on the validation split, `seconds` the time to fit all of them."""

    vectorizer: Any
    model: Any
    penalty: float
    seconds: float

    @property
    def parameters(self) -> int:
        """Number of weights, biases included."""
        return int(np.size(self.model.coef_) + np.size(self.model.intercept_))

    def predict(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """Class indices or values [N] of texts given as words."""
        return np.asarray(self.model.predict(self.vectorizer.transform(texts)))


def fit_linear_text(
    train: Sequence[Sequence[str]],
    targets: np.ndarray,
    valid: Sequence[Sequence[str]],
    valid_targets: np.ndarray,
    *,
    regression: bool = False,
    penalties: Sequence[float] = PENALTIES,
) -> LinearText:
    """TF-IDF (1-2 grams, logarithmic counts) with a linear SVM, or ridge for values, fitted on `train`.

    Texts are lists of words, `targets` class indices or values [N]. The penalty, and whether classes weigh equally or
    rows do, are those with the best validation accuracy (least squared error for values), the smallest among equals.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.svm import LinearSVC

    start = time.perf_counter()
    vectorizer = TfidfVectorizer(analyzer=word_pairs, sublinear_tf=True, dtype=np.float32)
    features, valid_features = vectorizer.fit_transform(train), vectorizer.transform(valid)

    def attempt(penalty: float, weights: str | None) -> tuple[float, float, Any]:
        if regression:
            model = Ridge(alpha=1 / penalty)
        else:
            model = LinearSVC(C=penalty, class_weight=weights, random_state=0, max_iter=5000)
        predicted = model.fit(features, targets).predict(valid_features)
        score = -np.mean((predicted - valid_targets) ** 2) if regression else np.mean(predicted == valid_targets)
        return float(score), penalty, model

    weightings = (None,) if regression else (None, "balanced")
    attempts = [attempt(penalty, weights) for penalty in penalties for weights in weightings]
    _, penalty, model = max(attempts, key=lambda tried: tried[0])
    return LinearText(vectorizer, model, penalty, time.perf_counter() - start)


def word_pairs(words: Sequence[str]) -> list[str]:
    """Words and pairs of neighbours, the features of a text.

    >>> word_pairs(["profit", "did", "rise"])
    ['profit', 'did', 'rise', 'profit did', 'did rise']
    """
    return [*words, *(f"{left} {right}" for left, right in pairwise(words))]
