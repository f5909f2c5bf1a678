"""A study's folder: opened for one request, continued by the same one, refused to any other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from crossover.errors import CheckpointError, FolderError
from crossover.files import write_json
from crossover.inference.export import ONNX_FILE
from crossover.inference.run_folders import find_run

VERSION = 1
_REQUEST = "request.json"
STUDY_FILE = "study.json"


class Store:
    """The files of one study; see docs/study-format.md."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path, kind: str, identity: dict[str, Any]) -> Store:
        """The store in `folder`, made if need be.

        A folder that holds another study, or files that are no study's, is a FolderError.
        """
        request = {"version": VERSION, "kind": kind, "identity": json.loads(json.dumps(identity))}
        found = folder / _REQUEST
        if found.is_file():
            held = _load(found)
            if held != request:
                differing = _difference(held, request)
                raise FolderError(
                    f"{folder} holds another study ({differing}): give another --out, or repeat that study's command"
                )
        elif folder.is_dir() and any(folder.iterdir()):
            raise FolderError(f"{folder} is not empty and holds no study: give another --out")
        elif folder.exists() and not folder.is_dir():
            raise FolderError(f"{folder} is a file: give a folder to --out")
        else:
            write_json(found, request)
        return cls(folder)

    def run_folder(self, task: str, model: str, seed: int | None = None) -> Path:
        """Where the runs of a model on a task lie, or one seed's."""
        folder = self.folder / "runs" / _slug(task) / _slug(model)
        return folder if seed is None else folder / f"seed{seed}"

    def task_folder(self, task: str) -> Path:
        """Where what belongs to a task alone lies (its baselines)."""
        return self.folder / "runs" / _slug(task)

    def save(self, document: dict[str, Any]) -> None:
        """Write ``study.json``."""
        write_json(self.folder / STUDY_FILE, document)

    def load(self) -> dict[str, Any] | None:
        """What was saved, or None."""
        path = self.folder / STUDY_FILE
        return _load(path) if path.is_file() else None


def load_study(folder: Path) -> dict[str, Any]:
    """The document of the study in `folder`; a folder without one is a FolderError."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise FolderError(f"{folder} holds no study: give the folder that a compare, scale or audit printed")
    return _load(path)


def with_exports(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The document of the study in `folder`, with the seconds of exported models in ONNX Runtime in their rows.

    A row's ``"onnx"`` holds the median of one ``"sequence"`` and, of a causal model, of one ``"step"``.
    """
    rows = [
        {**row, "onnx": _load_export(find_run(folder, Path(row["run"])))} if row.get("run") else row
        for row in document.get("table") or []
    ]
    return {**document, **({"table": rows} if rows else {})}


def _load_export(run: Path | None) -> dict[str, float] | None:
    """None where nothing was exported, or where what was noted of it cannot be read."""
    try:
        noted = json.loads((run / ONNX_FILE).read_text(encoding="utf-8")) if run else None
        return {kind: float(taken["onnx"]["p50"]) for kind, taken in noted.items()} if noted else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _load(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): remove it, or give another --out") from None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise CheckpointError(f"{path} is no study of this version ({VERSION}): give another --out")
    return value


def _difference(held: dict[str, Any], asked: dict[str, Any]) -> str:
    if held["kind"] != asked["kind"]:
        return f"a {held['kind']}, not a {asked['kind']}"
    return _differing(held["identity"], asked["identity"]) or "made by another version"


def _differing(held: dict[str, Any], asked: dict[str, Any], path: str = "") -> str | None:
    """The first setting that is not the same, by its dotted name."""
    for key, value in asked.items():
        before, name = held.get(key), f"{path}{key}"
        if before == value:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            return _differing(before, value, f"{name}.")
        return f"its {name}: {_short(before)}, not {_short(value)}"
    return None


def _short(value: Any, limit: int = 80) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _slug(name: str) -> str:
    """A name as a folder's: ``lstm[layers=2]`` -> ``lstm_layers-2``."""
    return re.sub(r"[^\w.+-]+", "_", name.replace("=", "-")).strip("_") or "unnamed"
