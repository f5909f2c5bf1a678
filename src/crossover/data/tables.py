"""Tables from files: CSV, TSV, JSON lines and Parquet, told apart by content and suffix."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossover.data.delimited import DELIMITERS, parse_delimited
from crossover.data.encoding import decode, read_bytes
from crossover.data.parquet import read_parquet
from crossover.errors import DataError, unknown

if TYPE_CHECKING:
    import polars

_PARQUET_MARK = b"PAR1"
_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
_TEXT_SUFFIXES = {".csv", ".tsv", ".tab"}


@dataclass(frozen=True)
class Table:
    """Rows and what was found out in reading them, one sentence each (encoding, delimiter, missing fields).

    Values are text from CSV and TSV, as typed from JSON lines and Parquet.
    """

    frame: polars.DataFrame
    notes: tuple[str, ...] = ()


def load_frame(source: str, columns: Sequence[str] = ()) -> Table:
    """A table from a file's path or from ``hf://OWNER/NAME[:SPLIT]``; `columns` must be in it."""
    if source.startswith("hf://"):
        from crossover.data.hub import load_hub

        return _with_columns(load_hub(source), source, columns)
    if "://" in source:
        raise DataError(f"{source} is an address: download it and give the file, or give hf://OWNER/NAME[:SPLIT]")
    return read_table(Path(source).expanduser(), columns=columns)


def read_table(path: Path, *, columns: Sequence[str] = ()) -> Table:
    """The table in `path`, all its columns; ``.gz`` and ``.xz`` are unpacked on the way.

    Raises DataError, one sentence, for a missing, empty, binary or damaged file, a header without rows, ragged rows,
    broken JSON (line named), and a name of `columns` that is not in it (did you mean …).
    """
    content = read_bytes(path)
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if content.startswith(_PARQUET_MARK) or ".parquet" in suffixes:
        return _with_columns(Table(read_parquet(content, path)), str(path), columns)
    decoded = decode(content, path)
    looks_json = decoded.text.lstrip()[:1] == "{" and not suffixes & _TEXT_SUFFIXES
    if looks_json or suffixes & _JSON_SUFFIXES:
        table = _read_json_lines(decoded.text, path)
    else:
        table = _read_delimited(decoded.text, path, columns)
    return _with_columns(Table(table.frame, decoded.notes + table.notes), str(path), columns)


def _with_columns(table: Table, source: str, columns: Sequence[str]) -> Table:
    names = table.frame.columns
    for name in columns:
        if name in names:
            continue
        if len(names) == 1:
            tried = ", ".join(DELIMITERS.values())
            raise DataError(f"{source} has one column, {names[0]!r}, and no {name!r} (delimiters tried: {tried})")
        raise DataError(f"{source}: {unknown('column', name, map(on_one_line, names))}")
    return table


def _read_delimited(text: str, path: Path, columns: Sequence[str]) -> Table:
    import polars

    parsed = parse_delimited(text, path, columns=columns)
    header, *rows = parsed.rows
    names = column_names(header, path)
    if not rows:
        raise DataError(f"{path} has a header ({', '.join(names)}) and no rows: give a file with data")
    fields = [list(column) for column in zip(*rows, strict=True)]
    return Table(_frame(dict(zip(names, fields, strict=True)), polars.String, path), parsed.notes)


def column_names(header: Sequence[str], path: Path) -> list[str]:
    """The names of a header row, on one line; an empty one becomes ``column_3``, a repeated one is a DataError."""
    names = [on_one_line(name) or f"column_{i}" for i, name in enumerate(header, start=1)]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path} has {count} columns named {name!r}: give each its own name")
    return names


def on_one_line(text: str) -> str:
    """`text` with every run of white space as one space."""
    return " ".join(text.split())


def _read_json_lines(text: str, path: Path) -> Table:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append(_json_object(line, number, path))
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise DataError(f"{path} holds {len(rows)} JSON objects without fields: give a file with data")
    missing = sum(len(row) < len(names) for row in rows)
    notes = (f"{missing} of {len(rows)} objects in {path.name} lack a field: it is left empty.",) if missing else ()
    return Table(_frame({name: _uniform([row.get(name) for row in rows]) for name in names}, None, path), notes)


def _json_object(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"line {number} of {path} is not JSON ({reason}): write one object a line") from error
    if not isinstance(value, dict):
        raise DataError(f"line {number} of {path} is a JSON {type(value).__name__}: write one object a line")
    return value


def _uniform(values: list[Any]) -> list[Any]:
    """A column of one type: numbers, or truth values, or text (anything else as its JSON)."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return values
    if kinds <= {int, float}:
        exact = kinds == {int} and all(v is None or abs(v) < 1 << 63 for v in values)
        return values if exact else [None if v is None else _as_float(v) for v in values]
    return [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _frame(columns: dict[str, list[Any]], dtype: Any, path: Path) -> polars.DataFrame:
    import polars

    try:
        return polars.DataFrame([polars.Series(name, values, dtype=dtype) for name, values in columns.items()])
    except UnicodeEncodeError as error:
        raise DataError(f"{path} holds half a surrogate pair ({error.reason}): save it as UTF-8 again") from error
