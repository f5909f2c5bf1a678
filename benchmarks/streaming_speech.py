"""Transcription while sound comes in: seconds of work for each second of sound, on one core.

    python benchmarks/streaming_speech.py

Causal models of `speech/tones` at the task's own size, with their initial weights, hear a string of dialled digits in
chunks, the state carried: filterbank, model and decoding of one stream on one core. What they give must equal what
they give of the whole before a time counts. The models run in turn, and each figure is the median of three rounds.
The bar is on the core's own seconds, to which other work on the machine does not count; those of the clock stand
beside them. Keeps its table in benchmarks/results.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

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
from crossover.tasks.speech.sources import dialled
from crossover.tasks.speech.strings import Voices

MODELS = ("lstm", "gru", "mingru", "transformer", "window-transformer")
STREAMS = ((10, 40), (10, 200), (60, 200))
"""Seconds of sound, and milliseconds of a chunk."""
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


def stream(given: Predictor, samples_N: np.ndarray, chunk_ms: int) -> tuple[list[float], float]:
    """Seconds of the clock for each chunk, and the core's own seconds for all of them."""
    listener, seconds, began = Listener(given), [], process_time()
    for chunk_N in chunks(samples_N, 8 * chunk_ms):
        started = perf_counter()
        listener.accept(chunk_N)
        seconds.append(perf_counter() - started)
    return seconds, process_time() - began


def row(name: str, given: Predictor, seconds: int, chunk_ms: int, rounds: list[tuple[list[float], float]]) -> str:
    """One line of the table."""
    tails = [percentiles(clock, [50, 99]) for clock, _ in rounds]
    p50, p99 = (1000 * median(tail[place] for tail in tails) for place in (0, 1))
    by_clock = median(sum(clock) for clock, _ in rounds) / seconds
    by_core = median(core for _, core in rounds) / seconds
    count = sum(weights.numel() for weights in given.model.parameters())
    cells = (name, f"{count:,}", seconds, chunk_ms, f"{p50:.2f}", f"{p99:.2f}", f"{by_clock:.3f}", f"{by_core:.3f}")
    return "| " + " | ".join(map(str, (*cells, "met" if by_core <= BAR else "missed"))) + " |"


def main() -> None:
    """Verify, time in turn, keep the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    models = {name: predictor(name) for name in MODELS}
    lines = [
        "| model | parameters | sound s | chunk ms | a chunk, median ms | 99 % ms | real-time factor by the clock | "
        f"by the core | bar of {BAR} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    largest = 0.0
    for seconds, chunk_ms in STREAMS:
        samples_N = sound(seconds)
        largest = max(largest, *(verify(given, samples_N) for given in models.values()))
        rounds = [{name: stream(given, samples_N, chunk_ms) for name, given in models.items()} for _ in range(ROUNDS)]
        lines += [
            row(name, given, seconds, chunk_ms, [times[name] for times in rounds]) for name, given in models.items()
        ]
    lines += [
        "",
        f"Outputs of chunks differ from those of the whole by at most {largest:.1e}. A step is 30 ms of sound: of",
        "shorter chunks, some only wait.",
    ]
    keep("streaming_speech", "Transcription while sound comes in", lines)


if __name__ == "__main__":
    main()
