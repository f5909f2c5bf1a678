"""Sequence classification: one label for a whole series or image, embedded, from UEA/UCR files, or a user's own.

The inputs are z-scored per channel on train; rows keep their own lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.options import DataOptions
from crossover.data.series import read_ts
from crossover.errors import DataError
from crossover.models.ports import Continuous, PerRow
from crossover.tasks.base import Baseline, Batch, Split, TaskSpec
from crossover.tasks.objectives import CLASSIFIED, Classification
from crossover.tasks.options import read_settings
from crossover.tasks.rows import Rows, RowTask
from crossover.tasks.series.labelled import (
    BASIC_MOTIONS,
    DIGITS,
    GUNPOINT,
    ITALY_POWER_DEMAND,
    JAPANESE_VOWELS,
    OWN,
    LabelledData,
    LabelledSplits,
)
from crossover.tasks.series.random_convolutions import resample
from crossover.tasks.series.simple_classifiers import CLASSIFIERS

FAMILY = "classification"
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_STEPS = 40


class LabelledReader:
    """Series in, labels out: the half of the task that needs no data, and that `restore` gives back.

    `mean_C` and `deviation_C` are the statistics of train, by which the z-scores are formed.
    """

    def __init__(self, spec: TaskSpec, mean_C: np.ndarray, deviation_C: np.ndarray) -> None:
        self.spec = spec
        self.labels = spec.labels
        self.mean_C = mean_C
        self.deviation_C = deviation_C

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: series are read from a file."""
        raise DataError(f"task {self.spec.name!r} takes no text: give a .ts file with --file")

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The mean of a series' channels drawn in bars, its label and the predicted one."""
        return [
            {
                "input": _bars(batch.inputs[i, : batch.lengths_B[i]].mean(-1).numpy(force=True)),
                "target": self.labels[int(batch.targets[i])],
                "prediction": self.labels[int(outputs[i].argmax())],
            }
            for i in range(min(limit, batch.size))
        ]

    def encode_file(self, path: Path) -> Batch:
        """The series of a ``.ts`` file, their labels unread; DataError where the channels are others than train's."""
        rows = [self.scores(row, path.name) for row in read_ts(path).rows]
        inputs, lengths_B = pad(rows)
        unread_B = torch.zeros(len(rows), dtype=torch.int64)
        return Batch(inputs=inputs, lengths_B=lengths_B, targets=unread_B, rows_B=torch.arange(len(rows)))

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The likeliest label and the probability of each."""
        return [
            {
                "label": self.labels[max(range(len(shares)), key=shares.__getitem__)],
                "probabilities": dict(zip(self.labels, shares, strict=True)),
            }
            for shares in outputs.float().softmax(-1).tolist()
        ]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "labels": list(self.labels),
            "max_length": self.spec.max_length,
            "mean": self.mean_C.tolist(),
            "deviation": self.deviation_C.tolist(),
        }

    def scores(self, row_TC: np.ndarray, where: str) -> np.ndarray:
        """A series to z-scores of train, float32; DataError where it has other channels than train."""
        if row_TC.shape[1] != len(self.mean_C):
            raise DataError(
                f"{where} has series of {row_TC.shape[1]} channels, train has "
                f"{len(self.mean_C)}: give series of the same channels"
            )
        return ((row_TC - self.mean_C) / self.deviation_C).astype(np.float32)


class SequenceClassification(LabelledReader, RowTask):
    """One of C labels for each series [T, C]."""

    splits: Mapping[Split, Rows]

    def __init__(self, data: LabelledData, given: LabelledSplits) -> None:
        """Normalises with the statistics of train; raises DataError where the splits differ in channels."""
        steps_NC = np.concatenate(given.rows["train"])
        labels = tuple(sorted({label for part in given.labels.values() for label in part}, key=_natural))
        mean_C, deviation_C = steps_NC.mean(0, dtype=np.float64), steps_NC.std(0, dtype=np.float64)
        spec = series_spec(
            data.name,
            labels,
            len(mean_C),
            max(len(row) for rows in given.rows.values() for row in rows),
            description=data.description,
            budget=data.budget,
            batch_rows=data.batch_rows,
            embedded=data.embedded,
            defaults=data.defaults,
            recipes=data.recipes,
            references=data.references,
            notes=given.notes,
        )
        super().__init__(spec, mean_C, np.where(deviation_C > 0, deviation_C, 1.0))
        self.objective = Classification(labels)
        self.splits = {
            split: Rows(
                inputs=[self.scores(row, split) for row in rows],
                targets=np.array([labels.index(label) for label in given.labels[split]], dtype=np.int64),
            )
            for split, rows in given.rows.items()
        }

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent label; the nearest neighbour; random convolutions and ridge regression."""
        train, scored = self.splits["train"], self.splits[split]
        targets_N = np.asarray(train.targets)
        most = np.bincount(targets_N, minlength=len(self.labels)).argmax()
        steps = int(np.median(train.lengths_N))
        train_NTC, scored_NTC = resample(list(train.inputs), steps), resample(list(scored.inputs), steps)
        found = [self.label_baseline("majority", "trivial", split, np.full(len(scored), most), 0.0)]
        for name, classify in CLASSIFIERS:
            began = perf_counter()
            predictions_N, parameters = classify(train_NTC, targets_N, scored_NTC)
            seconds = perf_counter() - began
            found.append(self.label_baseline(name, "strong", split, predictions_N, seconds, parameters))
        return found


def restore(artifacts: Mapping[str, Any]) -> LabelledReader:
    """The reader that `LabelledReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        mean_C, deviation_C = (np.array(artifacts[key], dtype=np.float64) for key in ("mean", "deviation"))
        labels = tuple(str(label) for label in artifacts["labels"])
        spec = series_spec(str(artifacts["name"]), labels, len(mean_C), int(artifacts["max_length"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of labelled series ({type(error).__name__}: {error})") from error
    return LabelledReader(spec, mean_C, deviation_C)


def series_spec(name: str, labels: tuple[str, ...], channels: int, max_length: int, **fields: Any) -> TaskSpec:
    """The spec of a task on labelled series; `fields` are further fields of `TaskSpec`, for a task with its data."""
    spec: dict[str, Any] = {
        "name": name,
        "family": FAMILY,
        "description": "a label for each series",
        "inputs": Continuous(channels=channels),
        "outputs": PerRow(size=len(labels), pool="mean"),
        **CLASSIFIED,
        "causal": False,
        "max_length": max_length,
        "unit": "steps",
        "labels": labels,
    }
    return TaskSpec(**{**spec, **fields})


def build_classification(data: LabelledData, options: DataOptions) -> SequenceClassification:
    """The task of a data set for a user's options; ConfigError and DataError as `DataOptions` says."""
    settings = read_settings(data.name, options.settings, data.settings)
    return SequenceClassification(data, data.load(options, settings))


digits = partial(build_classification, DIGITS)
japanese_vowels = partial(build_classification, JAPANESE_VOWELS)
basic_motions = partial(build_classification, BASIC_MOTIONS)
gunpoint = partial(build_classification, GUNPOINT)
italy_power_demand = partial(build_classification, ITALY_POWER_DEMAND)
own = partial(build_classification, OWN)


def _bars(values_T: np.ndarray) -> str:
    """Values drawn as bars between their least and largest, every k-th where there are many."""
    shown_T = values_T[:: -(-len(values_T) // _SHOWN_STEPS)] if len(values_T) else values_T
    span = float(np.ptp(shown_T)) if len(shown_T) else 0.0
    heights = (shown_T - shown_T.min()) / span * (len(_BARS) - 1) if span > 0 else np.zeros(len(shown_T))
    return "".join(_BARS[round(float(height))] for height in heights)


def _natural(label: str) -> tuple[bool, float, str]:
    """Numbers in their order, then words."""
    return (False, float(label), label) if label.isdecimal() else (True, 0.0, label)
