"""Numeric series: one long one from a table, or many labelled ones from a UEA/UCR ``.ts`` file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.delimited import parse_delimited
from crossover.data.encoding import decode, read_bytes
from crossover.data.tables import column_names, on_one_line, read_table
from crossover.data.timestamps import check_order, parse_timestamps
from crossover.errors import DataError, unknown

GAP_MARKS = frozenset({"", "nan", "na", "n/a", "null", "none", "?", "-"})
_SHOWN = 3


@dataclass(frozen=True)
class Series:
    """One series: `values_TC` float64 [T, C], a name for each channel, and its timestamps as they were written.

    `notes` say, one sentence each, what was found out or filled in reading it.
    """

    values_TC: np.ndarray
    channels: tuple[str, ...]
    timestamps: list[str] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Columns:
    """A file's columns as written, and for each row the number by which a person finds it."""

    values: dict[str, list[Any]]
    places: list[str]
    notes: tuple[str, ...]


def read_series(
    path: Path, *, targets: Sequence[str] = (), time: str | None = None, fill_gaps: bool = False
) -> Series:
    """The numeric columns of a CSV, TSV, JSON lines or Parquet file, in the order of its rows.

    `targets` names the channels, all numeric columns without it. `time` names the column of timestamps; without it
    the first column is taken if it holds timestamps. A file without a header (its first row is all numbers) has the
    channels ``channel_1`` and so on. Gaps (empty, NaN, NA, ?) are interpolated with `fill_gaps`, at the ends the
    nearest value is repeated.

    Raises DataError: a cell that is no number (line, column and value named), gaps without `fill_gaps` (counted and
    located), timestamps that cannot be read, are repeated or go back, an unknown column (did you mean …).
    """
    columns = _read_columns(path, [*targets, *([time] if time else [])])
    for name in [*targets, *([time] if time else [])]:
        if name not in columns.values:
            raise DataError(f"{path}: {unknown('column', name, columns.values)}")
    notes = list(columns.notes)
    stamps = columns.values[time] if time else None
    if time is None:
        time, stamps = _find_time(columns, targets)
        if time is not None:
            notes.append(f"Column {time!r} of {path.name} is read as the time.")
    timestamps = None
    if time is not None and stamps is not None:
        timestamps = ["" if value is None else on_one_line(str(value)) for value in stamps]
        parsed = parse_timestamps(timestamps, time, columns.places, path)
        notes.extend(check_order(parsed, timestamps, time, columns.places, path))
    channels = tuple(targets) or tuple(name for name in columns.values if name != time)
    if not channels:
        raise DataError(f"{path} has no column beside the time {time!r}: give a file with a numeric column")
    advice = "write one in the file" if targets else "name other columns with --target"
    numbers = [_numbers(columns.values[name], name, columns.places, path, advice) for name in channels]
    values_TC, filled = _fill(np.stack(numbers, axis=1), channels, columns.places, path, fill_gaps)
    return Series(values_TC, channels, timestamps, (*notes, *filled))


def _read_columns(path: Path, wanted: Sequence[str]) -> _Columns:
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".parquet", ".jsonl", ".ndjson", ".json"}:
        table = read_table(path, columns=wanted)
        frame = table.frame
        return _Columns(
            {name: frame[name].to_list() for name in frame.columns},
            [f"row {row}" for row in range(1, frame.height + 1)],
            table.notes,
        )
    decoded = decode(read_bytes(path), path)
    parsed = parse_delimited(decoded.text, path, columns=wanted)
    rows, lines, notes = parsed.rows, parsed.lines, decoded.notes + parsed.notes
    if not rows:
        raise DataError(f"{path} is empty: give a file with data")
    if all(_is_number(cell) for cell in rows[0]):
        names = [f"channel_{i}" for i in range(1, len(rows[0]) + 1)]
        notes += (f"{path.name} has no header: its columns are named {names[0]} to {names[-1]}.",)
    else:
        names = column_names(rows[0], path)
        rows, lines = rows[1:], lines[1:]
    if not rows:
        raise DataError(f"{path} has a header ({', '.join(names)}) and no rows: give a file with data")
    values = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return _Columns(values, [f"line {line}" for line in lines], notes)


def _find_time(columns: _Columns, targets: Sequence[str]) -> tuple[str | None, list[Any] | None]:
    """The first column if it is no target, its first value is no number, and reads as a timestamp."""
    name, values = next(iter(columns.values.items()))
    first = "" if values[0] is None else str(values[0]).strip()
    if name in targets or len(columns.values) == 1 or not first or _is_number(first):
        return None, None
    try:
        parse_timestamps([first], name, columns.places, Path())
    except DataError:
        return None, None
    return name, values


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) and "_" not in cell
    except ValueError:
        return False


def _numbers(cells: Sequence[Any], name: str, places: Sequence[str], path: Path, advice: str) -> np.ndarray:
    """[T] float64, NaN where a cell is a gap; `advice` ends the refusal of a cell that is no number."""
    numbers = np.empty(len(cells))
    for row, cell in enumerate(cells):
        text = "" if cell is None else str(cell).strip()
        if text.lower() in GAP_MARKS:
            numbers[row] = math.nan
            continue
        if not _is_number(text):
            if _is_number(text.replace(",", ".")):
                advice = "write decimals with a point"
            raise DataError(
                f"{places[row]}, column {name!r} of {path} holds {text[:40]!r}: a number is needed, {advice}"
            )
        numbers[row] = float(text)
    return numbers


def _fill(
    values_TC: np.ndarray, channels: Sequence[str], places: Sequence[str], path: Path, fill_gaps: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    gaps_TC = np.isnan(values_TC)
    count = int(gaps_TC.sum())
    if count == 0:
        return values_TC, ()
    first = [f"{places[row]} of {channels[channel]!r}" for row, channel in np.argwhere(gaps_TC)[:_SHOWN].tolist()]
    located = ", ".join(first) + (" and so on" if count > _SHOWN else "")
    for channel in np.flatnonzero(gaps_TC.all(axis=0)).tolist():
        raise DataError(f"column {channels[channel]!r} of {path} has no number at all: choose other columns")
    if not fill_gaps:
        raise DataError(
            f"{path} has {count} gaps ({located}): fill them in the file (training does with --fill-gaps)"
        )
    filled_TC = values_TC.copy()
    steps = np.arange(len(values_TC))
    for channel in np.flatnonzero(gaps_TC.any(axis=0)).tolist():
        known = ~gaps_TC[:, channel]
        filled_TC[:, channel] = np.interp(steps, steps[known], values_TC[known, channel])
    return filled_TC, (f"{count} gaps in {path.name} ({located}) are filled by linear interpolation.",)


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
        if cell != "?" and not _is_number(cell):
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
