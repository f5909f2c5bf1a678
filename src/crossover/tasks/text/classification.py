"""Text classification and regression: units, vocabulary, tags and baselines; where texts come from is told apart."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.options import DataOptions
from crossover.data.text import Borrowed, split_words, unit_names, vocabulary_from_json
from crossover.errors import ConfigError, DataError
from crossover.models.ports import PerRow
from crossover.tasks.base import Baseline, Batch, Split, Sums, TaskSpec
from crossover.tasks.objectives import Classification, SquaredError, classification_items
from crossover.tasks.options import Choice, Flag, Setting, Whole
from crossover.tasks.rows import ChangedRows, Rows, RowSource, RowTask
from crossover.tasks.text.files import read_texts
from crossover.tasks.text.linear import LinearText, fit_linear_text
from crossover.tasks.text.reader import (
    VOCABULARY_SETTINGS,
    TextReader,
    cut_note,
    make_vocabulary,
    read_text_settings,
    unit_of,
)
from crossover.tasks.text.sources import LabelledTexts, read_user_texts

FAMILY = "text-classification"
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

TEXT_SETTINGS: Mapping[str, Setting] = {
    **VOCABULARY_SETTINGS,
    "max_length": Whole(256),
    "tags": Flag(False),
    "word_dropout": Whole(0, minimum=0),
}
"""What any text task may be told with ``--set``; `max_length` counts units, `word_dropout` is in per cent."""

DEFAULTS: Mapping[str, Any] = {"layers": 1, "width": 128, "dropout": 0.3, "embedding_std": 0.1}


class TextPredictor:
    """Texts in, labels or values out: the half of the task that needs no data, and that `restore` gives back.

    `mean` and `scale` undo the normalisation of a regression's values; `column` is that of the user's table which the
    texts of train stood in.
    """

    def __init__(
        self, spec: TaskSpec, reader: TextReader, *, mean: float = 0.0, scale: float = 1.0, column: str | None = None
    ) -> None:
        self.spec = spec
        self.reader = reader
        self.mean = mean
        self.scale = scale
        self.column = column

    def encode(self, texts: list[str]) -> Batch:
        """Texts to a batch without targets."""
        ids, features, _ = self.reader.read(texts)
        inputs, lengths_B = pad(ids)
        targets = torch.zeros(len(texts), dtype=torch.int64) if self.spec.labels else torch.zeros(len(texts), 1, 1)
        return Batch(
            inputs=inputs,
            lengths_B=lengths_B,
            targets=targets,
            rows_B=torch.arange(len(texts)),
            features={name: pad(rows, length=inputs.shape[1])[0] for name, rows in features.items()},
        )

    def file_texts(self, path: Path) -> list[str] | None:
        """The texts of a table like train's, one for each row; None for a file of one text a line.

        Such are a ``.txt`` file or a pipe, and every file where the task was not trained on a table.
        """
        lines = self.column is None or not path.suffix or ".txt" in (suffix.lower() for suffix in path.suffixes)
        return None if lines else read_texts(path, str(self.column))

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """``{"label", "probabilities"}`` of each row, or ``{"value"}`` for a regression."""
        if not self.spec.labels:
            return [{"value": value * self.scale + self.mean} for value in outputs.float().flatten().tolist()]
        rows = outputs.float().softmax(-1).tolist()
        labels = self.spec.labels
        return [
            {
                "label": labels[max(range(len(row)), key=row.__getitem__)],
                "probabilities": dict(zip(labels, row, strict=True)),
            }
            for row in rows
        ]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "labels": list(self.spec.labels),
            "vocabulary": self.reader.vocabulary.to_json(),
            "max_length": self.reader.max_length,
            "tags": self.reader.tags,
            "mean": self.mean,
            "scale": self.scale,
            "column": self.column,
        }


def restore(artifacts: Mapping[str, Any]) -> TextPredictor:
    """The predictor that `TextPredictor.artifacts` described; DataError where something is missing or wrong."""
    try:
        name, labels = str(artifacts["name"]), tuple(str(label) for label in artifacts["labels"])
        reader = TextReader(
            vocabulary_from_json(artifacts["vocabulary"]), int(artifacts["max_length"]), bool(artifacts["tags"])
        )
        mean, scale = float(artifacts["mean"]), float(artifacts["scale"])
        column = artifacts.get("column")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of a text task ({type(error).__name__}: {error})") from error
    spec = text_spec(name, reader, labels)
    return TextPredictor(spec, reader, mean=mean, scale=scale, column=None if column is None else str(column))


def text_spec(name: str, reader: TextReader, labels: tuple[str, ...], **fields: Any) -> TaskSpec:
    """The spec of a text task: a regression where there are no labels; `fields` are further fields of `TaskSpec`."""
    spec = TaskSpec(
        name=name,
        family=FAMILY,
        description="a label or a value for each text",
        inputs=reader.inputs,
        outputs=PerRow(size=len(labels) or 1, pool="max"),
        objective="classification" if labels else "regression",
        metric="accuracy" if labels else "mse",
        higher_is_better=bool(labels),
        causal=False,
        margin=0.015 if labels else 0.03,
        margin_kind="absolute" if labels else "relative",
        further_metrics=("macro_f1",) if labels else ("mae",),
        max_length=reader.max_length,
        embedded=False,
        unit=unit_of(reader.vocabulary),
        labels=labels,
        defaults=DEFAULTS,
    )
    return replace(spec, **fields)


class TextClassification(TextPredictor, RowTask):
    """One label, or one value, for each text."""

    def __init__(
        self,
        name: str,
        source: LabelledTexts,
        settings: Mapping[str, Any],
        options: DataOptions,
        **fields: Any,
    ) -> None:
        """`options` say what share of train is trained on, and by whose vocabulary texts are read."""
        _refuse_tags(name, settings, options.borrowed)
        source = source.on_share(options)
        vocabulary, vocabulary_notes = make_vocabulary(source.texts["train"], settings, options.borrowed)
        reader = TextReader(vocabulary, settings["max_length"], settings["tags"])
        mean, scale = (0.0, 1.0) if source.labels else _moments(source.targets["train"])
        notes = [*fields.pop("notes", ()), *source.notes, *vocabulary_notes]
        self.source = source
        self.word_dropout = settings["word_dropout"] / 100
        self.splits: dict[Split, Rows] = {}
        for split in SPLITS:
            ids, features, cut = reader.read(source.texts[split])
            targets = source.targets[split]
            if not source.labels:
                targets = ((targets - mean) / scale).astype(np.float32)[:, None, None]
            self.splits[split] = Rows(inputs=ids, targets=targets, features=features)
            notes += cut_note(cut, len(ids), split, reader, unit_of(vocabulary))
        if reader.tags:
            notes.append("Part-of-speech tags are a second input beside the words.")
        if not source.labels:
            notes.append(f"Values are normalised by train's mean {mean:.6g} and deviation {scale:.6g}.")
        spec = text_spec(name, reader, source.labels, notes=tuple(notes), **fields)
        super().__init__(spec, reader, mean=mean, scale=scale, column=source.column)
        self.objective = Classification(source.labels) if source.labels else SquaredError()

    def train_rows(self, seed: int, epoch: int) -> RowSource:
        """Train's rows, a share of their units hidden as unknown ones, drawn anew each epoch."""
        rows = self.splits["train"]
        return ChangedRows(rows, partial(self._hide, seed=seed, epoch=epoch)) if self.word_dropout > 0 else rows

    def _hide(self, batch: Batch, seed: int, epoch: int) -> Batch:
        """Drawn row by row, so that what is hidden depends on neither batch nor shard (Iyyer et al. 2015)."""
        draws = [
            np.random.default_rng([seed, epoch, row]).random(length, dtype=np.float32)
            for row, length in zip(batch.rows_B.tolist(), batch.lengths_B.tolist(), strict=True)
        ]
        hidden_BT = torch.zeros(batch.inputs.shape, dtype=torch.bool)
        for row, drawn in enumerate(draws):
            hidden_BT[row, : len(drawn)] = torch.from_numpy(drawn < self.word_dropout)
        return replace(batch, inputs=batch.inputs.masked_fill(hidden_BT, self.reader.vocabulary.unknown))

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent class (or the mean), and TF-IDF with a linear SVM (or ridge)."""
        start = time.perf_counter()
        train = self._targets("train")
        guess = np.bincount(train).argmax() if self.spec.labels else train.mean()
        trivial = self._items(np.full(self.size(split), guess), split)
        trivial_seconds = time.perf_counter() - start
        start = time.perf_counter()
        strong = self._items(self._linear.predict(self._words(split)), split)
        strong_seconds = self._linear.seconds + time.perf_counter() - start
        names = ("majority", "TF-IDF + linear SVM") if self.spec.labels else ("mean", "TF-IDF + ridge")
        return [
            self.baseline(names[0], "trivial", trivial, seconds=trivial_seconds),
            self.baseline(names[1], "strong", strong, seconds=strong_seconds, parameters=self._linear.parameters),
        ]

    def step_names(self, batch: Batch) -> tuple[list[str], list[str]]:
        """The units of the text."""
        return unit_names(self.reader.vocabulary, batch.inputs[0].tolist()), []

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The first rows of the batch: the text as the model reads it, its label and the model's."""
        rows = []
        for i, prediction in enumerate(self.decode(outputs[:limit], batch)):
            ids = batch.inputs[i, : batch.lengths_B[i]].tolist()
            target = batch.targets[i]
            if self.spec.labels:
                texts = self.spec.labels[int(target)], prediction["label"]
            else:
                texts = f"{float(target) * self.scale + self.mean:.4g}", f"{prediction['value']:.4g}"
            rows.append({"input": self.reader.vocabulary.decode(ids), "target": texts[0], "prediction": texts[1]})
        return rows

    @cached_property
    def _linear(self) -> LinearText:
        return fit_linear_text(
            self._words("train"),
            self._targets("train"),
            self._words("valid"),
            self._targets("valid"),
            regression=not self.spec.labels,
        )

    def _words(self, split: Split) -> list[list[str]]:
        return [split_words(text.lower()) for text in self.source.texts[split]]

    def _targets(self, split: Split) -> np.ndarray:
        """Class indices or normalised values [N]."""
        return np.ravel(np.asarray(self.splits[split].targets))

    def _items(self, predictions: np.ndarray, split: Split) -> Sums:
        """Statistics of a baseline's predictions, the same as `metrics` gives for a model's."""
        rows = self.splits[split]
        if self.spec.labels:
            lengths = rows.lengths_N
            return classification_items(self._targets(split), predictions, len(self.spec.labels), lengths=lengths)
        batch = rows.gather(np.arange(len(rows)))
        return self.objective.metrics(torch.from_numpy(predictions.astype(np.float32)), batch)


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation (1 where all values are equal)."""
    return float(values.mean()), float(values.std()) or 1.0


def _refuse_tags(name: str, settings: Mapping[str, Any], borrowed: Borrowed | None) -> None:
    """Tags belong to words, as `split_words` cuts them."""
    units = unit_of(borrowed.vocabulary) if borrowed is not None else settings["units"]
    if settings["tags"] and units != "words":
        raise ConfigError(f"task {name!r}: tags=true needs units=words, not {units}: tags belong to words")


USER_OPTIONS = (
    "data",
    "train",
    "valid",
    "test",
    "split",
    "split_seed",
    "train_share",
    "text",
    "label",
    "time",
    "deduplicate",
    "rare",
    "borrowed",
)


def own(options: DataOptions) -> TextClassification:
    """Text classification, or regression, on the user's files."""
    known = {**TEXT_SETTINGS, "objective": Choice(("auto", "classification", "regression"), "auto")}
    settings = read_text_settings(FAMILY, options, known, reads=USER_OPTIONS)
    objective = settings["objective"]
    source = read_user_texts(options, regression=None if objective == "auto" else objective == "regression")
    return TextClassification(FAMILY, source, settings, options)
