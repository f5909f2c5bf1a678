"""Text while it is heard: a causal model of speech reads sound in chunks, its state carried from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from crossover.data.audio import read_recording
from crossover.errors import ConfigError, DataError
from crossover.inference.predictor import Predictor
from crossover.measure.statistics import percentiles
from crossover.tasks.speech.ctc import BLANK, best_path
from crossover.tasks.speech.reader import Transcriber


class Listener:
    """Transcribes one sound that comes in chunks of any size; what it has written is what the whole would give.

    ::

        listener = crossover.Listener(crossover.load("run"))
        for chunk in microphone:                 # float32 in -1 to 1, `listener.rate` samples a second
            print(listener.accept(chunk), end="")

    Raises ConfigError for a model that does not transcribe, or one that reads whole sounds only.
    """

    def __init__(self, predictor: Predictor) -> None:
        reader = predictor.reader()
        if not isinstance(reader, Transcriber):
            raise ConfigError(
                f"the model in {predictor.folder} was trained on {predictor.saved.task} and does not transcribe: "
                "give a run of a task on speech"
            )
        if not predictor.model.causal:
            raise ConfigError(
                f"the model in {predictor.folder} reads whole recordings only: leave --stream out, or train one with "
                "--set task.streaming=true"
            )
        self._model, self._numerics = predictor.model, predictor.numerics
        self._reader = reader
        self._steps = reader.front.stream()
        self._state = self._model.initial_state(1, device=self._numerics.device, dtype=torch.float32)
        self._ids: list[int] = []
        self._last = BLANK

    @property
    def rate(self) -> int:
        """Samples a second that `accept` takes."""
        return self._reader.front.bank.rate

    @property
    def text(self) -> str:
        """All that is written so far."""
        return self._reader.symbols.decode(self._ids)

    def check(self, samples_N: np.ndarray, name: str) -> None:
        """DataError for a whole sound that is shorter than a step; `name` is what the message calls it."""
        self._reader.front.check(samples_N, name)

    @torch.inference_mode()
    def accept(self, samples_N: np.ndarray) -> str:
        """Hear some more samples [N]; what is written because of it, often nothing.

        Raises DataError for other arrays: whole numbers, several channels, values that are not finite.
        """
        samples_N = np.asarray(samples_N)
        if samples_N.ndim != 1 or samples_N.dtype.kind != "f" or not np.isfinite(samples_N).all():
            raise DataError(
                f"samples {list(samples_N.shape)} of type {samples_N.dtype}: give finite floats [N] in -1 to 1, "
                "one channel"
            )
        steps_TC = self._steps.accept(samples_N)
        if not len(steps_TC):
            return ""
        inputs = torch.from_numpy(steps_TC)[None].to(self._numerics.device)
        with self._numerics.autocast():
            outputs, state = self._model(inputs, state=self._state)
        self._state = state if state is not None else self._state
        found, self._last = best_path(outputs[0].float(), self._last)
        if not found:
            return ""
        before = len(self.text)
        self._ids += found
        return self.text[before:]


@dataclass
class Streamed:
    """What came of one recording: its text, its seconds, and the seconds that each chunk of it took to work on."""

    file: str
    chunk_seconds: float
    audio_seconds: float
    text: str = ""
    latencies: list[float] = field(default_factory=list)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of sound: a stream keeps up below 1."""
        return sum(self.latencies) / self.audio_seconds

    def to_json(self) -> dict[str, Any]:
        """Text, seconds, latency of a chunk and real-time factor."""
        p50, p99 = percentiles(self.latencies, [50, 99])
        return {
            "file": self.file,
            "text": self.text,
            "audio_seconds": self.audio_seconds,
            "chunk_seconds": self.chunk_seconds,
            "latency": {"p50": p50, "p99": p99, "samples": len(self.latencies)},
            "real_time_factor": self.real_time_factor,
        }


def stream_file(
    predictor: Predictor, path: Path, *, chunk_ms: int = 100, told: Callable[[str], None] | None = None
) -> Streamed:
    """Transcribe a WAV or FLAC file in chunks of `chunk_ms`, as fast as they can be worked on.

    `told` gets each piece of text as it comes. Raises ConfigError for a chunk below 1 ms or a model that cannot
    stream, DataError for a file that is no sound or is shorter than a step.
    """
    if chunk_ms < 1:
        raise ConfigError(f"chunks of {chunk_ms} ms: give 1 or more")
    listener = Listener(predictor)
    samples_N = read_recording(path, str(path)).at(listener.rate)
    listener.check(samples_N, str(path))
    streamed = Streamed(str(path), chunk_ms / 1000, len(samples_N) / listener.rate)
    for chunk_N in chunks(samples_N, listener.rate * chunk_ms // 1000):
        started = perf_counter()
        piece = listener.accept(chunk_N)
        streamed.latencies.append(perf_counter() - started)
        if piece and told is not None:
            told(piece)
    streamed.text = listener.text
    return streamed


def chunks(samples_N: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The samples in pieces of `size`, the last one shorter."""
    for start in range(0, len(samples_N), max(size, 1)):
        yield samples_N[start : start + max(size, 1)]
