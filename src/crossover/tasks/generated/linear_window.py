"""The strong simple baseline of token tasks: a ridge classifier on the last tokens before each scored step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from crossover.tasks.base import Sums
from crossover.tasks.objectives import IGNORE
from crossover.tasks.rows import Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from sklearn.linear_model import RidgeClassifier

WINDOW = 16
_MAXIMUM_EXAMPLES = 20_000


@dataclass(frozen=True)
class Fit:
    """A fitted predictor: its items on the scored rows, what it took and how large it is."""

    name: str
    kind: Literal["trivial", "strong"]
    items: Sums
    seconds: float
    parameters: int


class TokenBaselines:
    """``majority`` (the most frequent target of train) and ``linear`` for tasks that score steps of token rows.

    The linear model sees the last `WINDOW` tokens one by one and all tokens before as a bag, which is as much as a
    linear model can: neither order further back nor any product of two inputs. It is fitted once, at its first use.
    """

    def __init__(self, train: Rows, vocabulary: int) -> None:
        self.train = train
        self.vocabulary = vocabulary

    def score(self, rows: Rows) -> list[Fit]:
        """Both on `rows`; the seconds are those of fitting and predicting."""
        started = perf_counter()
        majority = np.bincount(np.concatenate([_scored(np.asarray(row)) for row in self.train.targets])).argmax()
        trivial = token_items(rows, [np.full(len(_scored(np.asarray(row))), majority) for row in rows.targets])
        trivial_seconds = perf_counter() - started
        model, fitting_seconds = self._ridge
        started = perf_counter()
        inputs, _ = _examples(rows, _scored_steps(rows), self.vocabulary)
        ends = np.cumsum([len(_scored(np.asarray(row))) for row in rows.targets])
        strong = token_items(rows, np.split(model.predict(inputs), ends[:-1]))
        parameters = int(np.size(model.coef_) + np.size(model.intercept_))
        return [
            Fit("majority", "trivial", trivial, trivial_seconds, 1),
            Fit("linear", "strong", strong, fitting_seconds + perf_counter() - started, parameters),
        ]

    @cached_property
    def _ridge(self) -> tuple[RidgeClassifier, float]:
        """The fitted model, and the seconds that it took."""
        from sklearn.linear_model import RidgeClassifier

        started = perf_counter()
        steps = _scored_steps(self.train)
        if len(steps) > _MAXIMUM_EXAMPLES:
            kept = np.random.default_rng(0).choice(len(steps), _MAXIMUM_EXAMPLES, replace=False)
            steps = steps[np.sort(kept)]
        model = RidgeClassifier(solver="sparse_cg", tol=1e-3)
        model.fit(*_examples(self.train, steps, self.vocabulary))
        return model, perf_counter() - started


def token_items(rows: Rows, predictions: list[np.ndarray]) -> Sums:
    """The items of `TokenPrediction` for any predictor of the scored steps; its loss is NaN."""
    correct = [np.sum(_scored(np.asarray(t)) == p) for t, p in zip(rows.targets, predictions, strict=True)]
    return {
        "loss": np.full(len(rows), np.nan),
        "count": np.array([len(p) for p in predictions], dtype=np.float64),
        "correct": np.array(correct, dtype=np.float64),
        "length": rows.lengths_N.astype(np.float64),
    }


def _scored_steps(rows: Rows) -> np.ndarray:
    """Row and step of everything that is scored [N, 2]."""
    steps = [np.flatnonzero(np.asarray(target) != IGNORE) for target in rows.targets]
    return np.stack([np.repeat(np.arange(len(steps)), [len(row) for row in steps]), np.concatenate(steps)], axis=1)


def _examples(rows: Rows, steps_N2: np.ndarray, vocabulary: int) -> tuple[csr_array, np.ndarray]:
    """One row per given step: one-hot of each of the last tokens, then how often each token has occurred."""
    from scipy.sparse import csr_array

    tokens = np.concatenate(list(rows.inputs))
    begin_N = (np.cumsum(rows.lengths_N) - rows.lengths_N)[steps_N2[:, 0]]
    step_N = steps_N2[:, 1]
    ago_W = np.arange(WINDOW)
    recent_NW = step_N[:, None] - ago_W
    example, ago = np.nonzero(recent_NW >= 0)
    recent = tokens[(begin_N[:, None] + recent_NW)[example, ago]] + vocabulary * ago
    seen_N = step_N + 1
    past = np.arange(seen_N.sum()) - np.repeat(np.cumsum(seen_N) - seen_N, seen_N)
    bag = WINDOW * vocabulary + tokens[np.repeat(begin_N, seen_N) + past]
    entries = np.concatenate([example, np.repeat(np.arange(len(seen_N)), seen_N)]), np.concatenate([recent, bag])
    shape = (len(seen_N), (WINDOW + 1) * vocabulary)
    matrix = csr_array((np.ones(len(entries[0]), dtype=np.float32), entries), shape=shape)
    return matrix, np.concatenate([np.asarray(target) for target in rows.targets])[begin_N + step_N]


def _scored(target: np.ndarray) -> np.ndarray:
    return target[target != IGNORE]
