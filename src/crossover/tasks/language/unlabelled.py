"""Texts without labels, split: what a model is pre-trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossover.data.catalogue import locate
from crossover.data.encoding import read_text
from crossover.data.options import DataOptions
from crossover.data.splits import find_duplicates, random_split
from crossover.data.tables import load_frame, read_table
from crossover.errors import ConfigError, DataError
from crossover.tasks.base import Split
from crossover.tasks.options import Choice, Setting, Whole
from crossover.tasks.text.files import text_column
from crossover.tasks.text.sentiment import AGREEMENT_FILES, read_phrasebank
from crossover.tasks.text.sources import split_texts
from crossover.tasks.train_share import on_share

FRACTIONS = (0.9, 0.05, 0.05)
"""Shares of train, valid and test; most of a text without labels is to learn from."""

NEWS_SETTINGS: Mapping[str, Setting] = {"splits": Whole(1), "agreement": Choice(tuple(AGREEMENT_FILES), "all")}
"""Whose test sentences are kept out: those of `splits` splits, of the sentences with this agreement."""

_FEWEST = 20


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts by split, and what was found in reading them."""

    splits: Mapping[Split, Sequence[str]]
    notes: tuple[str, ...] = ()

    def on_share(self, options: DataOptions) -> UnlabelledTexts:
        """The same with only the share of train that the options ask for."""
        splits, notes = on_share(self.splits, options)
        return UnlabelledTexts(splits, (*self.notes, *notes))


def own_texts(options: DataOptions) -> UnlabelledTexts:
    """The user's file or files: a line a text, or the column `options.text` of a table.

    Raises ConfigError where the options name no file, DataError for a file or column that cannot be used.
    """
    given: dict[Split, Path | None] = {"train": options.train, "valid": options.valid, "test": options.test}
    if options.data is not None and not any(given.values()):
        texts, notes = _read(options.data, options.text)
        return UnlabelledTexts(split_lines(texts, options.split_seed), notes)
    if options.data is not None or options.train is None or options.test is None:
        raise ConfigError("texts are needed: give --data FILE, or --train FILE and --test FILE (and --valid FILE)")
    read = {split: _read(str(path), options.text) for split, path in given.items() if path is not None}
    parts: dict[Split, Sequence[str]] = {split: texts for split, (texts, _) in read.items()}
    if "valid" not in parts:
        kept = split_lines(parts["train"], options.split_seed, (0.95, 0.05, 0.0))
        parts = {**kept, "test": parts["test"]}
    notes = tuple(dict.fromkeys(note for _, found in read.values() for note in found))
    return UnlabelledTexts({split: parts[split] for split in ("train", "valid", "test")}, notes)


def python_paragraphs(seed: int) -> UnlabelledTexts:
    """Paragraphs of the Python language reference that the interpreter carries, split by topic."""
    from pydoc_data.topics import topics

    names = sorted(topics)
    order = np.random.default_rng([seed, 7]).permutation(len(names))
    # Topics, not paragraphs, are split: neighbouring paragraphs are about the same.
    parts = np.split(order, [round(share * len(names)) for share in (0.8, 0.9)])
    splits: dict[Split, Sequence[str]] = {
        split: [paragraph for i in part for paragraph in _paragraphs(topics[names[i]])]  # type: ignore[misc]
        for split, part in zip(("train", "valid", "test"), parts, strict=True)
    }
    return UnlabelledTexts(splits, (f"{len(names)} topics, split by topic.",))


def financial_news_texts(seed: int, splits: int, agreement: str) -> UnlabelledTexts:
    """All sentences of Financial PhraseBank and all headlines of SEntFiN, but for what would give a test away.

    Left out is every text that is a test sentence of ``sentiment/financial-phrasebank`` (with `agreement`) in one of
    its splits `seed` to `seed + splits - 1`, or nearly is one: a Jaccard similarity of word 3-shingles of at least
    0.8 (`crossover.data.splits.find_duplicates`).
    """
    folder = locate("sentiment/financial-phrasebank")
    labelled, _ = read_phrasebank(folder / AGREEMENT_FILES[agreement])
    tested = [text for number in range(splits) for text in split_texts(labelled, seed + number)["test"].texts]
    sentences = [text for file in AGREEMENT_FILES.values() for text in read_phrasebank(folder / file)[0].texts]
    headlines = read_table(locate("sentiment/sentfin"), columns=("Title",)).frame["Title"].to_list()
    texts = list(dict.fromkeys([*sentences, *(title.strip() for title in headlines)]))
    leaks = find_duplicates(tested, texts)
    kept = np.setdiff1d(np.arange(len(texts)), leaks.indices)
    note = (
        f"Texts left out because they are test sentences of sentiment/financial-phrasebank in its splits {seed} to "
        f"{seed + splits - 1}: {leaks.exact} exactly, {leaks.near} nearly."
    )
    return UnlabelledTexts(split_lines([texts[i] for i in kept], seed), (note,))


def split_lines(
    texts: Sequence[str], seed: int, fractions: tuple[float, float, float] = FRACTIONS
) -> dict[Split, Sequence[str]]:
    """A random split; texts that differ in case or spaces only stand on one side. DataError for too few."""
    if len(texts) < _FEWEST:
        raise DataError(f"{len(texts)} texts are too few to split: give {_FEWEST} or more, or a file for each split")
    rows = random_split(len(texts), fractions, seed, groups=[" ".join(text.casefold().split()) for text in texts])
    return {split: [texts[i] for i in rows[split]] for split in ("train", "valid", "test")}


def _read(source: str, column: str | None) -> tuple[list[str], tuple[str, ...]]:
    """The texts of one file that are not blank."""
    if Path(source.removesuffix(".xz").removesuffix(".gz")).suffix.lower() in ("", ".txt"):
        if column is not None:
            raise ConfigError(f"--text {column} names a column, but {source} is a text file: leave it out")
        decoded = read_text(Path(source))
        texts, notes = decoded.text.splitlines(), decoded.notes
    else:
        table = load_frame(source, [column] if column else [])
        name, found = text_column(table.frame, column, source)
        values = table.frame[name].to_list()
        texts, notes = ["" if value is None else str(value) for value in values], (*table.notes, *found)
    kept = [text.strip() for text in texts if text.strip()]
    if not kept:
        raise DataError(f"{source} holds no text: give a file with a text a line, or name the column by --text")
    return kept, notes


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
