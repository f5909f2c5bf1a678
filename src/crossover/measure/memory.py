"""Peak memory of a workload: on a CPU, how far a fresh process grows above its size before the model is built.

Starting Python and importing torch takes seconds, so one *nursery* process per study does it once
(``python -m crossover.measure.memory``), starts no thread, and forks a child for every measurement. The child first
rehearses on a tiny model, so that library pages (some 100 MB) are there before its size is read and count for no
model, and hands back at once what is freed, so that holes in its heap count for none either: what is told is what
tensors take, as a GPU's counter tells it. Where there is no ``/proc`` (macOS) each measurement starts a process of
its own and reads ``ru_maxrss``. On a GPU the device's own counter of allocated bytes is read in the caller's process.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Literal

import torch

from crossover.errors import CrossoverError
from crossover.measure.allocator import give_back
from crossover.measure.resident import data_bytes, is_told, peak_resident_bytes, resident_bytes
from crossover.measure.workload import PASSES, Workload
from crossover.models.settings import ModelSettings

MEMORY_STEPS = 2
"""A training step's peak needs the optimiser's state beside the activations: it is there from the second step on."""

AGREEMENT = 0.01
"""Relative difference within which two peaks of one workload agree; they do nearly always."""


@dataclass(frozen=True)
class Peak:
    """Peak bytes of a workload, or None and the reason why there are none."""

    bytes: int | None
    reason: str | None = None


class Nursery:
    """Measures peak memory in fresh processes; a context manager, one per study.

    A workload that runs out of memory, or fails otherwise, ends its own process and gives a `Peak` without bytes.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the nursery's process now and wait until it is ready; otherwise the first measurement does."""
        if is_told() and (self._process is None or self._process.poll() is not None):
            self._process = subprocess.Popen(_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if self._process.stdout is not None:
                self._process.stdout.readline()

    def close(self) -> None:
        """End the nursery's process."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.wait()
            self._process = None

    def peak(self, workload: Workload, *, repeats: Literal[1, 3] = 3, time_limit: float = 60.0) -> Peak:
        """One measurement or the median of three, in bytes; `time_limit` seconds are what each may take.

        A third is left out after two that agree within `AGREEMENT`: wherever it fell, the median would lie between
        them.
        """
        if workload.numerics.device != "cpu":
            return _device_peak(workload)
        measured: list[int] = []
        for _ in range(repeats):
            peak = self._ask(workload, time_limit)
            if peak.bytes is None:
                return peak
            measured.append(peak.bytes)
            if len(measured) == 2 and max(measured) <= (1 + AGREEMENT) * min(measured):
                break
        return Peak(int(median(measured)))

    def _ask(self, workload: Workload, time_limit: float) -> Peak:
        request = json.dumps({"workload": workload.to_json(), "time_limit": time_limit})
        if not is_told():
            run = subprocess.run(_command(), input=request + "\n", capture_output=True, text=True, check=False)
            return _read_reply(run.stdout.rpartition("ready\n")[2])
        self.start()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return Peak(None, "the measuring process has no pipes")
        try:
            process.stdin.write(request + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return Peak(None, "the measuring process ended")
        return _read_reply(process.stdout.readline())


def _command() -> list[str]:
    return [sys.executable, "-m", "crossover.measure.memory"]


def _read_reply(line: str) -> Peak:
    if not line.strip():
        return Peak(None, "the measuring process ended without an answer (killed for want of memory?)")
    return Peak(**json.loads(line))


def _device_peak(workload: Workload) -> Peak:
    """Peak of the device's allocator on top of what it held before."""
    if not workload.numerics.device.startswith("cuda"):
        return Peak(None, f"peak memory cannot be read on {workload.numerics.device}")
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(workload.numerics.device)
    torch.cuda.reset_peak_memory_stats(workload.numerics.device)
    try:
        _run(workload)
    except torch.OutOfMemoryError as error:
        return Peak(None, f"out of memory on {workload.numerics.device}: {str(error).splitlines()[0]}")
    return Peak(torch.cuda.max_memory_allocated(workload.numerics.device) - before)


def _run(workload: Workload) -> None:
    step = workload.prepare()
    for _ in range(MEMORY_STEPS):
        step()


def _rehearse() -> None:
    """Run every pass on a tiny model: imports and touches what any model needs.

    On one thread: a pool of threads would not survive a fork, and the first use of one takes a second.
    """
    torch.set_num_threads(1)
    model = ModelSettings(name="rehearsal", mixers=("lstm", "attention"), layers=2, width=16)
    for kind in PASSES:
        _run(Workload(model=model, time=4, kind=kind))
    gc.collect()


def _grown(workload: Workload) -> int:
    """Run `workload` in this process; how far its resident size rose above what it was before the model."""
    _rehearse()
    replace(workload.numerics, allocator="default").apply()
    give_back()
    if not is_told():
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        _run(workload)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before
    with within_free_memory():
        before = resident_bytes()
        _run(workload)
        return peak_resident_bytes() - before


@contextmanager
def within_free_memory() -> Iterator[None]:
    """Let an allocation beyond the host's free memory fail in here, instead of waking the kernel's killer.

    It raises what `is_out_of_memory` knows. Where a process is not told what it holds (outside Linux), nothing is
    limited.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if is_told():
        told = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in told if line.startswith("MemAvailable:"))
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + int(0.9 * free), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def _measure_here(request: dict[str, Any]) -> Peak:
    try:
        return Peak(_grown(Workload.from_json(request["workload"])))
    except (MemoryError, RuntimeError, CrossoverError, OSError) as error:
        lines = str(error).splitlines()
        return Peak(None, lines[0] if lines else type(error).__name__)


def _measure_in_child(request: dict[str, Any]) -> Peak:
    """Fork, measure in the child, read its answer from a pipe; what kills the child is the answer's reason."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(max(1, int(request["time_limit"])))
        try:
            peak = _measure_here(request)
            os.write(writer, json.dumps({"bytes": peak.bytes, "reason": peak.reason}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        line = answer.read()
    _, status = os.waitpid(child, 0)
    if line:
        return _read_reply(line)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if ended == signal.SIGALRM:
        return Peak(None, f"took longer than {request['time_limit']:g} s")
    return Peak(None, f"ended by signal {ended}" + (" (out of memory)" if ended == signal.SIGKILL else ""))


def _serve() -> None:
    """Answer one request per line of standard input, until it ends; the rehearsal here imports for all children."""
    _rehearse()
    if is_told():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        peak = _measure_in_child(request) if is_told() else _measure_here(request)
        sys.stdout.write(json.dumps({"bytes": peak.bytes, "reason": peak.reason}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
