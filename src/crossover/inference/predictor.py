"""Predictions from a trained model, without its data: text or a file in, labels, values or text out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import pad
from crossover.data.text import BEGIN, vocabulary_from_json
from crossover.errors import CheckpointError, ConfigError, DataError, FolderError, listing, unknown
from crossover.inference.decode import Beam, Drawer, Hypothesis, Sampling, beam_search, continuation, sample
from crossover.inference.forward import scored_outputs
from crossover.inference.prefix_beam import prefix_beam_search
from crossover.inference.saved import ARTIFACTS_FILE, SavedModel, load_model
from crossover.measure.numerics import Numerics
from crossover.models.encoder import Source
from crossover.models.model import SequenceModel
from crossover.models.ports import SourceTarget
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
    """A trained model with what its task needs to read inputs and outputs; `folder` is the run it came from."""

    model: SequenceModel
    saved: SavedModel
    numerics: Numerics
    folder: Path

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

    def predict(
        self,
        texts: Sequence[str],
        *,
        batch_rows: int = 64,
        beam: Beam | None = None,
        best: int = 1,
        sampling: Sampling | None = None,
    ) -> list[dict[str, Any]]:
        """One prediction per text, in order; DataError where the task has no textual input.

        An encoder-decoder writes greedily, by `sampling`, or by `beam`: then with the score of its text, and with
        those that come next, `best` in all, as ``"alternatives"``. Any other model with either is a ConfigError.
        """
        self._check(beam, best, sampling)
        reader, found = self.reader(), []
        for start in range(0, len(texts), batch_rows):
            batch = reader.encode(list(texts[start : start + batch_rows]))
            if sampling is not None:
                found += self._drawn(reader, batch, sampling, start)
            else:
                found += self._written(reader, batch, beam, best)
        return found

    def predict_files(
        self, paths: Sequence[Path], *, beam: Beam | None = None, best: int = 1, sampling: Sampling | None = None
    ) -> list[dict[str, Any]]:
        """Predictions for several files or those of a folder, each with its ``"file"``; errors as in `predict`."""
        named = self.files(paths)
        if len(named) == 1:
            return self.predict_file(named[0], beam=beam, best=best, sampling=sampling)
        return [
            {"file": str(file), **prediction}
            for file in named
            for prediction in self.predict_file(file, beam=beam, best=best, sampling=sampling)
        ]

    def files(self, paths: Sequence[Path]) -> list[Path]:
        """The files that these stand for: a folder for those in it that the task reads."""
        reader = self.reader()
        if not hasattr(reader, "files"):
            return list(paths)
        return [file for path in paths for file in cast(FolderReader, reader).files(path)]

    def predict_file(
        self, path: Path, *, beam: Beam | None = None, best: int = 1, sampling: Sampling | None = None
    ) -> list[dict[str, Any]]:
        """Predictions for the rows of a data file, or for each line of a text file; errors as in `predict`.

        What is transcribed is written by its likeliest path, or by `beam`, as texts are in `predict`.
        """
        if self.forecasts:
            return self.forecast(path)
        self._check(beam, best, sampling)
        reader = self.reader()
        if hasattr(reader, "encode_file"):
            return self._written(reader, cast(FileReader, reader).encode_file(path), beam, best)
        texts = cast(TextFileReader, reader).file_texts(path) if hasattr(reader, "file_texts") else None
        lines = _lines(path) if texts is None else texts
        return self.predict(lines, beam=beam, best=best, sampling=sampling)

    def forecast(self, file: Path | None = None, *, future_values: Path | None = None) -> list[dict[str, Any]]:
        """Forecasts beyond the last row of each series: of those that training saw, or of those in `file`.

        Each has the series' ``"id"``, where it has one, the ``"timestamps"``, where there are any, and the
        ``"values"`` by channel; of quantiles these are the median, and ``"quantiles"`` stand beside them.
        `future_values` is a file of the future covariates that the model reads. DataError where some are missing, a
        series is too short, or the model is no forecaster.
        """
        if not self.forecasts:
            raise ConfigError(
                f"the model in {self.folder} was trained on {self.saved.task}: it needs a text or --file FILE to "
                "predict from"
            )
        reader = cast(ForecastReader, self.reader())
        ahead = reader.encode_ahead(file, future_values)
        told = self._decoded(reader, ahead.batch)
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

    def _check(self, beam: Beam | None, best: int, sampling: Sampling | None) -> None:
        if sampling is not None and not self.translates:
            raise ConfigError(
                f"the model in {self.folder} writes no text for a text, so leave out drawing tokens (temperature, "
                "top-k, top-p)"
            )
        if beam is not None and not (self.translates or self.transcribes):
            raise ConfigError(f"the model in {self.folder} writes no text, so a beam has no meaning: leave it out")
        if beam is not None and sampling is not None:
            raise ConfigError(
                "a beam follows the likeliest texts and draws none: give either a beam or a temperature"
            )
        if best < 1 or (best > 1 and (beam is None or best > beam.size)):
            raise ConfigError(f"the best {best} texts need a beam of as many: give a larger --beam")

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

    def _written(self, reader: Reader, batch: Batch, beam: Beam | None, best: int) -> list[dict[str, Any]]:
        if beam is None:
            return self._decoded(reader, batch)
        return (self._searched if self.translates else self._prefixes)(reader, batch, beam, best)

    def _searched(self, reader: Reader, batch: Batch, beam: Beam, best: int) -> list[dict[str, Any]]:
        """What a beam finds, the best of each row first."""
        source = cast(Source, batch.source)
        found = []
        for hypotheses in beam_search(self.model, source, self.numerics, beam, best=best):
            ids = pad([np.array(hypothesis.ids, dtype=np.int64) for hypothesis in hypotheses])[0]
            texts = reader.decode(ids, replace(batch, extra={"written": ids}))
            found.append(_ranked([text["text"] for text in texts], hypotheses))
        return found

    @torch.inference_mode()
    def _prefixes(self, reader: Reader, batch: Batch, beam: Beam, best: int) -> list[dict[str, Any]]:
        """What a beam over the prefixes of each row's text finds, the best first."""
        symbols = cast(Transcriber, reader).symbols
        outputs, _ = scored_outputs(self.model, batch, self.numerics, reader)
        found = []
        for row_TS, length in zip(outputs, batch.lengths_B.tolist(), strict=True):
            hypotheses = prefix_beam_search(row_TS[:length], beam.size)[:best]
            found.append(_ranked([symbols.decode(hypothesis.ids) for hypothesis in hypotheses], hypotheses))
        return found

    def _drawn(self, reader: Reader, batch: Batch, sampling: Sampling, first: int) -> list[dict[str, Any]]:
        """What is drawn for each row, the rows counted from `first`."""
        rows = sample(self.model, cast(Source, batch.source), self.numerics, sampling, first=first)
        ids = pad([np.array(row, dtype=np.int64) for row in rows])[0]
        return reader.decode(ids, replace(batch, extra={"written": ids}))

    @torch.inference_mode()
    def _decoded(self, reader: Reader, batch: Batch) -> list[dict[str, Any]]:
        outputs, batch = scored_outputs(self.model, batch, self.numerics, reader)
        return reader.decode(outputs, batch)


def _ranked(texts: Sequence[str], hypotheses: Sequence[Hypothesis]) -> dict[str, Any]:
    """The first text and its score, the others as its alternatives."""
    told = [{"text": text, "score": hypothesis.score} for text, hypothesis in zip(texts, hypotheses, strict=True)]
    return {**told[0], **({"alternatives": told[1:]} if len(told) > 1 else {})}


def load(folder: str | Path, *, task: str | None = None, device: str = "cpu") -> Predictor:
    """The trained model of a run, or the one that a study recommends (for `task`, which several tasks need).

    Raises CheckpointError for a folder that holds neither, ConfigError for a task that the study does not have.
    """
    run = run_folder(Path(folder), task=task)
    numerics = replace(Numerics.default(device))
    model, saved = load_model(run, device=numerics.device)
    return Predictor(model, saved, numerics, run)


def run_folder(folder: Path, *, task: str | None = None) -> Path:
    """`folder` itself if it is a run, or the run that the study in it recommends; errors as in `load`.

    Without `task` the study has one task, or one with a recommended run.
    """
    if (folder / ARTIFACTS_FILE).is_file():
        return folder
    study = folder / "study.json"
    if not study.is_file():
        raise FolderError(f"{folder} holds no finished run and no study: give the folder of one")
    try:
        document = json.loads(study.read_text(encoding="utf-8"))
        chosen = _chosen(folder, {entry["task"]: entry for entry in document["recommendation"]}, task)
        model, run = chosen.get("model"), chosen.get("run")
        best = _best_run(folder, document, chosen["task"]) if chosen and run is None else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{study} cannot be read ({error}): run the study again") from None
    if run is not None:
        return _located(folder, Path(run))
    what = f"the baseline {model!r}, which is no saved model" if model else "no model"
    advice = f"give its best run, {best}" if best else "it has no finished run to give instead"
    raise FolderError(f"the study in {folder} recommends {what}: {advice}")


def _chosen(folder: Path, by_task: Mapping[str, Any], task: str | None) -> Mapping[str, Any]:
    """The recommendation for `task`, or the only one there is ({} for none); ConfigError where that is not clear."""
    if task is not None:
        if task not in by_task:
            raise ConfigError(unknown("task of the study", task, by_task))
        return dict(by_task[task])
    runs = [entry for entry in by_task.values() if entry["run"] is not None]
    entries = runs if len(runs) == 1 else list(by_task.values())
    if len(entries) > 1:
        raise ConfigError(f"the study in {folder} has several tasks: choose one with --task {listing(by_task)}")
    return dict(entries[0]) if entries else {}


def _best_run(study: Path, document: Mapping[str, Any], task: str) -> Path | None:
    """The run of a task with the best validation score, of those that are there."""
    sign = 1 if document["tasks"][task]["higher_is_better"] else -1
    done = [run for run in document["runs"] if run["task"] == task and run["validation"] is not None]
    done.sort(key=lambda run: sign * run["validation"], reverse=True)
    places = (find_run(study, Path(run["folder"])) for run in done)
    return next((place for place in places if place is not None), None)


def _located(study: Path, run: Path) -> Path:
    """Where a recommended run lies now; CheckpointError where it is gone."""
    found = find_run(study, run)
    if found is None:
        raise CheckpointError(
            f"the study in {study} recommends {run}, which is not there: give the folder of another run"
        )
    return found


def find_run(study: Path, run: Path) -> Path | None:
    """A finished run of a study: as written, or under its study when that was moved; None where it is gone."""
    parts = run.parts
    under = Path(*parts[parts.index("runs") :]) if "runs" in parts else run
    places = (study / under, study / run, run)
    return next((place for place in places if (place / ARTIFACTS_FILE).is_file()), None)


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank; DataError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give a text file with one input per line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}): give one input per line") from None
    return [line for line in lines if line.strip()]
