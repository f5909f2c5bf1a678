"""The strong simple baseline of token tasks: a ridge classifier on the last tokens before each scored step."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from crossover.tasks.base import Sums
from crossover.tasks.objectives import IGNORE
from crossover.tasks.rows import Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WINDOW = 16
_MAXIMUM_EXAMPLES = 40_000


@dataclass(frozen=True)
class Fit:
    """A fitted predictor: its items on the scored rows, what it took and how large it is."""

    name: str
    kind: Literal["trivial", "strong"]
    items: Sums
    seconds: float
    parameters: int


def fit_token_baselines(train: Rows, scored: Rows, vocabulary: int) -> list[Fit]:
    """``majority`` (the most frequent target of train) and ``linear`` for tasks that score steps of token rows.

    The linear model sees the last `WINDOW` tokens one by one and all tokens before as a bag, which is as much as a
    linear model can: neither order further back nor any product of two inputs.
    """
    started = perf_counter()
    majority = np.bincount(np.concatenate([_scored(np.asarray(row)) for row in train.targets])).argmax()
    trivial = token_items(scored, [np.full(len(_scored(np.asarray(row))), majority) for row in scored.targets])
    middle = perf_counter()
    predictions, parameters = _ridge(train, scored, vocabulary)
    strong = token_items(scored, predictions)
    return [
        Fit("majority", "trivial", trivial, middle - started, 1),
        Fit("linear", "strong", strong, perf_counter() - middle, parameters),
    ]


def token_items(rows: Rows, predictions: list[np.ndarray]) -> Sums:
    """The items of `TokenPrediction` for any predictor of the scored steps; its loss is NaN."""
    correct = [np.sum(_scored(np.asarray(t)) == p) for t, p in zip(rows.targets, predictions, strict=True)]
    return {
        "loss": np.full(len(rows), np.nan),
        "count": np.array([len(p) for p in predictions], dtype=np.float64),
        "correct": np.array(correct, dtype=np.float64),
        "length": rows.lengths_N.astype(np.float64),
    }


def _ridge(train: Rows, scored: Rows, vocabulary: int) -> tuple[list[np.ndarray], int]:
    from sklearn.linear_model import RidgeClassifier

    steps = _scored_steps(train)
    if len(steps) > _MAXIMUM_EXAMPLES:
        kept = np.random.default_rng(0).choice(len(steps), _MAXIMUM_EXAMPLES, replace=False)
        steps = steps[np.sort(kept)]
    model = RidgeClassifier(solver="sparse_cg", tol=1e-3)
    model.fit(*_examples(train, steps, vocabulary))
    held, _ = _examples(scored, _scored_steps(scored), vocabulary)
    predicted = model.predict(held)
    ends = np.cumsum([len(_scored(np.asarray(t))) for t in scored.targets])
    return np.split(predicted, ends[:-1]), int(np.size(model.coef_) + np.size(model.intercept_))


def _scored_steps(rows: Rows) -> np.ndarray:
    """Row and step of everything that is scored [N, 2]."""
    steps = [np.flatnonzero(np.asarray(target) != IGNORE) for target in rows.targets]
    return np.stack([np.repeat(np.arange(len(steps)), [len(row) for row in steps]), np.concatenate(steps)], axis=1)


def _examples(rows: Rows, steps_N2: np.ndarray, vocabulary: int) -> tuple[csr_array, np.ndarray]:
    """One row per given step: one-hot of each of the last tokens, then how often each token has occurred."""
    from scipy.sparse import csr_array

    columns: list[np.ndarray] = []
    for row, step in steps_N2:
        tokens = np.asarray(rows.inputs[row])
        recent = tokens[max(0, step - WINDOW + 1) : step + 1][::-1]
        bag = WINDOW * vocabulary + tokens[: step + 1]
        columns.append(np.concatenate([recent + vocabulary * np.arange(len(recent)), bag]))
    indptr = np.concatenate([[0], np.cumsum([len(entries) for entries in columns])])
    indices = np.concatenate(columns)
    shape = (len(columns), (WINDOW + 1) * vocabulary)
    matrix = csr_array((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix, np.array([rows.targets[row][step] for row, step in steps_N2])


def _scored(target: np.ndarray) -> np.ndarray:
    return target[target != IGNORE]
