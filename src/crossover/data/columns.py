"""Columns of numbers from a table: read as written, made numbers, gaps filled or refused by their places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.delimited import parse_delimited
from crossover.data.encoding import decode, read_bytes
from crossover.data.tables import column_names, read_table
from crossover.errors import DataError

GAP_MARKS = frozenset({"", "nan", "na", "n/a", "null", "none", "?", "-"})
_SHOWN = 3


@dataclass(frozen=True)
class Columns:
    """A file's columns as written, and for each row the number by which a person finds it."""

    values: dict[str, list[Any]]
    places: list[str]
    notes: tuple[str, ...]


def read_columns(path: Path, wanted: Sequence[str] = ()) -> Columns:
    """The columns of a CSV, TSV, JSON lines or Parquet file; a first row of numbers alone is no header.

    `wanted` are names that the header should hold. An empty file is a DataError.
    """
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".parquet", ".jsonl", ".ndjson", ".json"}:
        table = read_table(path, columns=wanted)
        frame = table.frame
        return Columns(
            {name: frame[name].to_list() for name in frame.columns},
            [f"row {row}" for row in range(1, frame.height + 1)],
            table.notes,
        )
    decoded = decode(read_bytes(path), path)
    parsed = parse_delimited(decoded.text, path, columns=wanted)
    rows, lines, notes = parsed.rows, parsed.lines, decoded.notes + parsed.notes
    if not rows:
        raise DataError(f"{path} is empty: give a file with data")
    if all(is_number(cell) for cell in rows[0]):
        names = [f"channel_{i}" for i in range(1, len(rows[0]) + 1)]
        notes += (f"{path.name} has no header: its columns are named {names[0]} to {names[-1]}.",)
    else:
        names = column_names(rows[0], path)
        rows, lines = rows[1:], lines[1:]
    if not rows:
        raise DataError(f"{path} has a header ({', '.join(names)}) and no rows: give a file with data")
    values = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return Columns(values, [f"line {line}" for line in lines], notes)


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell)) and "_" not in cell
    except ValueError:
        return False


def read_numbers(cells: Sequence[Any], name: str, places: Sequence[str], path: Path, advice: str) -> np.ndarray:
    """[T] float64, NaN where a cell is a gap; `advice` ends the refusal of a cell that is no number."""
    numbers = np.empty(len(cells))
    for row, cell in enumerate(cells):
        text = "" if cell is None else str(cell).strip()
        if text.lower() in GAP_MARKS:
            numbers[row] = math.nan
            continue
        if not is_number(text):
            if is_number(text.replace(",", ".")):
                advice = "write decimals with a point"
            raise DataError(
                f"{places[row]}, column {name!r} of {path} holds {text[:40]!r}: a number is needed, {advice}"
            )
        numbers[row] = float(text)
    return numbers


def fill_or_refuse(
    values_TC: np.ndarray,
    names: Sequence[str],
    places: Sequence[str],
    path: Path,
    *,
    fill_gaps: bool,
    groups: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The columns without gaps (NaN), and what was filled in a sentence.

    `groups` are the rows of each series by its name; a gap is interpolated within its own series, at the ends the
    nearest value is repeated. Without `fill_gaps` a gap is a DataError, and so is a column without any number.
    """
    gaps_TC = np.isnan(values_TC)
    count = int(gaps_TC.sum())
    if count == 0:
        return values_TC, ()
    first = [f"{places[row]} of {names[column]!r}" for row, column in np.argwhere(gaps_TC)[:_SHOWN].tolist()]
    located = ", ".join(first) + (" and so on" if count > _SHOWN else "")
    for group, rows in groups.items():
        for column in np.flatnonzero(gaps_TC[rows].all(axis=0)).tolist():
            of = f" of series {group!r}" if group else ""
            raise DataError(f"column {names[column]!r} of {path} has no number at all{of}: choose other columns")
    if not fill_gaps:
        raise DataError(
            f"{path} has {count} gaps ({located}): fill them in the file (training does with --fill-gaps)"
        )
    filled_TC = values_TC.copy()
    for rows in groups.values():
        steps = np.arange(len(rows))
        for column in np.flatnonzero(gaps_TC[rows].any(axis=0)).tolist():
            known = ~gaps_TC[rows, column]
            filled_TC[rows, column] = np.interp(steps, steps[known], values_TC[rows[known], column])
    return filled_TC, (f"{count} gaps in {path.name} ({located}) are filled by linear interpolation.",)
