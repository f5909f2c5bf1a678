"""What one run leaves behind: its record, its events as they happen, and the files of its folder."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO
from zipfile import BadZipFile

import numpy as np
import torch

from crossover.errors import CheckpointError
from crossover.files import unwritable, write_file, write_json
from crossover.measure.numerics import Numerics, processor
from crossover.measure.statistics import Interval
from crossover.tasks.base import Sums

RECORD_FILE = "record.json"
_ITEMS_FILE = "items.npz"
_METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run's row of the table, and the series behind it; what was not measured is None.

    `score` is the test score with its 95 % bootstrap interval over test items, `validation` the best validation
    score. `step_seconds` and `tokens_per_second` are the median over steps with p10 and p90 as `low` and `high`,
    warm-up and data loading left out. `train_seconds` is what the budget counts: steps and data loading;
    `validation_seconds` and `test_seconds` stand apart. `flops_forward` and `flops_backward` are those of a mean
    training step, so that their sum over `step_seconds` is the rate achieved. `ranks` holds, for each rank of the
    `layout`, its number, its own seconds of a mean step and those of them that it loaded data, its `peak_bytes`, and
    the `traffic` of a step: calls and bytes by operation and axis. `losses` holds [step, mean loss per counted unit
    of the global batch before the update]; `curve` one entry per validation. `start` names the trained model that the
    run started from and the parameters that were taken of it and that were new. `prediction` is what the planner says
    of a mean step (None where this machine was not calibrated). `solvers` names the solver that was measured to be
    the fastest, by mixer. `newton` tells how Newton's method fared: trajectories solved, iterations of each in the
    mean, the worst residual, rows, and those that were solved step by step (`fallbacks`); None where it was not used.
    """

    task: str
    model: str
    family: str
    mixer: str
    parameters: int
    parameters_without_embedding: int
    seed: int
    metric: str
    higher_is_better: bool
    score: Interval | None
    validation: float
    steps: int
    tokens: int
    epochs: float
    train_seconds: float
    data_seconds: float
    validation_seconds: float
    test_seconds: float | None
    tokens_per_second: Interval
    step_seconds: Interval
    learning_rate: float
    dropout: float
    width: int
    layers: int
    batch: int
    budget: str
    flops_forward: float
    flops_backward: float
    state_bytes: float | None
    peak_bytes: int | None
    precision: str
    stopped: str
    best_step: int
    seeds: int = 1
    layout: str = "single"
    ranks: list[dict[str, Any]] = field(default_factory=list)
    baseline: float | None = None
    latency: dict[str, Any] | None = None
    tuning_seconds: float = 0.0
    utilisation: float | None = None
    run: str | None = None
    start: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    solvers: dict[str, str] = field(default_factory=dict)
    newton: dict[str, Any] | None = None
    validation_summary: dict[str, float] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; intervals as ``{"value", "low", "high"}``, numbers that are not finite as None."""
        values = asdict(self)
        for name in ("score", "tokens_per_second", "step_seconds"):
            interval = getattr(self, name)
            values[name] = interval.to_json() if interval is not None else None
        plain: dict[str, Any] = finite(values)
        return plain

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunRecord:
        """The record that `to_json` gave; fields of a later release are left out."""
        known = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
        for name in ("score", "tokens_per_second", "step_seconds"):
            if known.get(name) is not None:
                known[name] = Interval.from_json(known[name])
        return cls(**known)


def finite(value: Any) -> Any:
    """`value` with every float that JSON cannot hold (nan, inf) replaced by None, in depth."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def environment(numerics: Numerics) -> dict[str, Any]:
    """Where a run ran: versions, device, threads, numerics, commit; an allow-list, never the whole environment."""
    from crossover import __version__

    on_cuda = torch.device(numerics.device).type == "cuda"
    return {
        "crossover": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(numerics.device) if on_cuda else processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "numerics": numerics.to_json(),
    }


@cache
def commit() -> str | None:
    """The commit of the checkout that this package lies in; None where it is installed without one."""
    package = Path(__file__).resolve().parents[1]
    if not any((parent / ".git").exists() for parent in package.parents[:2]):
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(package), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


class MetricsLog:
    """``metrics.jsonl``: one JSON object per event, each line written when it happens."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file

    def write(self, **event: Any) -> None:
        """Append one event; a CheckpointError when the disk takes no more."""
        try:
            self._file.write(json.dumps(finite(event), ensure_ascii=False) + "\n")
        except OSError as error:
            raise unwritable(self._path, error) from error


@contextmanager
def metrics_log(folder: Path, *, steps: int) -> Iterator[MetricsLog]:
    """The log of a run that stands at step `steps`: what was written of later steps, before a kill, is dropped."""
    path = folder / _METRICS_FILE
    kept = [line for line in _lines(path) if line["step"] <= steps]
    write_file(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
    try:
        file = path.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield MetricsLog(path, file)
    finally:
        try:
            file.close()
        except OSError as error:
            raise unwritable(path, error) from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; a last one that was cut off by a kill is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict) and "step" in event:
            yield event


def save_items(folder: Path, items: Sums) -> None:
    """Per-item statistics of the test split, for paired comparison."""
    buffer = BytesIO()
    np.savez_compressed(buffer, **items)  # type: ignore[arg-type]
    write_file(folder / _ITEMS_FILE, buffer.getbuffer())


def load_items(folder: Path) -> Sums:
    """What `save_items` wrote; {} for a run without a test, CheckpointError for a damaged file."""
    path = folder / _ITEMS_FILE
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}): delete the run's folder and start it anew"
        ) from error


def save_record(folder: Path, record: RunRecord) -> None:
    """Write ``environment.json`` and, last of all, ``record.json``: with it the run counts as finished."""
    write_json(folder / "environment.json", record.environment)
    write_json(folder / RECORD_FILE, record.to_json())


def load_record(folder: Path) -> RunRecord:
    """The record of a finished run; CheckpointError when there is none or it cannot be read."""
    path = folder / RECORD_FILE
    try:
        return RunRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} holds no finished run: go on with --resume {folder}, or name another"
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no record of a run ({error}): delete the folder and start the run anew"
        ) from None


def is_started(folder: Path) -> bool:
    """Whether a run was started in `folder`, finished or not."""
    return (folder / _METRICS_FILE).is_file()


def is_finished(folder: Path) -> bool:
    """Whether `folder` holds a finished run."""
    return (folder / RECORD_FILE).is_file()
