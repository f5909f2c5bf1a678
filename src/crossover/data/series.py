"""Labelled series from a UEA/UCR ``.ts`` file: a list of channels a line, and last the label."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossover.data.columns import is_number
from crossover.data.encoding import decode, read_bytes
from crossover.errors import DataError, unknown


@dataclass(frozen=True)
class LabelledSeries:
    """Series with a label each: `rows[i]` is [T_i, C] float32."""

    rows: list[np.ndarray]
    labels: list[str]
    notes: tuple[str, ...] = ()


def read_ts(path: Path) -> LabelledSeries:
    """A UEA/UCR ``.ts`` file: ``@`` header, then a series a line, dimensions and last the label divided by colons.

    Lengths may differ between lines, not between the dimensions of one. Missing values (``?``) are interpolated.

    Raises DataError naming the line that is malformed, or what the header lacks or has that is not read
    (time stamps, no class label).
    """
    decoded = decode(read_bytes(path), path)
    header: dict[str, str] = {}
    rows: list[np.ndarray] = []
    labels: list[str] = []
    missing = 0
    in_data = False
    for number, line in enumerate(io.StringIO(decoded.text, newline=None), start=1):
        line = line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if not in_data:
            key, _, value = line.partition(" ")
            if not key.startswith("@"):
                raise DataError(
                    f"line {number} of {path} stands before @data and begins with no @: this is no .ts file"
                )
            header[key[1:].lower()] = value.strip()
            in_data = key.lower() == "@data"
            if in_data:
                _check_header(header, path)
            continue
        row, label = _ts_row(line, number, header, path)
        missing += int(np.isnan(row).sum())
        rows.append(_interpolated(row, number, path))
        labels.append(label)
    if not rows:
        raise DataError(f"{path} has no series after @data: give a .ts file with data")
    if len({row.shape[1] for row in rows}) > 1:
        widths = [row.shape[1] for row in rows]
        odd = next(i for i, width in enumerate(widths) if width != widths[0])
        raise DataError(f"series {odd + 1} of {path} has {widths[odd]} dimensions, the first has {widths[0]}")
    notes = (f"{missing} missing values in {path.name} are filled by linear interpolation.",) if missing else ()
    return LabelledSeries(rows, labels, decoded.notes + notes)


def _check_header(header: dict[str, str], path: Path) -> None:
    if header.get("timestamps", "false").lower() == "true":
        raise DataError(f"{path} has time stamps in its series (@timeStamps true): give one without them")
    if not header.get("classlabel", "").lower().startswith("true"):
        raise DataError(f"{path} has no class labels (@classLabel true ...): give a classification file")


def _ts_row(line: str, number: int, header: dict[str, str], path: Path) -> tuple[np.ndarray, str]:
    *dimensions, label = (part.strip() for part in line.split(":"))
    known = header["classlabel"].split()[1:]
    if not dimensions:
        raise DataError(f"line {number} of {path} has no label after a colon: write VALUES:...:LABEL")
    if known and label not in known:
        raise DataError(f"line {number} of {path}: {unknown('label', label, known)}")
    declared = header.get("dimensions", "")
    if declared.isdecimal() and int(declared) != len(dimensions):
        raise DataError(f"line {number} of {path} has {len(dimensions)} dimensions and its header says {declared}")
    values = [_ts_values(text, number, path) for text in dimensions]
    lengths = {len(v) for v in values}
    if len(lengths) > 1:
        raise DataError(f"line {number} of {path} has dimensions of different lengths {sorted(lengths)}")
    return np.array(values, dtype=np.float32).T, label


def _ts_values(text: str, number: int, path: Path) -> list[float]:
    values = []
    for cell in text.split(","):
        cell = cell.strip()
        if cell != "?" and not is_number(cell):
            raise DataError(f"line {number} of {path} holds {cell[:40]!r}: a number or ? is needed")
        values.append(math.nan if cell == "?" else float(cell))
    return values


def _interpolated(row_TC: np.ndarray, number: int, path: Path) -> np.ndarray:
    steps = np.arange(len(row_TC))
    for channel in np.flatnonzero(np.isnan(row_TC).any(axis=0)):
        known = ~np.isnan(row_TC[:, channel])
        if not known.any():
            raise DataError(f"line {number} of {path} has no number in dimension {channel + 1}: remove the series")
        row_TC[:, channel] = np.interp(steps, steps[known], row_TC[known, channel])
    return row_TC
