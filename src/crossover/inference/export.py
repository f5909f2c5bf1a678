"""A trained model in other programs' formats."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossover.errors import CheckpointError, ConfigError, unknown
from crossover.files import unwritable, write_file, write_json
from crossover.inference.onnx_programs import Program, programs, use_definitions
from crossover.inference.run_folders import run_folder
from crossover.inference.saved import ARTIFACTS_FILE, WEIGHTS_FILE, SavedModel, load_model
from crossover.measure.clock import timings_in_turn
from crossover.measure.statistics import percentiles

FORMATS = ("safetensors", "onnx")

ONNX_FILE = "onnx.json"
"""In a run's folder: what its model took in ONNX Runtime."""

_TOLERANCE = 1e-4
_LATENCY_STEPS = 128
_LATENCY_ROUNDS = 60
_LATENCY_SECONDS = 3.0


@dataclass(frozen=True)
class Exported:
    """The files that were written, and what one row takes in ONNX Runtime and in PyTorch (nothing for weights).

    `latency` has ``"sequence"`` and, of a causal model, ``"step"``; of an encoder-decoder ``"sequence"`` is the
    source that is read. Each holds ``"onnx"`` and ``"pytorch"`` (p50 and p99 in seconds) and the steps of the row.
    """

    files: list[Path]
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)


def export(run: str | Path, *, to: str, out: str | Path, task: str | None = None) -> Exported:
    """Write the model of a run, or the one that a study recommends, as `to`; returns what was written.

    ``safetensors``: `out` is a folder that gets the weights and the settings, and that `load` reads. ``onnx``: `out`
    is a file, say model.onnx, for rows of any number and of one length each batch; its inputs are `inputs` ([B, T] or
    [B, T, C]) and one for each feature, its output is `outputs`. A causal model gives its state too, and
    model.step.onnx goes on from it by one step. Of an encoder-decoder, model.onnx turns `source` and `lengths` into
    the state before the first step. Every file is run and compared with PyTorch, at two sizes, before it is kept, and
    its latency is noted in the run's folder.

    Raises ConfigError for an unknown format or missing packages, CheckpointError for a model that cannot be read,
    written, or that computes something else in ONNX.
    """
    if to not in FORMATS:
        raise ConfigError(unknown("format", to, FORMATS))
    folder, out = run_folder(Path(run), task=task), Path(out)
    if to == "safetensors":
        return Exported([_copy(folder, out)])
    return _export_onnx(folder, out)


def _copy(folder: Path, out: Path) -> Path:
    load_model(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS_FILE, ARTIFACTS_FILE):
            write_file(out / name, (folder / name).read_bytes())
    except OSError as error:
        raise unwritable(out, error) from error
    return out


def _export_onnx(folder: Path, out: Path) -> Exported:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"export to onnx needs more packages: pip install {' '.join(missing)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as aside:
            try:
                latency = _write_programs(folder, Path(aside), fast=True)
            except CheckpointError:
                latency = _write_programs(folder, Path(aside), fast=False)
            places = [out.with_name(f"{out.stem}.step{out.suffix}") if kind == "step" else out for kind in latency]
            for kind, place in zip(latency, places, strict=True):
                shutil.move(Path(aside) / kind, place)
    except OSError as error:
        raise unwritable(out, error) from error
    # A run that may only be read is exported all the same.
    with suppress(OSError):
        write_json(folder / ONNX_FILE, latency)
    return Exported(places, latency)


def _write_programs(folder: Path, aside: Path, *, fast: bool) -> dict[str, dict[str, Any]]:
    """Writes a checked file for each program of the model, named by its kind; returns their latencies.

    `fast` False writes the mixers' definitions; PyTorch is timed as it computes by itself all the same.
    """
    model, saved = load_model(folder)
    if not fast:
        use_definitions(model)
    latency: dict[str, dict[str, Any]] = {}
    written = programs(model)
    for program, own in zip(written, written if fast else programs(load_model(folder)[0]), strict=True):
        path = aside / program.kind
        _traced(program, saved).save(str(path), external_data=False)
        _compare(path, program, saved)
        latency[program.kind] = _latency(path, program, own.module)
    return latency


def _traced(program: Program, saved: SavedModel) -> Any:
    """The ONNX program; dims in which the two examples differ are free."""
    first, second = program.examples()
    free = [
        {
            dim: torch.export.Dim.AUTO
            for dim, sizes in enumerate(zip(a.shape, b.shape, strict=True))
            if len(set(sizes)) > 1
        }
        for a, b in zip(first, second, strict=True)
    ]
    own = len(free) - program.starred
    try:
        with warnings.catch_warnings(), _quiet("torch.onnx"), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                program.module,
                first,
                dynamo=True,
                input_names=list(program.inputs),
                output_names=list(program.outputs),
                dynamic_shapes=(*free[:own], *([tuple(free[own:])] if program.starred else [])),
                verbose=False,
            )
    except Exception as error:
        # The exporter raises many kinds of error, all of which mean that this model has no such form.
        raise _no_such_form(saved, type(error.__cause__ or error).__name__) from error


def _no_such_form(saved: SavedModel, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{saved.settings.name} cannot be exported to onnx for rows of any length ({reason}): use --to safetensors"
    )


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Only errors from the logger `name`."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _runner(path: Path, program: Program) -> Callable[[Sequence[Tensor]], list[np.ndarray]]:
    """Runs a file in ONNX Runtime: a program's inputs to its outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    taken = {given.name for given in session.get_inputs()}

    def run(example: Sequence[Tensor]) -> list[np.ndarray]:
        named = zip(program.inputs, example, strict=True)
        fed = {name: value.numpy(force=True) for name, value in named if name in taken}
        found: list[np.ndarray] = session.run(list(program.outputs), fed)
        return found

    return run


def _latency(path: Path, program: Program, module: nn.Module) -> dict[str, Any]:
    """Seconds of one row of `steps` steps, or of the step after them, in ONNX Runtime and by `module`, in turn."""
    steps = program.steps(_LATENCY_STEPS)
    example, run = program.example(1, steps), _runner(path, program)

    def torch_run() -> None:
        with torch.inference_mode():
            module(*example)

    timings = timings_in_turn(
        {"onnx": lambda: run(example), "pytorch": torch_run}, rounds=_LATENCY_ROUNDS, time_limit=_LATENCY_SECONDS
    )
    told: dict[str, Any] = {"steps": steps}
    for name, timing in timings.items():
        p50, p99 = percentiles(timing.seconds, [50, 99])
        told[name] = {"p50": p50, "p99": p99, "samples": len(timing.seconds)}
    return told


def _compare(path: Path, program: Program, saved: SavedModel) -> None:
    """Run the file on both examples against PyTorch, every output."""
    run = _runner(path, program)
    for example in program.examples():
        with torch.no_grad():
            expected = program.module(*example)
        try:
            found = run(example)
        except Exception as error:
            # The runtime's errors share no base class; on inputs of the right kind all mean a length was fixed.
            raise _no_such_form(saved, type(error).__name__) from error
        for name, ours, theirs in zip(program.outputs, expected, found, strict=True):
            _check_equal(name, ours.numpy(force=True), theirs, saved)


def _check_equal(name: str, expected: np.ndarray, found: np.ndarray, saved: SavedModel) -> None:
    largest = max(float(np.abs(expected).max(initial=0)), 1e-12)
    difference = float(np.abs(found.astype(np.float64) - expected).max(initial=0)) / largest
    if not difference <= _TOLERANCE:
        raise CheckpointError(
            f"{name} of the onnx file of {saved.settings.name} is {difference:.1e} of its largest value off PyTorch "
            f"(allowed {_TOLERANCE:.0e}), so it is not kept: use --to safetensors"
        )
