"""Delimited text: which character separates the fields, whether quotes quote, and where a row is ragged."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from crossover.errors import DataError

DELIMITERS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
_USUAL = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class Delimited:
    """All rows of a delimited file, equally wide, the first one included; row i begins at line `lines[i]`, from 1."""

    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    notes: tuple[str, ...]


def parse_delimited(text: str, path: Path, *, columns: Sequence[str] = ()) -> Delimited:
    """Cut `text` by the delimiter under which it is most regular; blank lines are skipped.

    `columns` are names that the first row should hold: a delimiter that shows them is preferred. Where quotes are
    broken, but reading them as ordinary characters gives a regular table, it is read so and noted.

    Raises DataError naming the first ragged row or broken quote by its line.
    """
    suffixes = [s.lower() for s in path.suffixes]
    usual = next((_USUAL[s] for s in suffixes if s in _USUAL), ",")
    delimiter = max(DELIMITERS, key=lambda d: (*_fitness(text, d, columns), d == usual))
    notes: tuple[str, ...] = () if delimiter == usual else (f"{path.name} is separated by {DELIMITERS[delimiter]}.",)
    try:
        rows, lines = _records(text, delimiter, path, quoted=True)
    except DataError:
        if not (literal := _literal_records(text, delimiter, path)):
            raise
        rows, lines = literal
        notes += (f"The quotes in {path.name} do not enclose fields: they are read as ordinary characters.",)
    if not rows:
        raise DataError(f"{path} holds no field with a value: give a file with data")
    return Delimited(rows, lines, delimiter, notes)


def _literal_records(text: str, delimiter: str, path: Path) -> tuple[list[list[str]], list[int]] | None:
    """The rows with quotes as ordinary characters, if that makes a regular table in which no field is quoted."""
    if '"' not in text:
        return None
    try:
        rows, lines = _records(text, delimiter, path, quoted=False)
    except DataError:
        return None
    quoted = any(len(field) > 1 and field[0] == field[-1] == '"' for fields in rows for field in fields)
    return None if quoted else (rows, lines)


def _reader(text: str, delimiter: str, *, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each row that is not blank."""
    lines = io.StringIO(text, newline="")
    if quoted:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL, strict=True)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    before = 0
    for fields in reader:
        if any(field.strip() for field in fields):
            yield before + 1, fields
        before = reader.line_num


def _fitness(text: str, delimiter: str, columns: Sequence[str]) -> tuple[int, int, float, int]:
    """How well a delimiter explains the first rows: columns found, several fields, share as wide as the first."""
    rows: list[list[str]] = []
    try:
        rows.extend(fields for _, fields in islice(_reader(text, delimiter, quoted=True), _SAMPLE_ROWS))
    except csv.Error:
        rows = rows or [line.split(delimiter) for line in text.splitlines()[:_SAMPLE_ROWS] if line.strip()]
    if not rows:
        return 0, 0, 0.0, 0
    header = {name.strip() for name in rows[0]}
    width = len(rows[0])
    regular = Counter(map(len, rows))[width] / len(rows)
    found = sum(name in header for name in columns)
    return found, int(width > 1), regular, width


def _records(text: str, delimiter: str, path: Path, *, quoted: bool) -> tuple[list[list[str]], list[int]]:
    rows: list[list[str]] = []
    lines: list[int] = []
    limit = csv.field_size_limit(sys.maxsize)
    try:
        for line, fields in _reader(text, delimiter, quoted=quoted):
            if rows and len(fields) != len(rows[0]):
                raise DataError(
                    f"line {line} of {path} has {len(fields)} fields and its first row has {len(rows[0])} "
                    f"(separated by {DELIMITERS[delimiter]}): repair it, or put fields that hold it in quotes"
                )
            rows.append(fields)
            lines.append(line)
    except csv.Error as error:
        line = lines[-1] if lines else 1
        raise DataError(f"{path} has a broken quote after line {line} ({error}): repair it") from error
    finally:
        csv.field_size_limit(limit)
    return rows, lines
