"""Splitting rows into train, valid and test, and finding what is in two of them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossover.errors import ConfigError, DataError

SHINGLE_WORDS = 3
NEAR_JACCARD = 0.8
_WORD = re.compile(r"[㐀-䶿一-鿿豈-﫿]|[^\W㐀-䶿一-鿿豈-﫿]+")


def random_split(
    n: int,
    fractions: tuple[float, float, float],
    seed: int,
    *,
    stratify: Sequence[Any] | None = None,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, np.ndarray]:
    """Sorted row indices of "train", "valid" and "test", int64.

    It is scikit-learn's ``train_test_split`` twice with ``random_state=seed``: test from all, then valid from the
    rest. Rows of one group stay on one side: the groups, in the order of their first rows, are what is split, each
    stratified by its first row's label.

    Raises DataError where there are too few rows, groups or examples of a label to split.
    """
    _check_fractions(fractions)
    labels = None if stratify is None else list(stratify)
    members = [np.array([row]) for row in range(n)] if groups is None else _members(groups)
    for what, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != n:
            raise DataError(f"{len(given)} {what} for {n} rows: give one for each row")
    units = np.arange(len(members))
    unit_labels = None if labels is None else [labels[rows[0]] for rows in members]
    train, valid, test = fractions
    rest, test_units = _cut(units, test, seed, unit_labels)
    train_units, valid_units = _cut(rest, valid / (train + valid), seed, unit_labels)
    chosen = {"train": train_units, "valid": valid_units, "test": test_units}
    return {split: np.sort(_rows(members, picked)) for split, picked in chosen.items()}


def time_split(n: int, fractions: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """Row indices of "train", "valid" and "test" in the order of time: the first rows train, the last rows test.

    Train and test are rounded down, valid takes what is left, as is usual for forecasting data.
    """
    _check_fractions(fractions)
    train, test = math.floor(n * fractions[0] + 1e-9), math.floor(n * fractions[2] + 1e-9)
    bounds = {"train": (0, train), "valid": (train, n - test), "test": (n - test, n)}
    for (split, (first, last)), fraction in zip(bounds.items(), fractions, strict=True):
        if fraction > 0 and last <= first:
            raise DataError(f"{n} rows are too few to give {fraction:.0%} of them to {split}: use more rows")
    return {split: np.arange(first, last) for split, (first, last) in bounds.items()}


def draw_share(n: int, share: float, seed: int, *, stratify: Sequence[Hashable] | None = None) -> np.ndarray:
    """Sorted indices, int64, of the `share` of n rows that `seed` draws: the nearest whole number, one at least.

    With labels to `stratify` by, each has its part. A larger share of the same rows holds the smaller ones.
    """
    order_N = np.random.default_rng(seed).permutation(n)
    if stratify is not None:
        counts, seen = Counter(stratify), Counter[Hashable]()
        place_N = np.empty(n)
        for i in order_N.tolist():
            place_N[i] = (seen[stratify[i]] + 0.5) / counts[stratify[i]]
            seen[stratify[i]] += 1
        order_N = order_N[np.argsort(place_N[order_N], kind="stable")]
    return np.sort(order_N[: max(round(share * n), 1)])


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    in_range = all(0 <= f <= 1 for f in fractions) and fractions[0] > 0
    if not in_range or abs(sum(fractions) - 1) > 1e-9:
        raise ConfigError(f"split fractions {fractions}: use three shares of train, valid and test that add up to 1")


def _members(groups: Sequence[Hashable]) -> list[np.ndarray]:
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows[group].append(row)
    return [np.array(indices) for indices in rows.values()]


def _rows(members: list[np.ndarray], units: np.ndarray) -> np.ndarray:
    return np.concatenate([members[unit] for unit in units]) if len(units) else np.empty(0, dtype=np.int64)


def _cut(units: np.ndarray, share: float, seed: int, labels: list[Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """(rest, taken) by `train_test_split`; the share is rounded so that 0.1 / 0.8 does not round a row up."""
    from sklearn.model_selection import train_test_split

    if share == 0:
        return units, np.empty(0, dtype=np.int64)
    chosen = None if labels is None else [labels[unit] for unit in units]
    if chosen is not None:
        label, count = min(Counter(chosen).items(), key=lambda item: item[1], default=("", 0))
        if count < 2:
            raise DataError(f"label {label!r} has {count} example left: a stratified split needs two of each label")
    try:
        rest, taken = train_test_split(units, test_size=round(share, 12), random_state=seed, stratify=chosen)
    except ValueError as error:
        raise DataError(f"{len(units)} rows cannot be split at {share:.3g}: {error}") from error
    return rest, taken


@dataclass(frozen=True)
class Duplicates:
    """How many test rows stand in train too: the same after normalisation, or nearly; `indices` into test."""

    exact: int
    near: int
    indices: np.ndarray


def find_duplicates(train: Sequence[str], test: Sequence[str]) -> Duplicates:
    """Test texts that are in `train`, exactly (Unicode form, case and spaces aside) or nearly.

    Near means a Jaccard similarity of word 3-shingles of at least 0.8, found exactly and not by sampling: two sets
    that similar share one of their rarest shingles (prefix filtering, Bayardo et al. 2007, "Scaling up all pairs
    similarity search"), so only those are indexed.
    """
    train_texts, test_texts = [_normal(t) for t in train], [_normal(t) for t in test]
    known = set(train_texts)
    exact = [i for i, text in enumerate(test_texts) if text in known]
    found = set(exact)
    candidates = [i for i in range(len(test_texts)) if i not in found]
    near = _near(list(dict.fromkeys(train_texts)), test_texts, candidates)
    return Duplicates(len(exact), len(near), np.array(sorted([*exact, *near]), dtype=np.int64))


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text)
    count = max(len(words) - SHINGLE_WORDS + 1, 1) if words else 0
    return {tuple(words[i : i + SHINGLE_WORDS]) for i in range(count)}


def _prefix(size: int) -> int:
    return size - math.ceil(NEAR_JACCARD * size - 1e-9) + 1


def _near(train: list[str], test: list[str], candidates: list[int]) -> list[int]:
    train_sets = [_shingles(text) for text in train]
    test_sets = {i: _shingles(test[i]) for i in candidates}
    frequency: Counter[tuple[str, ...]] = Counter()
    for shingles in train_sets:
        frequency.update(shingles)
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, shingles in enumerate(train_sets):
        for shingle in _rarest(shingles, frequency):
            index[shingle].append(row)
    near = []
    for i, shingles in test_sets.items():
        rows = dict.fromkeys(row for shingle in _rarest(shingles, frequency) for row in index.get(shingle, ()))
        if any(_similar(shingles, train_sets[row]) for row in rows):
            near.append(i)
    return near


def _rarest(shingles: set[tuple[str, ...]], frequency: Counter[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return sorted(shingles, key=lambda s: (frequency[s], s))[: _prefix(len(shingles))] if shingles else []


def _similar(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> bool:
    shared = len(a & b)
    return shared >= NEAR_JACCARD * (len(a) + len(b) - shared) - 1e-9
