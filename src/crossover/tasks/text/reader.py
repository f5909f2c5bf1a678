"""Texts to ids: the settings, the vocabulary and the reader that tasks over texts share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossover.data.options import DataOptions
from crossover.data.speech_parts import TAGS, tag_words
from crossover.data.text import Borrowed, Vocabulary, train_vocabulary
from crossover.errors import ConfigError, listing
from crossover.models.ports import Tokens
from crossover.tasks.options import Choice, Flag, Setting, Whole, read_settings, refuse_unread

VOCABULARY_SETTINGS: Mapping[str, Setting] = {
    "units": Choice(("words", "subwords", "characters"), "words"),
    "vocabulary": Whole(20_000),
    "minimum_count": Whole(2),
    "lowercase": Flag(True),
}
"""What makes a vocabulary; a borrowed one leaves no choice."""


@dataclass(frozen=True)
class TextReader:
    """Texts to ids, cut at `max_length` units, with part-of-speech tags where `tags` says so."""

    vocabulary: Vocabulary
    max_length: int
    tags: bool = False

    @property
    def inputs(self) -> Tokens:
        """What a model is built for."""
        return Tokens(vocabulary=self.vocabulary.size, features={"tags": len(TAGS)} if self.tags else {})

    def read(self, texts: Sequence[str]) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]], int]:
        """Ids and features of each text, and how many texts were cut."""
        whole = self.vocabulary.encode(texts)
        ids = [np.array(row[: self.max_length], dtype=np.int64) for row in whole]
        features = {"tags": self._tags(texts, [len(row) for row in ids])} if self.tags else {}
        return ids, features, sum(len(row) > self.max_length for row in whole)

    def _tags(self, texts: Sequence[str], lengths: Sequence[int]) -> list[np.ndarray]:
        """Tags of the words as written, since a capital tells a name; lower case can cut a few words otherwise."""
        number = {tag: i for i, tag in enumerate(TAGS)}
        rows = []
        for tagged, length in zip(tag_words(texts), lengths, strict=True):
            row = np.zeros(length, dtype=np.int64)
            known = [number[tag] for _, tag in tagged[:length]]
            row[: len(known)] = known
            rows.append(row)
        return rows


def make_vocabulary(
    texts: Sequence[str], settings: Mapping[str, Any], borrowed: Borrowed | None
) -> tuple[Vocabulary, tuple[str, ...]]:
    """The vocabulary of training `texts` by `VOCABULARY_SETTINGS`, or the borrowed one with a note of its owner."""
    if borrowed is not None:
        return borrowed.vocabulary, (borrowed.note,)
    trained = train_vocabulary(
        settings["units"],
        texts,
        size=settings["vocabulary"],
        minimum_count=settings.get("minimum_count", 1),
        lowercase=settings.get("lowercase", False),
    )
    return trained, ()


def read_text_settings(
    task: str,
    options: DataOptions,
    known: Mapping[str, Setting],
    *,
    reads: Collection[str] = ("split_seed", "borrowed"),
) -> dict[str, Any]:
    """The settings of a task over texts; options that it does not read are a ConfigError.

    So are settings of a vocabulary beside a borrowed one.
    """
    refuse_unread(task, options, reads=reads)
    given = [name for name in options.settings if name in VOCABULARY_SETTINGS]
    if options.borrowed is not None and given:
        raise ConfigError(
            f"task {task!r}: {listing(given)} cannot be set, since texts are read by the vocabulary of "
            f"{options.borrowed.owner}: leave it out, or start from no trained model"
        )
    return read_settings(task, options.settings, known)


def cut_note(cut: int, total: int, split: str, reader: TextReader, unit: str) -> tuple[str, ...]:
    """The sentence for the texts of a split that were too long; none where none was."""
    return (f"{cut} of {total} {split} texts were cut at {reader.max_length} {unit}.",) if cut else ()


def unit_of(vocabulary: Vocabulary) -> str:
    """What one id stands for, as notes and specs say it."""
    return "subwords" if vocabulary.kind == "foreign" else vocabulary.kind
