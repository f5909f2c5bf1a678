"""Predictions from a trained model, without its data: text or a file in, labels, values or text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.text import BEGIN, vocabulary_from_json
from crossover.errors import ConfigError, DataError, listing
from crossover.inference.decode import (
    Beam,
    Drawer,
    Hypothesis,
    Sampling,
    Writing,
    beam_search,
    continuation,
    sample,
)
from crossover.inference.forward import scored_outputs
from crossover.inference.prefix_beam import prefix_beam_search
from crossover.inference.run_folders import run_folder
from crossover.inference.saved import SavedModel, load_model
from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.model import SequenceModel
from crossover.models.ports import SourceTarget
from crossover.parallel.mesh import Mesh, alone, everyones
from crossover.tasks import RESTORERS, Batch, TaskSpec
from crossover.tasks.forecasting.ahead import Ahead
from crossover.tasks.speech.reader import Transcriber


class Reader(Protocol):
    """The half of a task that needs no data: user input to batches, outputs to predictions."""

    spec: TaskSpec

    def encode(self, texts: list[str]) -> Batch:
        """Texts to a batch without targets."""
        ...

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """Outputs to predictions."""
        ...


class FileReader(Reader, Protocol):
    """A reader whose input is a data file (series, sound)."""

    def encode_file(self, path: Path) -> Batch:
        """The rows of a file to a batch without targets."""
        ...


class ForecastReader(Reader, Protocol):
    """A reader that goes on with series."""

    def encode_ahead(self, file: Path | None, future_values: Path | None) -> Ahead:
        """The last window of each series, and what its rows are forecasts of."""
        ...


class FolderReader(FileReader, Protocol):
    """A reader whose input may be a folder of such files."""

    def files(self, path: Path) -> list[Path]:
        """The files that a path stands for."""
        ...


class TextFileReader(Reader, Protocol):
    """A reader whose input is texts, which a table may hold."""

    def file_texts(self, path: Path) -> list[str] | None:
        """The texts of a table's rows; None for a file of one text a line."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A trained model with what its task needs to read inputs and outputs; `folder` is the run it came from.

    Over the ranks of a `mesh` the model is spread, every rank makes the same calls, and each predicts its own rows.
    """

    model: SequenceModel
    saved: SavedModel
    numerics: Numerics
    folder: Path
    mesh: Mesh = field(default_factory=alone)

    @property
    def generates(self) -> bool:
        """Whether `generate` can be used: a language model over text."""
        return self.saved.objective == "language-modeling" and "vocabulary" in self.saved.artifacts

    @property
    def translates(self) -> bool:
        """Whether the model is an encoder-decoder, which writes a text for a text."""
        return isinstance(self.saved.inputs, SourceTarget) and not self.forecasts

    @property
    def forecasts(self) -> bool:
        """Whether `forecast` can be used: a model that goes on with series."""
        return self.saved.objective == "forecasting"

    @property
    def transcribes(self) -> bool:
        """Whether the model writes what is said in a recording."""
        return self.saved.objective == "ctc"

    @property
    def writes(self) -> bool:
        """Whether what the model gives is a text of its own."""
        return self.generates or self.translates or self.transcribes

    def predict(self, texts: Sequence[str], *, writing: Writing = None, batch_rows: int = 64) -> list[dict[str, Any]]:
        """One prediction per text, in order; DataError where the task has no textual input.

        A model that writes does so by `writing`; under a beam each text comes with its score, and with those that
        come next, `beam.best` in all, as ``"alternatives"``. ConfigError for a model that cannot write so.
        """
        self.check(writing)
        reader, found = self.reader(), []
        for start in range(0, len(texts), batch_rows):
            batch = reader.encode(list(texts[start : start + batch_rows]))
            found += self._predicted(reader, batch, writing, first=start)
        return found

    def predict_files(self, paths: Sequence[Path], *, writing: Writing = None) -> list[dict[str, Any]]:
        """Predictions for several files or those of a folder, each with its ``"file"``; errors as in `predict`."""
        named = self.files(paths)
        if len(named) == 1:
            return self.predict_file(named[0], writing=writing)
        return [
            {"file": str(file), **prediction}
            for file in named
            for prediction in self.predict_file(file, writing=writing)
        ]

    def files(self, paths: Sequence[Path]) -> list[Path]:
        """The files that these stand for: a folder for those in it that the task reads."""
        reader = self.reader()
        if not hasattr(reader, "files"):
            return list(paths)
        return [file for path in paths for file in cast(FolderReader, reader).files(path)]

    def predict_file(self, path: Path, *, writing: Writing = None) -> list[dict[str, Any]]:
        """Predictions for the rows of a data file, or for each line of a text file; as in `predict`."""
        self.check(writing)
        if self.forecasts:
            return self.forecast(path)
        reader = self.reader()
        if hasattr(reader, "encode_file"):
            return self._predicted(reader, cast(FileReader, reader).encode_file(path), writing)
        texts = cast(TextFileReader, reader).file_texts(path) if hasattr(reader, "file_texts") else None
        return self.predict(_lines(path) if texts is None else texts, writing=writing)

    def forecast(
        self, file: Path | None = None, *, future_values: Path | None = None, batch_rows: int = 64
    ) -> list[dict[str, Any]]:
        """Forecasts beyond the last row of each series: of those that training saw, or of those in `file`.

        Each has the series' ``"id"``, where it has one, the ``"timestamps"``, where there are any, and the
        ``"values"`` by channel; of quantiles these are the median, and ``"quantiles"`` stand beside them.
        `future_values` is a file of the future covariates that the model reads. DataError where some are missing or a
        series is too short, ConfigError where the model is no forecaster.
        """
        if not self.forecasts:
            raise ConfigError(
                f"the model in {self.folder} was trained on {self.saved.task}: it needs a text or --file FILE to "
                "predict from"
            )
        reader = cast(ForecastReader, self.reader())
        ahead = reader.encode_ahead(file, future_values)
        parts = (ahead.batch[start : start + batch_rows] for start in range(0, ahead.batch.size, batch_rows))
        told = [forecast for part in parts for forecast in self._predicted(reader, part, None)]
        return [{**label, **forecast} for label, forecast in zip(ahead.labels, told, strict=True)]

    def generate(self, prompt: str, *, tokens: int, sampling: Sampling | None = None) -> str:
        """`prompt` continued by `tokens` tokens of a language model, drawn by `sampling` (None: at temperature 1).

        The state is carried from token to token, so each costs one step. Raises ConfigError for a model that is no
        language model, for a length beyond its maximum, and for impossible numbers.
        """
        if not self.generates:
            raise ConfigError(
                f"the model in {self.folder} was trained on {self.saved.task}: only language models write"
            )
        vocabulary = vocabulary_from_json(self.saved.artifacts["vocabulary"])
        (given,) = vocabulary.encode([prompt])
        drawn = self.continue_ids(given or [BEGIN], tokens=tokens, sampling=sampling or Sampling())
        return prompt + vocabulary.decode(list(drawn))

    def continue_ids(self, ids: Sequence[int], *, tokens: int, sampling: Sampling) -> Iterator[int]:
        """The ids that follow `ids`, one at a time; see `generate`. Pad, unknown and begin are never drawn."""
        if tokens < 1:
            raise ConfigError(f"cannot draw {tokens} tokens: give 1 or more")
        length, settings = len(ids) + tokens, self.saved.settings
        if settings.positions == "learned" and length > settings.max_length:
            raise ConfigError(
                f"{len(ids)} tokens and {tokens} more are longer than the model's maximum of {settings.max_length}: "
                "shorten the prompt or ask for fewer"
            )
        return continuation(self.model, ids, tokens, self.numerics, Drawer(sampling, 1))

    def check(self, writing: Writing) -> None:
        """ConfigError where the model does not write so."""
        if isinstance(writing, Beam) and self.generates:
            raise ConfigError(f"the language model in {self.folder} draws its tokens: leave out --beam")
        if isinstance(writing, Beam) and not self.writes:
            raise ConfigError(f"the model in {self.folder} writes no text, so a beam has no meaning: leave it out")
        if isinstance(writing, Sampling) and not (self.translates or self.generates):
            raise ConfigError(
                f"the model in {self.folder} writes no text for a text, so leave out drawing tokens (temperature, "
                "top-k, top-p)"
            )

    def reader(self) -> Reader:
        """What reads the task's inputs and outputs; DataError where its family has no such half."""
        family = str(self.saved.artifacts.get("family", self.saved.task_family))
        if family not in RESTORERS:
            raise DataError(
                f"task {self.saved.task!r} cannot read new input: tasks of the families "
                f"{listing(RESTORERS.names())} can"
            )
        reader: Reader = RESTORERS.get(family)(self.saved.artifacts)
        return reader

    def _predicted(self, reader: Reader, batch: Batch, writing: Writing, *, first: int = 0) -> list[dict[str, Any]]:
        """Predictions for a batch whose rows are counted from `first`; each replica makes those of some rows."""
        own, size = self.mesh.data, batch.size
        if own.size == 1:
            return self._own(reader, batch, writing, first=first)
        start, stop = own.rank * size // own.size, (own.rank + 1) * size // own.size
        told = self._own(reader, batch[start:stop], writing, first=first + start) if start < stop else []
        return [prediction for part in everyones(told, own) for prediction in part]

    @torch.inference_mode()
    def _own(self, reader: Reader, batch: Batch, writing: Writing, *, first: int) -> list[dict[str, Any]]:
        if isinstance(writing, Beam):
            return (self._searched if self.translates else self._prefixes)(reader, batch, writing)
        if isinstance(writing, Sampling):
            rows = sample(self.model, cast(Source, batch.source), self.numerics, writing, first=first)
            return self._told(reader, batch, rows)
        outputs, batch = scored_outputs(self.model, batch, self.numerics, reader)
        return reader.decode(outputs, batch)

    def _told(self, reader: Reader, batch: Batch, rows: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
        """Written ids as texts."""
        ids = pad([np.array(row, dtype=np.int64) for row in rows])[0]
        return reader.decode(ids, replace(batch, extra={"written": ids}))

    def _searched(self, reader: Reader, batch: Batch, beam: Beam) -> list[dict[str, Any]]:
        """What a beam finds, the best of each row first."""
        found = []
        for hypotheses in beam_search(self.model, cast(Source, batch.source), self.numerics, beam):
            told = self._told(reader, batch, [hypothesis.ids for hypothesis in hypotheses])
            found.append(_ranked([text["text"] for text in told], hypotheses))
        return found

    def _prefixes(self, reader: Reader, batch: Batch, beam: Beam) -> list[dict[str, Any]]:
        """What a beam over the prefixes of each row's text finds, the best first."""
        symbols = cast(Transcriber, reader).symbols
        outputs, _ = scored_outputs(self.model, batch, self.numerics, reader)
        found = []
        for row_TS, length in zip(outputs, batch.lengths_B.tolist(), strict=True):
            hypotheses = prefix_beam_search(row_TS[:length], beam.size)[: beam.best]
            found.append(_ranked([symbols.decode(hypothesis.ids) for hypothesis in hypotheses], hypotheses))
        return found


def _ranked(texts: Sequence[str], hypotheses: Sequence[Hypothesis]) -> dict[str, Any]:
    """The first text and its score, the others as its alternatives."""
    told = [{"text": text, "score": hypothesis.score} for text, hypothesis in zip(texts, hypotheses, strict=True)]
    return {**told[0], **({"alternatives": told[1:]} if len(told) > 1 else {})}


def load(folder: str | Path, *, task: str | None = None, device: str = "cpu") -> Predictor:
    """The trained model of a run, or the one that a study recommends (for `task`, which several tasks need).

    Raises CheckpointError for a folder that holds neither, ConfigError for a task that the study does not have.
    """
    run = run_folder(Path(folder), task=task)
    numerics = Numerics.default(device)
    model, saved = load_model(run, device=numerics.device)
    return Predictor(model, saved, numerics, run)


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank; DataError where it cannot be read."""
    try:
        # Not splitlines(): it would break a line at a form feed or a Unicode separator too.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give a text file with one input per line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}): give one input per line") from None
    return [line for line in lines if line.strip()]
