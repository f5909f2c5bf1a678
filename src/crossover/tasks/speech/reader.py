"""The half of a task on sound that needs no data, and that a saved run brings back: sound in, text or a label out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossover.data.audio import audio_files, read_recording
from crossover.data.batching import pad
from crossover.data.filterbank import Front, front_from_json
from crossover.errors import DataError
from crossover.models.ports import Continuous, PerRow, PerStep
from crossover.tasks.base import Batch, TaskSpec
from crossover.tasks.objectives import CLASSIFIED, IGNORE
from crossover.tasks.speech.ctc import CTC, Symbols

FAMILY = "speech"
_DEFAULTS: dict[str, Any] = {"width": 96, "layers": 2, "dropout": 0.2}


class SpeechReader:
    """Sound to a batch, the same for every kind of output."""

    def __init__(self, spec: TaskSpec, front: Front) -> None:
        self.spec = spec
        self.front = front

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: sound is read from files."""
        raise DataError(f"task {self.spec.name!r} takes no text: give WAV or FLAC files, or a folder, with --file")

    def files(self, path: Path) -> list[Path]:
        """The WAV and FLAC files of a folder, or the file itself."""
        return audio_files(path) if path.is_dir() else [path]

    def encode_file(self, path: Path) -> Batch:
        """The one row of a WAV or FLAC file; DataError where it is no sound or shorter than a step."""
        samples_N = read_recording(path, str(path)).at(self.front.bank.rate)
        inputs, lengths_B = pad([self.front.steps(samples_N, str(path))])
        unread = torch.full((1, 1) if isinstance(self.spec.outputs, PerStep) else (1,), IGNORE)
        return Batch(inputs=inputs, lengths_B=lengths_B, targets=unread, rows_B=torch.zeros(1, dtype=torch.int64))

    def artifacts(self) -> dict[str, Any]:
        """What every kind of output needs to be restored, as JSON."""
        return {
            "family": FAMILY,
            "name": self.spec.name,
            "max_length": self.spec.max_length,
            "streaming": self.spec.causal,
            "front": self.front.to_json(),
        }


class Transcriber(SpeechReader):
    """Sound in, text out."""

    def __init__(self, spec: TaskSpec, front: Front, symbols: Symbols) -> None:
        super().__init__(spec, front)
        self.symbols = symbols
        self._reading = CTC(symbols, ())

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """``{"text"}`` of each row, from its likeliest path."""
        return [{"text": text} for text in self._reading.written(outputs, batch)]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {**super().artifacts(), "units": self.symbols.units, "symbols": list(self.symbols.symbols)}


class Labeller(SpeechReader):
    """Sound in, a label out."""

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The likeliest label and the probability of each."""
        labels = self.spec.labels
        return [
            {
                "label": labels[max(range(len(shares)), key=shares.__getitem__)],
                "probabilities": dict(zip(labels, shares, strict=True)),
            }
            for shares in outputs.float().softmax(-1).tolist()
        ]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {**super().artifacts(), "labels": list(self.spec.labels)}


def restore(artifacts: Mapping[str, Any]) -> SpeechReader:
    """The reader that `artifacts` described; DataError where something is missing or wrong."""
    try:
        front = front_from_json(artifacts["front"])
        name, longest = str(artifacts["name"]), int(artifacts["max_length"])
        streaming = bool(artifacts["streaming"])
        if "labels" in artifacts:
            labels = [str(label) for label in artifacts["labels"]]
            return Labeller(labels_spec(name, front, labels, longest, streaming=streaming), front)
        symbols = Symbols(str(artifacts["units"]), [str(symbol) for symbol in artifacts["symbols"]])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of a task on sound ({type(error).__name__}: {error})") from error
    return Transcriber(text_spec(name, front, symbols, longest, streaming=streaming), front, symbols)


def text_spec(name: str, front: Front, symbols: Symbols, longest: int, *, streaming: bool, **fields: Any) -> TaskSpec:
    """The spec of a task that writes what is said; `streaming` makes it causal."""
    spec: dict[str, Any] = {
        "outputs": PerStep(size=symbols.size),
        "objective": "ctc",
        "metric": "wer",
        "higher_is_better": False,
        "further_metrics": ("cer",),
        "margin": 0.01,
        "description": "what is said in a recording",
    }
    return _spec(name, front, longest, streaming, {**spec, **fields})


def labels_spec(
    name: str, front: Front, labels: Sequence[str], longest: int, *, streaming: bool, **fields: Any
) -> TaskSpec:
    """The spec of a task that labels recordings; `streaming` makes it causal."""
    spec: dict[str, Any] = {
        "outputs": PerRow(size=len(labels), pool="mean"),
        **CLASSIFIED,
        "labels": tuple(labels),
        "description": "a label for each recording",
    }
    return _spec(name, front, longest, streaming, {**spec, **fields})


def _spec(name: str, front: Front, longest: int, streaming: bool, fields: Mapping[str, Any]) -> TaskSpec:
    spec: dict[str, Any] = {
        "name": name,
        "family": FAMILY,
        "inputs": Continuous(channels=front.channels),
        "causal": streaming,
        "max_length": longest,
        "unit": "steps",
        "embedded": False,
        "defaults": _DEFAULTS,
    }
    return TaskSpec(**{**spec, **fields})
