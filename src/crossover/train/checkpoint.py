"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder ``checkpoint/00001234`` in the run's folder, named by the step. Tensors are written by
`torch.distributed.checkpoint`, each rank its own shards, so that nothing has to be put together; ``state.pt`` holds
the small rest, plain values read with ``torch.load(weights_only=True)``, among them `run`, the settings that it
belongs to, so that it is not continued as another run. A checkpoint is written aside, while training goes on, and
renamed; the last ones are kept. The index of the tensors is read by pickle: go on with run folders of your own only.
"""

from __future__ import annotations

import io
import os
import shutil
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.serialization import get_crc32_options, set_crc32_options

from crossover.config import leaves, load_toml, to_toml
from crossover.errors import CheckpointError, CrossoverError, FolderError
from crossover.files import unwritable, write_file
from crossover.models.settings import ModelSettings
from crossover.parallel.mesh import Mesh, everyones, group_of
from crossover.train.settings import NO_RESULT, TrainSettings

# One process has no others to save with, and need not be told.
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

VERSION = 4
_FOLDER = "checkpoint"
_FILE = "state.pt"
_WRITING = timedelta(minutes=30)
"""How long a rank waits for the others to have written their shards."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that was read: the small rest, and the tensors by name, each whole."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]


class Checkpoints:
    """Those in a run's folder, of which the last `kept` stay; `run` are the settings that they belong to.

    Every rank of `mesh` makes the same calls. A run without a folder has none, and nothing is done.
    """

    def __init__(self, folder: Path | None, run: dict[str, Any], mesh: Mesh, *, kept: int) -> None:
        self.folder = None if folder is None else folder / _FOLDER
        self.run, self.mesh, self.kept = run, mesh, kept
        self._writer: _Writer | None = None
        # Shards are written while steps send messages of their own.
        everyone = range(mesh.world.size)
        apart = group_of("checkpoints", everyone, timeout=_WRITING, backend="gloo") if len(everyone) > 1 else None
        self._group = apart

    def save(self, step: int, state: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Begin to write what stands now, once the checkpoint before is written; errors are those of `wait`."""
        if self.folder is None:
            return
        self.wait()
        aside, final = self.folder / f".{step:08d}.{os.getpid()}", self.folder / f"{step:08d}"
        aside = Path(everyones(str(aside), self.mesh.world)[0])
        if self.mesh.leads:
            # Serialised in memory first: torch.save into a file hides why a write failed.
            buffer = io.BytesIO()
            torch.save({"version": VERSION, "run": self.run, "state": state}, buffer)
            try:
                write_file(aside / _FILE, buffer.getbuffer(), durable=True)
            except CheckpointError:
                shutil.rmtree(aside, ignore_errors=True)
                raise
        copied = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self._writer = _Writer(copied, aside, self._group, self._finish if self.mesh.leads else None, final)

    def wait(self) -> None:
        """Until what was begun is written; CheckpointError where it could not be: those before it stay whole."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.wait()

    def _finish(self, aside: Path, final: Path) -> None:
        """Give a written checkpoint its name, and let those go that are older than the last ones."""
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
        unfinished = [path for path in final.parent.iterdir() if path.name.startswith(".")]
        for path in [*_written(final.parent)[: -self.kept], *unfinished]:
            shutil.rmtree(path, ignore_errors=True)

    def load(self, *, device: torch.device) -> Loaded | None:
        """The last checkpoint that can be read; None where there is none.

        Raises CheckpointError when none can be read, or it is of a run with other settings (the first that differs
        is named).
        """
        found = [] if self.folder is None else list(reversed(_written(self.folder)))
        problem: CrossoverError | None = None
        for path in found:
            loaded, own = self._try(path, device)
            problem = next((error for error in everyones(own, self.mesh.world) if error is not None), None)
            if problem is None and loaded is not None:
                return loaded
            if isinstance(problem, FolderError):
                break
        if problem is not None:
            raise problem
        return None

    def _try(self, path: Path, device: torch.device) -> tuple[Loaded | None, CrossoverError | None]:
        try:
            return _read(path, self.run, device), None
        except CrossoverError as error:
            return None, error


class _Writer:
    """Writes shards in a thread of its own; the one rank that has a `finish` calls it once all are written."""

    def __init__(
        self,
        tensors: dict[str, Tensor],
        aside: Path,
        group: dist.ProcessGroup | None,
        finish: Callable[[Path, Path], None] | None,
        final: Path,
    ) -> None:
        self.tensors, self.aside, self.group, self.finish, self.final = tensors, aside, group, finish, final
        self.error: BaseException | None = None
        # Not waited for when the process ends by an error: a rank that is lost would hold it.
        self.thread = Thread(target=self._write, daemon=True)
        self.thread.start()

    def wait(self) -> None:
        self.thread.join()
        if self.error is None:
            return
        shutil.rmtree(self.aside, ignore_errors=True)
        if isinstance(self.error, OSError):
            raise unwritable(self.final, self.error) from self.error
        raise CheckpointError(
            f"cannot write {self.final} ({type(self.error).__name__}: {' '.join(str(self.error).split())}): what was "
            "saved before is kept, go on with --resume"
        ) from self.error

    def _write(self) -> None:
        try:
            writer = dcp.FileSystemWriter(self.aside, thread_count=1)
            with _no_checksums():
                dcp.save(self.tensors, storage_writer=writer, process_group=self.group, no_dist=self.group is None)
            if self.finish is not None:
                self.finish(self.aside, self.final)
        except dcp.CheckpointException as error:
            causes = [_deepest(cause) for cause, _trace in error.failures.values()]
            self.error = next((cause for cause in causes if isinstance(cause, OSError)), causes[0])
        except BaseException as error:  # told to the one who waits
            self.error = error


@contextmanager
def _no_checksums() -> Iterator[None]:
    """Write tensors without those of the zip format, which take a quarter of the time: no reader compares them."""
    before = get_crc32_options()
    set_crc32_options(False)
    try:
        yield
    finally:
        set_crc32_options(before)


def _deepest(error: BaseException) -> BaseException:
    """What an error comes of: torch hides why a file could not be written."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def identity(task: str, model: ModelSettings, settings: TrainSettings, precision: str) -> dict[str, Any]:
    """The settings that make a run this one, as a checkpoint records them."""
    own = {key: repr(value) for key, value in settings.to_json().items() if key not in NO_RESULT}
    of_model = {f"model.{key}": repr(value) for key, value in asdict(model).items()}
    return {"task": task, **own, **of_model, "precision": precision}


def under(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Those of one kind, by the rest of their names."""
    return {name.removeprefix(f"{kind}/"): tensor for name, tensor in tensors.items() if name.startswith(f"{kind}/")}


def has_checkpoint(folder: Path) -> bool:
    """Whether `folder` holds a run that can go on."""
    return bool(_written(folder / _FOLDER))


def _written(folder: Path) -> list[Path]:
    """Complete checkpoints, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and (path / _FILE).is_file())


def _read(path: Path, run: dict[str, Any], device: torch.device) -> Loaded:
    try:
        content = torch.load(path / _FILE, map_location=device, weights_only=True)
        version, written_for, state = content["version"], content["run"], dict(content["state"])
    except Exception as error:
        # A damaged or foreign file fails in many ways (zip, unpickler, missing keys), and all mean the same here.
        raise _damaged(path, error) from error
    if version != VERSION:
        raise CheckpointError(
            f"{path} has version {version}, this release reads version {VERSION}: start the run anew"
        )
    _same_run(path, written_for, run)
    try:
        index = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
        tensors = {
            name: torch.empty(held.size, dtype=held.properties.dtype, device=device)
            for name, held in index.items()
            if isinstance(held, dcp.TensorStorageMetadata)
        }
        dcp.load(tensors, checkpoint_id=path, no_dist=True)
    except (Exception, dcp.CheckpointException) as error:
        raise _damaged(path, error) from error
    return Loaded(state, tensors)


def _damaged(path: Path, error: BaseException) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or no checkpoint of Crossover ({type(error).__name__}): start the run anew elsewhere"
    )


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
    """Remove the checkpoints of a run that is finished."""
    with suppress(OSError):
        shutil.rmtree(folder / _FOLDER)


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
