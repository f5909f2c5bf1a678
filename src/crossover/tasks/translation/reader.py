"""The half of a translation task that needs no data, and that a saved run brings back: text in, text out.

Shape suffixes: B rows, S source steps, T target steps, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.text import BEGIN, END, Vocabulary, vocabulary_from_json
from crossover.errors import DataError
from crossover.models.encoder import Source
from crossover.models.ports import PerStep, SourceTarget, Tokens
from crossover.tasks.base import Batch, Sums, TaskSpec
from crossover.tasks.objectives import TokenPrediction
from crossover.tasks.translation.scores import scores_from_sums, sentence_statistics

FAMILY = "translation"
_LENGTHS = (10, 20, 40)
DEFAULTS: dict[str, Any] = {"width": 128, "layers": 2, "dropout": 0.1}


@dataclass(frozen=True, kw_only=True)
class PairReader:
    """How texts become ids and back: a vocabulary for each side, the same one where `shared`."""

    source: Vocabulary
    target: Vocabulary
    languages: tuple[str, str]
    shared: bool = False

    @property
    def inputs(self) -> SourceTarget:
        """What a model on these texts takes in."""
        return SourceTarget(
            source=Tokens(vocabulary=self.source.size),
            target=Tokens(vocabulary=self.target.size),
            shared=self.shared,
        )

    def sources(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Source ids of each text."""
        return [np.array(ids, dtype=np.int64) for ids in self.source.encode(texts)]

    def targets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Target ids of each text, its end included."""
        return [np.array([*ids, END], dtype=np.int64) for ids in self.target.encode(texts)]

    def text(self, ids: Sequence[int]) -> str:
        """The target text of `ids` up to its end; pad and begin are left out."""
        listed = list(ids)
        return self.target.decode(listed[: listed.index(END)] if END in listed else listed)

    def to_json(self) -> dict[str, Any]:
        """The reader as JSON; see `reader_from_json`."""
        return {
            "source": self.source.to_json(),
            "target": None if self.shared else self.target.to_json(),
            "languages": list(self.languages),
        }


def reader_from_json(value: Mapping[str, Any]) -> PairReader:
    """What `PairReader.to_json` gave; KeyError, TypeError or DataError for anything else."""
    source = vocabulary_from_json(value["source"])
    shared = value["target"] is None
    languages = (str(value["languages"][0]), str(value["languages"][1]))
    target = source if shared else vocabulary_from_json(value["target"])
    return PairReader(source=source, target=target, languages=languages, shared=shared)


class TranslationObjective(TokenPrediction):
    """The next target token while training; what the model writes by itself, against all references, when scored.

    `references` holds those of every row and `words_N` the number of words of its source, by the number in the
    batch's ``extra["references"]``. `metric` is the score that is told by length of the source.
    """

    def __init__(
        self, reader: PairReader, references: Sequence[Sequence[str]], words_N: np.ndarray, *, metric: str
    ) -> None:
        self.reader = reader
        self.references = references
        self.words_N = words_N
        self.metric = metric

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Loss per target token, and sacreBLEU's statistics of each sentence."""
        written = hypotheses(outputs, batch, self.reader)
        return {**super().metrics(outputs, batch), **self.statistics(written, batch.extra["references"].tolist())}

    def statistics(self, written: Sequence[str], rows: Sequence[int]) -> Sums:
        """The statistics of these texts, against the references of `rows`."""
        references = [self.references[row] for row in rows]
        found = sentence_statistics(written, references, language=self.reader.languages[1])
        return {**found, "words": self.words_N[list(rows)].astype(np.float64)}

    def summarise(self, sums: Sums) -> dict[str, float]:
        """BLEU, chrF, share of exact matches; loss, accuracy and perplexity per token of the reference."""
        return {**super().summarise(sums), **scores_from_sums(sums, language=self.reader.languages[1])}

    def details(self, items: Sums) -> dict[str, Any]:
        """The score by length of the source in words: up to 10, to 20, to 40, and above."""
        buckets = []
        for low, high in zip((0, *_LENGTHS), (*_LENGTHS, math.inf), strict=True):
            inside_N = (items["words"] > low) & (items["words"] <= high)
            if not inside_N.any():
                continue
            sums = {name: values[inside_N].sum(0) for name, values in items.items()}
            words_N = items["words"][inside_N]
            buckets.append(
                {
                    "from": float(words_N.min()),
                    "to": float(words_N.max()),
                    "count": int(inside_N.sum()),
                    "score": self.summarise(sums)[self.metric],
                }
            )
        return {"by_length": buckets}


def hypotheses(outputs: Tensor, batch: Batch, reader: PairReader) -> list[str]:
    """The texts that the model wrote, or, of a batch from which it wrote none, its likeliest next tokens."""
    written = batch.extra.get("written")
    if written is not None:
        return [reader.text(row) for row in written.tolist()]
    likeliest = zip(outputs.argmax(-1).tolist(), batch.lengths_B.tolist(), strict=True)
    return [reader.text(row[:length]) for row, length in likeliest]


class Translator:
    """Texts of one language in, of the other out."""

    def __init__(self, spec: TaskSpec, reader: PairReader) -> None:
        self.spec = spec
        self.reader = reader

    def encode(self, texts: list[str]) -> Batch:
        """Texts to a batch without targets, from which the model writes; DataError for a text that holds nothing."""
        empty = next((place for place, text in enumerate(texts, start=1) if not text.strip()), None)
        if empty is not None:
            raise DataError(f"text {empty} is empty: give some text to translate")
        ids, lengths_B = pad(self.reader.sources(texts))
        begin_B1 = torch.full((len(texts), 1), BEGIN)
        return Batch(
            inputs=begin_B1,
            lengths_B=torch.ones(len(texts), dtype=torch.int64),
            targets=torch.full((len(texts), 1), END),
            rows_B=torch.arange(len(texts)),
            source=Source(ids, lengths_B),
        )

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """``{"text"}`` of each row."""
        return [{"text": text} for text in hypotheses(outputs, batch, self.reader)]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "metric": self.spec.metric,
            "max_length": self.spec.max_length,
            **self.reader.to_json(),
        }


def restore(artifacts: Mapping[str, Any]) -> Translator:
    """The translator that `Translator.artifacts` described; DataError where something is missing or wrong."""
    try:
        reader = reader_from_json(artifacts)
        name, metric, longest = str(artifacts["name"]), str(artifacts["metric"]), int(artifacts["max_length"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"these are no artifacts of a translation ({type(error).__name__}: {error})") from error
    return Translator(translation_spec(name, reader, longest, metric=metric), reader)


def translation_spec(name: str, reader: PairReader, longest: int, **fields: Any) -> TaskSpec:
    """The spec of a translation task; `fields` are further fields of `TaskSpec`, for a task that has its data."""
    metric = fields.get("metric", "bleu")
    # What is compared further has the margin of the first metric, so all are of its scale: 0 to 100, or 0 to 1.
    further = tuple(other for other in ("bleu", "chrf") if other != metric) if metric != "exact_match" else ()
    spec: dict[str, Any] = {
        "name": name,
        "family": FAMILY,
        "description": "text of one language to text of another",
        "inputs": reader.inputs,
        "outputs": PerStep(size=reader.target.size),
        "objective": "translation",
        "metric": metric,
        "higher_is_better": True,
        "causal": True,
        "margin": 0.015 if metric == "exact_match" else 1.0,
        "decoding": "written",
        "further_metrics": further,
        "max_length": longest,
        "unit": "tokens",
        "embedded": False,
        "defaults": DEFAULTS,
    }
    return TaskSpec(**{**spec, **fields})
