"""Parquet files, read in a process of their own: a damaged one may abort the reader, or ask for all memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from crossover.errors import DataError

if TYPE_CHECKING:
    import polars

_TIMEOUT_SECONDS = 600
_PROGRAM = "import polars, sys; polars.read_parquet(sys.argv[1]).write_ipc(sys.argv[2])"


def read_parquet(content: bytes, path: Path) -> polars.DataFrame:
    """The table in `content`, the bytes of the Parquet file `path`, at least one row and one column.

    polars decodes it in a child process, which hands it over as an Arrow file. A child that fails, is killed or does
    not come back is a DataError.
    """
    import polars

    with TemporaryDirectory(prefix="crossover-") as folder:
        source, target = Path(folder) / "source.parquet", Path(folder) / "table.arrow"
        source.write_bytes(content)
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _PROGRAM, str(source), str(target)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"{path} could not be read in {_TIMEOUT_SECONDS} s: write it again, or as CSV") from error
        if done.returncode != 0:
            raise DataError(f"{path} is no readable Parquet file ({_reason(done)}): write it again")
        frame = polars.read_ipc(target.read_bytes())
    if frame.height == 0 or frame.width == 0:
        raise DataError(f"{path} has {frame.height} rows and {frame.width} columns: give a file with data")
    return frame


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line of the traceback; a child that aborts leaves none."""
    if done.returncode < 0:
        return "its reader breaks down on it"
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"
