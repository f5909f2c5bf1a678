"""Data sets by name: what they consist of, who owns them, and where their files lie on this machine."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from crossover.errors import DataError, unknown


@dataclass(frozen=True)
class DataFile:
    """One file of a data set: its path under the data folder and where its owner offers it (None: not known).

    The file may lie packed (``.xz``, ``.gz``) beside that path. `member` is its name inside the archive at `url`;
    `sha256` is of the file itself, None where it is not known.
    """

    path: str
    url: str | None = None
    sha256: str | None = None
    member: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set: `path` is the file or folder that `locate` gives; `restricted` needs the licence to be accepted."""

    name: str
    summary: str
    path: str
    files: tuple[DataFile, ...]
    homepage: str
    licence: str
    restricted: bool = False

    def notice(self) -> str:
        """The licence in one sentence, for people."""
        return f"{self.name} is under {self.licence}; see {self.homepage}."


def _read_catalogue() -> dict[str, Dataset]:
    rows = tomllib.loads(files("crossover.data").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    whole = {
        name: Dataset(name=name, **{**row, "files": tuple(DataFile(**file) for file in row["files"])})
        for name, row in rows.items()
        if "parts" not in row
    }
    joined = {
        name: _joined(name, row["summary"], [whole[part] for part in row["parts"]])
        for name, row in rows.items()
        if "parts" in row
    }
    return {**whole, **joined}


def _joined(name: str, summary: str, parts: Sequence[Dataset]) -> Dataset:
    """A data set that consists of others, each under its own licence; its folder is what holds them all."""
    return Dataset(
        name=name,
        summary=summary,
        path=os.path.commonpath([part.path for part in parts]),
        files=tuple(file for part in parts for file in part.files),
        homepage=" and ".join(part.homepage for part in parts),
        licence=" and ".join(f"{part.licence} ({part.name})" for part in parts),
        restricted=any(part.restricted for part in parts),
    )


CATALOGUE: dict[str, Dataset] = _read_catalogue()


def dataset(name: str) -> Dataset:
    """The data set of that name; an unknown one is a DataError (did you mean …)."""
    if name not in CATALOGUE:
        raise DataError(unknown("data set", name, CATALOGUE))
    return CATALOGUE[name]


def cache_folder() -> Path:
    """Where fetched data lie: $CROSSOVER_CACHE, or the platform's folder for a user's caches."""
    if chosen := os.environ.get("CROSSOVER_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "crossover"


def locate(name: str) -> Path:
    """The file or folder of a data set: under $CROSSOVER_DATA, or else under the cache folder.

    Raises DataError for an unknown name, and where a file is missing: how to fetch it and where to put it.
    """
    wanted = dataset(name)
    given = os.environ.get("CROSSOVER_DATA")
    folders = [Path(given).expanduser()] if given else []
    folders.append(cache_folder() / "data")
    for folder in folders:
        if all(_lies_in(folder, file) for file in wanted.files):
            return folder / wanted.path
    missing = next(file for file in wanted.files if not _lies_in(folders[-1], file))
    flag = " --accept-licence" if wanted.restricted else ""
    fetched = f"run `crossover data get {name}{flag}`, or " if missing.url else ""
    raise DataError(
        f"{name} is not on this machine: {fetched}put {Path(missing.path).name} "
        f"from {missing.url or wanted.homepage} at {folders[-1] / missing.path}"
    )


def _lies_in(folder: Path, file: DataFile) -> bool:
    return any((folder / (file.path + packed)).is_file() for packed in ("", ".xz", ".gz"))
