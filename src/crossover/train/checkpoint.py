"""Checkpoints: everything a run needs to go on as if it had never stopped.

One file, ``checkpoint/state.pt`` in the run's folder, read with ``torch.load(weights_only=True)``: tensors and plain
values, never code. It holds `run`, the settings it belongs to, so that it is not continued as another run.
"""

from __future__ import annotations

import io
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from crossover.config import leaves, load_toml, to_toml
from crossover.errors import CheckpointError, FolderError
from crossover.files import write_file
from crossover.train.settings import NO_RESULT

VERSION = 3
_FOLDER = "checkpoint"
_FILE = "state.pt"


def has_checkpoint(folder: Path) -> bool:
    """Whether `folder` holds a run that can go on."""
    return (folder / _FOLDER / _FILE).is_file()


def save_checkpoint(folder: Path, run: dict[str, Any], state: dict[str, Any]) -> None:
    """Write `state` beside the last checkpoint and rename; when that fails the last one stays whole."""
    # Serialised in memory first: torch.save into a file hides why a write failed.
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "run": run, "state": state}, buffer)
    write_file(folder / _FOLDER / _FILE, buffer.getbuffer(), durable=True)


def load_checkpoint(folder: Path, run: dict[str, Any], *, device: torch.device) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote for the same `run`.

    Raises CheckpointError when the file is missing, damaged, or of a run with other settings (the first that
    differs is named).
    """
    path = folder / _FOLDER / _FILE
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        version, written_for, state = content["version"], content["run"], content["state"]
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: give the folder of a run that was stopped") from None
    except Exception as error:
        # A damaged or foreign file fails in many ways (zip, unpickler, missing keys), and all mean the same here.
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of Crossover ({type(error).__name__}): start the run anew elsewhere"
        ) from error
    if version != VERSION:
        raise CheckpointError(
            f"{path} has version {version}, this release reads version {VERSION}: start the run anew"
        )
    _same_run(path, written_for, run)
    return dict(state)


def check_finished(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse, as a FolderError, a finished run with another setting than `config`, the tables of ``config.toml``.

    Only what both name is compared: releases differ in the settings that they know.
    """
    if not (folder / "config.toml").is_file():
        return
    held = dict(leaves(load_toml(folder / "config.toml")))
    for key, value in leaves(tomllib.loads(to_toml(config))):
        if key not in _NO_SETTINGS and held.get(key, value) != value:
            raise FolderError(
                f"{folder} holds a finished run with {key}={held[key]!r}, not {value!r}: repeat its command, or "
                "train anew with --out"
            )


_NO_SETTINGS = ("model.name", *(f"train.{name}" for name in NO_RESULT))
"""They change nothing that a run computes."""


def discard_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a run that is finished."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that a step draws from (dropout)."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Set the generators to what `random_state` gave."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def _same_run(path: Path, written_for: Any, run: dict[str, Any]) -> None:
    if written_for == run:
        return
    other = written_for if isinstance(written_for, dict) else {}
    for key in sorted({*run, *other}):
        if run.get(key) != other.get(key):
            raise FolderError(
                f"{path} belongs to a run with {key}={other.get(key)!r}, not {run.get(key)!r}: "
                "resume with the same settings, or choose another folder"
            )
