"""Speech: what is said in a recording, by CTC, or which label it has; generated, by name, or a user's own files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from crossover.data.filterbank import FilterBank, Front, fitted_front
from crossover.errors import DataError
from crossover.tasks.base import Baseline, Batch, Split
from crossover.tasks.objectives import Classification
from crossover.tasks.options import Choice, Flag, Setting, Whole
from crossover.tasks.rows import RowTask
from crossover.tasks.speech.baselines import PooledRidge
from crossover.tasks.speech.ctc import CTC, Symbols, needed_steps
from crossover.tasks.speech.reader import Labeller, Transcriber, labels_spec, text_spec
from crossover.tasks.speech.rows import AUGMENT, Augment, SpeechRows
from crossover.tasks.speech.word_errors import error_statistics, marked

HELD: tuple[Split, ...] = ("valid", "test")
SETTINGS: dict[str, Setting] = {
    "mels": Whole(40, 4),
    "stack": Whole(3),
    "streaming": Flag(),
    **AUGMENT,
}
"""What every task on sound may be told with ``--set``."""

OWN_SETTINGS: dict[str, Setting] = {
    **SETTINGS,
    "rate": Whole(16_000, 4_000),
    "units": Choice(("characters", "words"), "characters"),
    "missing": Choice(("refuse", "drop"), "refuse"),
}
"""`rate` is what recordings are resampled to; `missing` what becomes of those without a transcript."""

_MARKS = "Samples mark errors: [a→b] is another word than was said, [-a-] is left out, [+a+] is added."
_FITTED_ROWS = 200
"""Rows of train from which mean and deviation are taken."""


class Writer(Protocol):
    """A simple reader of sound, fitted on train."""

    @property
    def parameters(self) -> int | None:
        """How many, where they can be counted."""
        ...

    def write(self, rows: Sequence[np.ndarray], /) -> list[str]:
        """The text of each row of frames."""
        ...


@dataclass(frozen=True)
class Utterances:
    """Some rows: log-mel frames [F, M] of each, how many, and what is said (or the label)."""

    frames: Sequence[np.ndarray]
    texts: Sequence[str]
    counts_N: np.ndarray

    @classmethod
    def of(cls, frames: Sequence[np.ndarray], texts: Sequence[str]) -> Utterances:
        """Rows whose frames are all there."""
        return cls(frames, texts, np.array([len(frames_FM) for frames_FM in frames], dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class SpeechData:
    """The rows of a task.

    `train` gives those of an epoch of a seed, the same where nothing is drawn. `longest` is the most frames of a row.
    """

    bank: FilterBank
    train: Callable[[int, int], Utterances]
    held: Mapping[Split, Utterances]
    longest: int
    notes: tuple[str, ...] = ()


class SpeechTask(RowTask, ABC):
    """A task on sound: train is drawn for (seed, epoch) and masked, valid and test stay as they are."""

    front: Front
    data: SpeechData
    splits: Mapping[Split, SpeechRows]

    def prepare(self, data: SpeechData, settings: Mapping[str, Any]) -> None:
        """Take the data in; mean and deviation are those of train's first rows."""
        self.data = data
        first = data.train(0, 0)
        rows = [first.frames[i] for i in range(min(_FITTED_ROWS, len(first.texts)))]
        self.front = fitted_front(data.bank, settings["stack"], np.concatenate(rows))
        self._augment = Augment.of(settings)

    def fill(self) -> None:
        """Make the rows of every split; `targets` must be ready. DataError for rows shorter than a step."""
        splits: dict[Split, SpeechRows] = {"train": self.train_rows(0, 0)}
        first = 0
        for split in HELD:
            splits[split] = self._rows(self.data.held[split], first=first)
            first += len(splits[split])
        for split, rows in splits.items():
            if short := int((rows.lengths_N == 0).sum()):
                raise DataError(
                    f"{short} of {len(rows)} recordings of {split} are shorter than a step: give fewer frames a step "
                    f"than --set task.stack={self.front.stack}"
                )
        self.splits = splits

    @abstractmethod
    def targets(self, texts: Sequence[str]) -> np.ndarray | list[np.ndarray]:
        """What the loss reads of rows with these texts: classes [N], or symbols [S] of each row."""

    def train_rows(self, seed: int, epoch: int) -> SpeechRows:
        """Train's rows in an epoch."""
        return self._rows(self.data.train(seed, epoch), augment=self._augment, drawn=(seed, epoch))

    def _rows(self, utterances: Utterances, **fields: Any) -> SpeechRows:
        return SpeechRows(
            front=self.front,
            frames=utterances.frames,
            counts_N=utterances.counts_N,
            targets=self.targets(utterances.texts),
            **fields,
        )


class Transcription(Transcriber, SpeechTask):
    """What is said in each recording, written by CTC: the model gives symbols or a blank at every step.

    Scored by the word error rate of the likeliest path: substitutions, deletions and insertions for each word said.
    Recordings become log-mel energies, three frames of 10 ms to a step, z-scored by train's statistics. Train is
    masked in time and frequency (SpecAugment). With `--set task.streaming=true` the model sees only the past.
    """

    def __init__(
        self,
        name: str,
        data: SpeechData,
        settings: Mapping[str, Any],
        *,
        units: str,
        said: Sequence[str],
        simple: tuple[str, Callable[[], Writer]],
        **fields: Any,
    ) -> None:
        """`said` holds every text of train, whose symbols the model may write; `simple` names and fits a reader."""
        self.prepare(data, settings)
        self.simple = simple
        symbols = Symbols.of(units, said)
        self.scored = CTC(symbols, [text for split in HELD for text in data.held[split].texts])
        self.objective = self.scored
        self.symbols = symbols
        self.fill()
        notes = (*data.notes, *self._unknown(), *self._too_short(settings["stack"]), _MARKS)
        longest = max(1, data.longest // settings["stack"])
        spec = text_spec(name, self.front, symbols, longest, streaming=settings["streaming"], notes=notes, **fields)
        super().__init__(spec, self.front, symbols)

    def targets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Symbols of each text."""
        return [self.symbols.encode(text) for text in texts]

    def _unknown(self) -> Iterator[str]:
        for split in HELD:
            count = sum(self.symbols.unknown(text) for text in self.data.held[split].texts)
            if count:
                yield f"{count} {self.symbols.units} of {split} do not occur in train: the model cannot write them."

    def _too_short(self, stack: int) -> Iterator[str]:
        for split, rows in self.splits.items():
            pairs = zip(rows.lengths_N.tolist(), rows.targets, strict=True)
            count = sum(steps < needed_steps(ids) for steps, ids in pairs)
            if 2 * count > len(rows):
                raise DataError(
                    f"{count} of {len(rows)} rows of {split} have fewer steps than their transcripts have symbols: "
                    f"give fewer frames a step than --set task.stack={stack}"
                )
            if count:
                yield (
                    f"{count} of {len(rows)} rows of {split} have fewer steps than their transcripts need: "
                    "their loss counts as zero."
                )

    def baselines(self, split: Split) -> list[Baseline]:
        """No text at all, and train's most frequent one; a simple reader fitted on train."""
        train, asked = self.data.train(0, 0), self.data.held[split]
        counts = Counter(train.texts)
        common = min(counts, key=lambda text: (-counts[text], text))
        said_nothing, said_often = (
            self._baseline(name, "trivial", [text] * len(asked.texts), split, perf_counter())
            for name, text in (("empty", ""), ("most frequent", common))
        )
        writer, fitting = self._simple
        started = perf_counter()
        written = writer.write(asked.frames)
        simple = self._baseline(
            self.simple[0], "strong", written, split, started - fitting, parameters=writer.parameters
        )
        return [said_nothing, said_often, simple]

    @cached_property
    def _simple(self) -> tuple[Writer, float]:
        """The simple reader, and the seconds that fitting it took."""
        started = perf_counter()
        writer = self.simple[1]()
        return writer, perf_counter() - started

    def _baseline(
        self, name: str, kind: Any, written: list[str], split: Split, started: float, parameters: int | None = None
    ) -> Baseline:
        rows = self.splits[split]
        items = {
            "loss": np.full(len(written), np.nan),
            "count": np.array([float(len(ids)) for ids in rows.targets]),
            **error_statistics(self.data.held[split].texts, written),
        }
        return self.baseline(name, kind, items, seconds=perf_counter() - started, parameters=parameters)

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """How long a recording is, its transcript, and what was written, its errors marked."""
        written = self.scored.written(outputs, batch)
        said = self.scored.references(batch)
        seconds = self.front.step_seconds
        return [
            {"input": f"{int(steps) * seconds:.2f} s", "target": text, "prediction": marked(text, found)}
            for steps, text, found in list(zip(batch.lengths_B, said, written, strict=True))[:limit]
        ]


class SpokenLabels(Labeller, SpeechTask):
    """One label for each recording, from the mean over its steps."""

    def __init__(self, name: str, data: SpeechData, settings: Mapping[str, Any], **fields: Any) -> None:
        self.prepare(data, settings)
        held = {text for split in HELD for text in data.held[split].texts}
        self.labels = tuple(sorted({*data.train(0, 0).texts, *held}))
        self.objective = Classification(self.labels)
        self.fill()
        longest = max(1, data.longest // settings["stack"])
        spec = labels_spec(
            name, self.front, self.labels, longest, streaming=settings["streaming"], notes=data.notes, **fields
        )
        super().__init__(spec, self.front)

    def targets(self, texts: Sequence[str]) -> np.ndarray:
        """Numbers of the labels."""
        return np.array([self.labels.index(text) for text in texts], dtype=np.int64)

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent label; a ridge classifier on mean and deviation of the bands in thirds of a recording."""
        train, asked = self.data.train(0, 0), self.data.held[split]
        counts = Counter(train.texts)
        common = min(counts, key=lambda text: (-counts[text], text))
        started = perf_counter()
        ridge = PooledRidge(train.frames, train.texts)
        predicted = ridge.labels(asked.frames)
        seconds = perf_counter() - started
        return [
            self.label_baseline("majority", "trivial", split, self.targets([common] * len(asked.texts)), 0.0),
            self.label_baseline(
                "pooled bands + ridge", "strong", split, self.targets(predicted), seconds, ridge.parameters
            ),
        ]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """How long a recording is, its label and the predicted one."""
        return [
            {
                "input": f"{int(batch.lengths_B[row]) * self.front.step_seconds:.2f} s",
                "target": self.labels[int(batch.targets[row])],
                "prediction": self.labels[int(outputs[row].argmax())],
            }
            for row in range(min(limit, batch.size))
        ]
