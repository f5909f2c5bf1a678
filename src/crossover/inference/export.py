"""A trained model in other programs' formats."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from crossover.errors import CheckpointError, ConfigError, unknown
from crossover.files import unwritable, write_file
from crossover.inference.predictor import run_folder
from crossover.inference.saved import ARTIFACTS_FILE, WEIGHTS_FILE, SavedModel, load_model
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel
from crossover.models.ports import Continuous, PerRow, SourceTarget, Tokens

FORMATS = ("safetensors", "onnx")

_TOLERANCE = 1e-4
_EXAMPLE_ROWS = 2
_EXAMPLE_STEPS = 12


def export(run: str | Path, *, to: str, out: str | Path, task: str | None = None) -> Path:
    """Write the model of a run, or the one that a study recommends, as `to`; returns where it lies.

    ``safetensors``: `out` is a folder that gets the weights and the settings, and that `load` reads. ``onnx``: `out`
    is a file for rows of any number and of one length each batch; its inputs are `inputs` ([B, T] or [B, T, C]) and
    one per feature, its output is `outputs`. The file is run and compared with PyTorch, at two lengths, before it is
    kept. Raises ConfigError for an unknown format or missing packages, CheckpointError for a model that cannot
    be read, written, or that computes something else in ONNX.
    """
    if to not in FORMATS:
        raise ConfigError(unknown("format", to, FORMATS))
    folder, out = run_folder(Path(run), task=task), Path(out)
    if to == "safetensors":
        return _copy(folder, out)
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


class _Whole(nn.Module):
    """The model over whole rows of one length, with plain tensors in and out."""

    def __init__(self, model: SequenceModel, features: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.features = features

    def forward(self, inputs: Tensor, *features: Tensor) -> Tensor:
        """The model's outputs."""
        named = dict(zip(self.features, features, strict=True)) or None
        outputs: Tensor = self.model(inputs, features=named, span=Span(carry=False))[0]
        return outputs


def _export_onnx(folder: Path, out: Path) -> Path:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"export to onnx needs more packages: pip install {' '.join(missing)}")
    model, saved = load_model(folder)
    if isinstance(saved.inputs, SourceTarget):
        raise ConfigError(
            f"the model in {folder} is an encoder-decoder, which is not exported to onnx: use --to safetensors"
        )
    names = tuple(saved.inputs.features) if isinstance(saved.inputs, Tokens) else ()
    whole, example = _Whole(model, names).eval(), _example(saved)
    program = _traced(whole, example, names, saved)
    aside = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        program.save(str(aside), external_data=False)
        _compare(aside, whole, example, ("inputs", *names), saved)
        shutil.move(aside, out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        aside.unlink(missing_ok=True)
    return out


def _traced(whole: nn.Module, example: tuple[Tensor, ...], names: tuple[str, ...], saved: SavedModel) -> Any:
    """The ONNX program, for any number of rows and, but for a head over all steps, of any length."""
    dims = {0: torch.export.Dim.AUTO}
    if not _fixed_steps(saved):
        dims[1] = torch.export.Dim.AUTO
    try:
        with warnings.catch_warnings(), _quiet("torch.onnx"), torch.inference_mode():
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                whole,
                example,
                dynamo=True,
                input_names=["inputs", *names],
                output_names=["outputs"],
                dynamic_shapes=(dims, *([tuple(dims for _ in names)] if names else [])),
                verbose=False,
            )
    except Exception as error:
        # The exporter raises many kinds of error, all of which mean that this model has no such form.
        raise _no_such_form(saved, type(error.__cause__ or error).__name__) from error


def _no_such_form(saved: SavedModel, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{saved.settings.name} cannot be exported to onnx for rows of any length ({reason}): a mixer that is "
        "computed step by step in Python has no such form, so use --to safetensors"
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


def _fixed_steps(saved: SavedModel) -> int | None:
    return saved.outputs.steps if isinstance(saved.outputs, PerRow) else None


def _example(saved: SavedModel, rows: int = _EXAMPLE_ROWS, steps: int | None = None) -> tuple[Tensor, ...]:
    """Inputs of the right kind: drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    time = steps or _fixed_steps(saved) or _EXAMPLE_STEPS
    if isinstance(saved.inputs, Tokens):
        sizes = (saved.inputs.vocabulary, *saved.inputs.features.values())
        return tuple(torch.randint(size, (rows, time), generator=generator) for size in sizes)
    channels = cast(Continuous, saved.inputs).channels
    return (torch.randn(rows, time, channels, generator=generator),)


def _compare(
    path: Path, whole: nn.Module, example: tuple[Tensor, ...], names: tuple[str, ...], saved: SavedModel
) -> None:
    """Run the file on the example, and on other numbers of rows and steps, against PyTorch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for given in (example, _example(saved, rows=3, steps=_fixed_steps(saved) or _EXAMPLE_STEPS + 5)):
        with torch.inference_mode():
            expected = whole(*given).numpy()
        fed = {name: value.numpy() for name, value in zip(names, given, strict=True)}
        try:
            (found,) = session.run(["outputs"], fed)
        except Exception as error:
            # The runtime's errors share no base class; on inputs of the right kind all mean a length was fixed.
            raise _no_such_form(saved, type(error).__name__) from error
        difference = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
        if not difference <= _TOLERANCE:
            raise CheckpointError(
                f"the onnx file of {saved.settings.name} is {difference:.1e} of the largest output off "
                f"PyTorch (allowed {_TOLERANCE:.0e}), so it is not kept: use --to safetensors"
            )
