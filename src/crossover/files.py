"""Writing files so that a killed process, or a full disk, leaves the old file or the new one and nothing between."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossover.errors import CheckpointError, FolderError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def write_file(path: Path, content: bytes | memoryview | str, *, durable: bool = False) -> None:
    """Write `content` (text as UTF-8) beside `path`, then rename; folders are made as needed.

    `durable` also waits for the disk, so that the file outlives a power cut. Raises CheckpointError with the path
    and the reason (disk full, no permission) and leaves what stood there before.
    """
    data = content.encode() if isinstance(content, str) else content
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise unwritable(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as one JSON document; see `write_file`."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def make_folder(path: Path) -> None:
    """Make `path` and what lies above it; a FolderError where files cannot be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> CheckpointError:
    """The sentence for a file that could not be written: a FolderError unless the disk takes no more."""
    reason = error.strerror or type(error).__name__
    if error.errno not in _NO_ROOM:
        return FolderError(f"cannot write {path} ({reason}): choose another --out")
    return CheckpointError(
        f"cannot write {path}: {reason}; what was finished is kept, so make room and repeat the command "
        "(a single run goes on with --resume), or choose another folder"
    )
