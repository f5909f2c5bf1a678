"""Sentence pairs for translation: grouped by source, split, and cleared of what would give the test away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crossover.data.options import DataOptions
from crossover.data.splits import random_split
from crossover.errors import DataError
from crossover.tasks.base import Split
from crossover.tasks.train_share import share_of_train

FRACTIONS = (0.8, 0.1, 0.1)
"""Shares of train, valid and test where the data have no split of their own."""

_WORD = re.compile(r"[㐀-䶿一-鿿豈-﫿]|[^\W㐀-䶿一-鿿豈-﫿]+(?:['’][^\W_]+)*")
_FEWEST = 10
_MODULUS = (1 << 61) - 1
_BASE = 1_111_111_111_111_111_111
_MASK = 1


@dataclass(frozen=True)
class Pairs:
    """Sources and, for each, its references: one or more translations that all count as right."""

    sources: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Iterable[int]) -> Pairs:
        """These rows, in this order."""
        chosen = list(rows)
        return Pairs(tuple(self.sources[i] for i in chosen), tuple(self.references[i] for i in chosen))

    def flat(self) -> list[tuple[str, str]]:
        """Every (source, reference), one after the other: what training reads."""
        return [(s, r) for s, references in zip(self.sources, self.references, strict=True) for r in references]


Parts = dict[Split, Pairs]


@dataclass(frozen=True, kw_only=True)
class TranslationData:
    """What a translation task is made from; `languages` are the codes of the source and the target."""

    splits: Mapping[Split, Pairs]
    notes: tuple[str, ...]
    languages: tuple[str, str]

    def on_share(self, options: DataOptions) -> TranslationData:
        """The same with only the share of train's sources that the options ask for."""
        train = self.splits["train"]
        rows, notes = share_of_train(len(train), options)
        return replace(self, splits={**self.splits, "train": train.take(rows)}, notes=(*self.notes, *notes))


def group_by_source(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """One row for each source text, in the order of its first pair, with its distinct references in their order."""
    grouped: dict[str, dict[str, None]] = {}
    for source, reference in pairs:
        grouped.setdefault(source, {})[reference] = None
    return Pairs(tuple(grouped), tuple(tuple(references) for references in grouped.values()))


def split_pairs(pairs: Pairs, seed: int, fractions: tuple[float, float, float] = FRACTIONS) -> Parts:
    """A random split into train, valid and test; sources that differ in case or spaces only stand on one side.

    Raises DataError where there are too few sources.
    """
    if len(pairs) < _FEWEST:
        raise DataError(
            f"{len(pairs)} sources are too few to split: give {_FEWEST} or more, or a file for each split"
        )
    rows = random_split(len(pairs), fractions, seed, groups=[normal(source) for source in pairs.sources])
    return {split: pairs.take(rows[split]) for split in ("train", "valid", "test")}


def split_by_group(
    pairs: Sequence[tuple[str, str]],
    groups: Sequence[str],
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> Parts:
    """A random split of the groups (one for each pair, a file's name, say), then grouped by source on each side.

    A source that stands in several groups may stand on several sides: `remove_leaks` takes it out again. Raises
    DataError where there are too few groups.
    """
    rows = random_split(len(pairs), fractions, seed, groups=groups)
    return {split: group_by_source(pairs[i] for i in rows[split]) for split in ("train", "valid", "test")}


def remove_leaks(splits: Mapping[Split, Pairs]) -> tuple[Parts, tuple[str, ...]]:
    """The splits without the valid and test rows that train gives away (see `LeakFinder`), and their counts.

    Where none would be left (sentences of one pattern, all a word apart) they are kept, and the note says so.
    """
    parts: Parts = dict(splits)
    finder = LeakFinder(splits["train"])
    notes = []
    for split in ("valid", "test"):
        pairs = splits[split]
        by_reference_N, by_source_N = finder.find(pairs)
        kept = np.flatnonzero(~(by_reference_N | by_source_N))
        if len(kept) == len(pairs):
            continue
        fate = "removed" if len(kept) else "kept because none would be left"
        notes.append(leak_note(split, by_reference_N, by_source_N, fate))
        if len(kept):
            parts[split] = pairs.take(kept)
    return parts, tuple(notes)


def leak_note(split: str, by_reference_N: np.ndarray, by_source_N: np.ndarray, fate: str) -> str:
    """The sentence for what a `LeakFinder` found in a split: both counts, how many rows that are, and their fate."""
    return (
        f"Of {len(by_source_N)} {split} sentences {int(by_reference_N.sum())} have a reference that stands in train "
        f"and {int(by_source_N.sum())} a source that is at most one word from a training sentence; together "
        f"{int((by_reference_N | by_source_N).sum())}, {fate}."
    )


class LeakFinder:
    """Finds the held-out rows that train gives away, in time that is linear in the words of both.

    A reference leaks where it is one of train, case and spaces aside. A source leaks where its words (case and
    punctuation aside) are those of a training source but for one word that is exchanged, added or left out. Two
    sentences of one word each are not compared in this way, else each of them would be near each other one. Both
    relations are symmetric.
    """

    def __init__(self, train: Pairs):
        self._hasher = _Hasher()
        self._references = {normal(reference) for references in train.references for reference in references}
        self._whole: set[int] = set()
        self._shortened: set[int] = set()
        self._masked: set[int] = set()
        for source in train.sources:
            hashes = self._hasher.of(source)
            self._whole.add(hashes.whole)
            self._shortened.update(hashes.shortened)
            self._masked.update(hashes.masked)

    def find(self, held_out: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """Which rows leak, bool [N] each: by a reference, by their source."""
        by_reference = [
            any(normal(reference) in self._references for reference in references)
            for references in held_out.references
        ]
        by_source = [self._is_near(self._hasher.of(source)) for source in held_out.sources]
        return np.array(by_reference, dtype=bool), np.array(by_source, dtype=bool)

    def _is_near(self, hashes: _Hashes) -> bool:
        return (
            hashes.whole in self._whole
            or hashes.whole in self._shortened
            or not self._whole.isdisjoint(hashes.shortened)
            or not self._masked.isdisjoint(hashes.masked)
        )


@dataclass(frozen=True)
class _Hashes:
    """Hashes of a sentence's words: of all, of all but the i-th, of all with a mask for the i-th."""

    whole: int
    shortened: list[int]
    masked: list[int]


class _Hasher:
    """Polynomial hashes of word sequences, all n of a sentence in n steps; words are numbered as they come.

    Two different ones of a million hashes of 61 bits are the same with a chance below one in a million.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._powers = [1]

    def of(self, sentence: str) -> _Hashes:
        words = _WORD.findall(sentence.casefold()) or [normal(sentence)]
        numbers = [self._numbers.setdefault(word, len(self._numbers) + _MASK + 1) for word in words]
        count = len(numbers)
        while len(self._powers) <= count:
            self._powers.append(self._powers[-1] * _BASE % _MODULUS)
        before, after = [0], [0]
        for i, number in enumerate(numbers):
            before.append((before[-1] * _BASE + number) % _MODULUS)
            after.append((after[-1] + numbers[count - 1 - i] * self._powers[i]) % _MODULUS)
        places = range(count if count > 1 else 0)
        left = [count - 1 - i for i in places]
        return _Hashes(
            whole=before[count],
            shortened=[(before[i] * self._powers[left[i]] + after[left[i]]) % _MODULUS for i in places],
            masked=[
                ((before[i] * _BASE + _MASK) * self._powers[left[i]] + after[left[i]]) % _MODULUS for i in places
            ],
        )


def normal(text: str) -> str:
    """`text` in lower case with single spaces: what counts as the same text."""
    return " ".join(text.casefold().split())
