"""Transcription while sound comes in: seconds of work for each second of sound, on one core.

    python benchmarks/streaming_speech.py

Causal models of `speech/tones` at the task's own size, with their initial weights, hear a string of dialled digits in
chunks, the state carried: filterbank, model and decoding of one stream on one core. What they give must equal what
they give of the whole before a time counts. The models run in turn, and each figure is the median of three rounds.
Keeps its table in benchmarks/results.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from table import keep

from crossover.data.filterbank import FilterBank
from crossover.data.options import DataOptions
from crossover.inference.predictor import Predictor
from crossover.inference.saved import SavedModel
from crossover.inference.stream import Listener, chunks
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import percentiles
from crossover.models.model import build_model
from crossover.study.contest import prepare_model
from crossover.tasks import TASKS
from crossover.tasks.speech_sources import dialled
from crossover.tasks.speech_strings import Voices

MODELS = ("lstm", "gru", "mingru", "transformer", "window-transformer")
SECONDS = (10, 60)
CHUNKS_MS = (40, 200)
ROUNDS = 3
BAR = 0.1
TOLERANCE = 1e-3


def sound(seconds: int) -> np.ndarray:
    """So many seconds of dialled digits."""
    voices = Voices(dialled(0), FilterBank())
    rng = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * 8000:
        parts.append(voices.samples(voices.draw(rng), rng))
    return np.concatenate(parts)[: seconds * 8000]


def predictor(name: str) -> Predictor:
    """A causal model of the task's own size, with its initial weights."""
    task = TASKS.get("speech/tones")(DataOptions(settings={"streaming": True}))
    settings = prepare_model(name, task.spec)
    model = build_model(settings, task.spec.inputs, task.spec.outputs, causal=True, seed=0).eval()
    return Predictor(model, SavedModel.of(task.spec, settings, task.artifacts()), Numerics(), Path(name))


def verify(given: Predictor, samples_N: np.ndarray) -> float:
    """The largest difference of outputs in chunks from those of the whole; the text must be the same."""
    heard: list[torch.Tensor] = []
    hook = given.model.head.register_forward_hook(lambda module, inputs, outputs: heard.append(outputs[0]))
    listener = Listener(given)
    for chunk_N in chunks(samples_N, 333):
        listener.accept(chunk_N)
    hook.remove()
    reader = given.reader()
    steps_TC = torch.from_numpy(reader.front.steps(samples_N, "the sound"))  # type: ignore[attr-defined]
    with torch.inference_mode():
        whole_TS = given.model(steps_TC[None])[0][0]
    difference = float((torch.cat(heard) - whole_TS).abs().max())
    assert difference < TOLERANCE, f"chunks differ from the whole by {difference}"
    return difference


def stream(given: Predictor, samples_N: np.ndarray, chunk_ms: int) -> list[float]:
    """Seconds of work for each chunk."""
    listener, seconds = Listener(given), []
    for chunk_N in chunks(samples_N, 8 * chunk_ms):
        started = perf_counter()
        listener.accept(chunk_N)
        seconds.append(perf_counter() - started)
    return seconds


def main() -> None:
    """Verify, time in turn, keep the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    models = {name: predictor(name) for name in MODELS}
    lines = [
        "| model | parameters | sound s | chunk ms | work for a chunk, median ms | 99 % ms | real-time factor | "
        f"bar of {BAR} | largest difference from the whole |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for seconds in SECONDS:
        samples_N = sound(seconds)
        differences = {name: verify(given, samples_N) for name, given in models.items()}
        for chunk_ms in CHUNKS_MS:
            rounds = [
                {name: stream(given, samples_N, chunk_ms) for name, given in models.items()} for _ in range(ROUNDS)
            ]
            for name, given in models.items():
                tails = [percentiles(times[name], [50, 99]) for times in rounds]
                factor = median(sum(times[name]) for times in rounds) / seconds
                p50, p99 = (1000 * median(tail[place] for tail in tails) for place in (0, 1))
                count = sum(weights.numel() for weights in given.model.parameters())
                lines.append(
                    f"| {name} | {count:,} | {seconds} | {chunk_ms} | {p50:.2f} | {p99:.2f} | {factor:.3f} | "
                    f"{'met' if factor <= BAR else 'missed'} | {differences[name]:.1e} |"
                )
    lines += ["", "A step is 30 ms of sound: shorter chunks than that are worked on when one is full."]
    keep("streaming_speech", "Transcription while sound comes in", lines)


if __name__ == "__main__":
    main()
