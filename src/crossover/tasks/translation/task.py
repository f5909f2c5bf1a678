"""Translation: text of one language to text of another, by an encoder-decoder that writes it token by token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.text import BEGIN, Vocabulary, split_words, train_vocabulary, unit_names
from crossover.errors import ConfigError
from crossover.models.encoder import Source
from crossover.tasks.base import Baseline, Batch, Split
from crossover.tasks.objectives import IGNORE
from crossover.tasks.options import Choice, Flag, Setting, Whole
from crossover.tasks.rows import RowTask
from crossover.tasks.translation.pairs import Pairs, TranslationData
from crossover.tasks.translation.reader import (
    PairReader,
    TranslationObjective,
    Translator,
    hypotheses,
    translation_spec,
)
from crossover.tasks.translation.scores import signature

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
UNITS = ("subwords", "words", "characters")
SETTINGS: dict[str, Setting] = {
    "source_units": Choice(UNITS, "subwords"),
    "target_units": Choice(UNITS, "subwords"),
    "vocabulary": Whole(4000, 300),
    "shared": Flag(),
    "longest": Whole(0, 0),
    "beam": Whole(1),
}
"""`vocabulary` ids at most a side; `shared` makes one vocabulary of both; `longest` 0 leaves every text whole; `beam`
hypotheses are kept while valid and test are written (1: greedily)."""


class PairRows:
    """The rows of one split: source ids, target ids with their end, and the number of each row's references."""

    def __init__(self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], first: int) -> None:
        self.sources = sources
        self.targets = targets
        self.first = first

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Steps of the longer side of each row: what a batch by tokens is bounded by."""
        pairs = zip(self.sources, self.targets, strict=True)
        return np.fromiter((max(len(s), len(t)) for s, t in pairs), dtype=np.int64, count=len(self.sources))

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows: the target shifted by one step in, the target out, the source beside it."""
        source, source_lengths_B = pad([self.sources[i] for i in rows_B])
        chosen = [self.targets[i] for i in rows_B]
        inputs, lengths_B = pad([np.concatenate([[BEGIN], target[:-1]]) for target in chosen])
        targets, _ = pad([target - IGNORE for target in chosen], length=inputs.shape[1])
        rows = torch.from_numpy(np.asarray(rows_B, dtype=np.int64))
        return Batch(
            inputs=inputs,
            lengths_B=lengths_B,
            targets=targets + IGNORE,
            rows_B=rows,
            extra={"references": rows + self.first},
            source=Source(source, source_lengths_B),
        )


class Translation(Translator, RowTask):
    """Each sentence of the source language to one of the target language, scored against all its references.

    In train every reference of a source is a row of its own. On valid and test a row is a source; what the model
    writes greedily is scored by sacreBLEU, chrF and exact match, its loss is that of the first reference.
    """

    def __init__(self, name: str, data: TranslationData, settings: Mapping[str, Any], **fields: Any) -> None:
        reader = _reader(data, settings)
        longest = int(settings["longest"]) or None
        notes = [*fields.pop("notes", ()), *data.notes, f"Scored by sacreBLEU: {signature(data.languages[1])}."]
        self.data = data
        self.splits: dict[Split, PairRows] = {}
        references: list[tuple[str, ...]] = []
        sources: list[str] = []
        for split in SPLITS:
            first = len(references)
            pairs, rows, over = _rows(data.splits[split], reader, longest, first=first, trained=split == "train")
            self.splits[split] = rows
            references += pairs.references
            sources += pairs.sources
            if over:
                fate = "left out" if split == "train" else "cut"
                notes.append(f"{over} {split} rows longer than {longest} {settings['source_units']} were {fate}.")
        beam = int(settings["beam"])
        if beam > 1:
            notes.append(f"Written by a beam of {beam}.")
        steps = max(int(rows.lengths_N.max(initial=1)) for rows in self.splits.values())
        words_N = np.array([len(split_words(source)) for source in sources])
        self.scored = TranslationObjective(reader, references, words_N, metric=fields.get("metric", "bleu"))
        self.objective = self.scored
        super().__init__(translation_spec(name, reader, steps, beam=beam, notes=tuple(notes), **fields), reader)

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent translation of train, and the translation of train's nearest source (by its letters)."""
        train, asked = self.data.splits["train"], self.data.splits[split]
        started = perf_counter()
        firsts = [references[0] for references in train.references]
        counts = Counter(firsts)
        common = min(counts, key=lambda text: (-counts[text], text))
        trivial = self._baseline("most frequent", "trivial", [common] * len(asked), split, started)
        vectorizer, known, fitting = self._memory
        started = perf_counter() - fitting
        likeness = (vectorizer.transform(asked.sources) @ known.T).tocsr()
        written = [firsts[i] for i in np.asarray(likeness.argmax(axis=1)).ravel()]
        memory = self._baseline("nearest sentence", "strong", written, split, started, parameters=known.nnz)
        return [trivial, memory]

    @cached_property
    def _memory(self) -> tuple[Any, Any, float]:
        """TF-IDF over letters of train's sources, their matrix [N, letters], and the seconds that it took."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        started = perf_counter()
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        known = vectorizer.fit_transform(self.data.splits["train"].sources)
        return vectorizer, known, perf_counter() - started

    def _baseline(
        self, name: str, kind: Any, written: list[str], split: Split, started: float, parameters: int | None = None
    ) -> Baseline:
        rows = self.splits[split]
        unknown_N = np.full(len(written), np.nan)
        items = {
            "loss": unknown_N,
            "count": np.array([float(len(target)) for target in rows.targets]),
            "correct": unknown_N,
            "length": np.array([float(len(target)) for target in rows.targets]),
            **self.scored.statistics(written, range(rows.first, rows.first + len(rows))),
        }
        return self.baseline(name, kind, items, seconds=perf_counter() - started, parameters=parameters)

    def step_names(self, batch: Batch) -> tuple[list[str], list[str]]:
        """The units of the source, and those of its first reference."""
        read = batch.source.inputs[0].tolist() if batch.source is not None else []
        return unit_names(self.reader.source, read), unit_names(self.reader.target, batch.targets[0].tolist())

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The first rows of the batch: the source, its references, and what the model wrote."""
        if batch.source is None:
            return []
        shown = []
        for row, text in enumerate(hypotheses(outputs, batch, self.reader)[:limit]):
            ids = batch.source.inputs[row, : batch.source.lengths_B[row]].tolist()
            references = self.scored.references[int(batch.extra["references"][row])]
            shown.append(
                {"input": self.reader.source.decode(ids), "target": " / ".join(references), "prediction": text}
            )
        return shown


def _reader(data: TranslationData, settings: Mapping[str, Any]) -> PairReader:
    """Vocabularies of train alone."""
    train, size = data.splits["train"], int(settings["vocabulary"])
    texts = [reference for references in train.references for reference in references]
    if not settings["shared"]:
        source: Vocabulary = train_vocabulary(settings["source_units"], train.sources, size=size)
        target = train_vocabulary(settings["target_units"], texts, size=size)
        return PairReader(source=source, target=target, languages=data.languages)
    if settings["source_units"] != settings["target_units"]:
        raise ConfigError(
            f"shared=true needs one kind of units, not {settings['source_units']} and {settings['target_units']}: "
            "give both sides the same"
        )
    both = train_vocabulary(settings["source_units"], [*train.sources, *texts], size=size)
    return PairReader(source=both, target=both, languages=data.languages, shared=True)


def _one_reference_each(pairs: Pairs) -> Pairs:
    """Every reference with its source as a row of its own."""
    flat = pairs.flat()
    return Pairs(tuple(source for source, _ in flat), tuple((reference,) for _, reference in flat))


def _rows(
    pairs: Pairs, reader: PairReader, longest: int | None, *, first: int, trained: bool
) -> tuple[Pairs, PairRows, int]:
    """The pairs that become rows, the rows, and how many pairs have a side longer than `longest` (None: no limit).

    In train each reference is a row, and such pairs are left out; elsewhere their sources are cut.
    """
    if trained:
        pairs = _one_reference_each(pairs)
    source_ids = reader.sources(pairs.sources)
    target_ids = reader.targets([references[0] for references in pairs.references])
    if longest is None:
        return pairs, PairRows(source_ids, target_ids, first), 0
    if not trained:
        cut = [ids[:longest] for ids in source_ids]
        return pairs, PairRows(cut, target_ids, first), sum(len(ids) > longest for ids in source_ids)
    sides = zip(source_ids, target_ids, strict=True)
    kept = [row for row, pair in enumerate(sides) if max(map(len, pair)) <= longest]
    if not kept:
        raise ConfigError(f"every pair of train is longer than {longest}: give a larger --set task.longest")
    rows = PairRows([source_ids[i] for i in kept], [target_ids[i] for i in kept], first)
    return pairs.take(kept), rows, len(pairs) - len(kept)
