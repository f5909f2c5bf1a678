"""A user's tables of texts and labels: which columns they are, which rows can be used, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossover.data.options import DataOptions
from crossover.data.tables import load_frame, read_table
from crossover.data.timestamps import parse_timestamps
from crossover.errors import ConfigError, DataError, listing, unknown

if TYPE_CHECKING:
    import polars

TEXT_COLUMNS = ("text", "sentence", "review", "headline", "title", "content", "comment")
LABEL_COLUMNS = ("label", "sentiment", "class", "category", "rating", "score", "stars")


@dataclass(frozen=True)
class Examples:
    """Texts, the labels as they were read, and the group of each row (empty strings where there are no groups).

    `column` is the table's column that the texts stood in; None where they come from no table of the user's.
    """

    texts: list[str]
    labels: list[str]
    groups: list[str]
    column: str | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> Examples:
        """These rows, in this order."""
        texts, labels, groups = ([values[i] for i in rows] for values in (self.texts, self.labels, self.groups))
        return replace(self, texts=texts, labels=labels, groups=groups)


def read_files(options: DataOptions) -> tuple[dict[str, Examples], tuple[str, ...]]:
    """Examples by file, as `named_files` names them, and what was found in reading them."""
    read = {name: read_file(source, options) for name, source in named_files(options).items()}
    notes = dict.fromkeys(note for _, file_notes in read.values() for note in file_notes)
    return {name: examples for name, (examples, _) in read.items()}, tuple(notes)


def named_files(options: DataOptions) -> dict[str, str]:
    """The user's files, under "data" or under the splits that they were given for.

    Raises ConfigError where the options name no file or contradict each other.
    """
    given: dict[str, Path | None] = {"train": options.train, "valid": options.valid, "test": options.test}
    paths = {split: str(path) for split, path in given.items() if path is not None}
    if options.data is not None and paths:
        raise ConfigError("both --data and files of a split are given: use --data FILE, or --train FILE --test FILE")
    if options.data is None and not {"train", "test"} <= paths.keys():
        has = f"of the files of a split only {listing(f'--{name}' for name in paths)} is" if paths else "no file is"
        raise ConfigError(f"{has} given: use --data FILE, or --train FILE --test FILE (and --valid FILE)")
    if paths and options.split is not None:
        raise ConfigError(f"--split {options.split} is given with files of a given split: leave one of the two out")
    return paths or {"data": str(options.data)}


def read_file(source: str, options: DataOptions) -> tuple[Examples, tuple[str, ...]]:
    """The usable rows of one file, in the order of `options.time` with ``--split time``."""
    group = group_column(options.split)
    named = [name for name in (options.text, options.label, options.time, group) if name]
    table = load_frame(source, named)
    text, text_notes = text_column(table.frame, options.text, source)
    label, label_notes = _column(table.frame, options.label, LABEL_COLUMNS, "label", source)
    texts, labels = (_strings(table.frame[name]) for name in (text, label))
    groups = _strings(table.frame[group]) if group else [""] * table.frame.height
    examples = Examples(texts, labels, groups, column=text)
    usable_N = np.array([bool(text and label) for text, label in zip(texts, labels, strict=True)])
    if not usable_N.any():
        raise DataError(f"{source} has no row with a text in {text!r} and a label in {label!r}: check both columns")
    rows = np.flatnonzero(usable_N)
    if options.split == "time" and options.time:
        times_N = _times(table.frame, options.time, rows, source)
        rows = rows[np.argsort(times_N, kind="stable")]
    return examples.take(rows), (*table.notes, *text_notes, *label_notes, *_left_out(examples))


def read_texts(path: Path, column: str) -> list[str]:
    """The texts in a table's `column`, one for each row, also an empty one; DataError for a table without it."""
    try:
        return _strings(read_table(path, columns=[column]).frame[column])
    except DataError:
        # Whatever else is wrong with the file is said here.
        names = read_table(path).frame.columns
    raise DataError(
        f"{path}: {unknown('column', column, names)} (the model was trained on a column of that name: rename yours, "
        "or give a .txt file with one text a line)"
    )


def group_column(split: str | None) -> str | None:
    """COLUMN of ``group=COLUMN``, None for ``random``, ``time`` or nothing; anything else is a ConfigError."""
    if split in (None, "random", "time"):
        return None
    kind, equals, column = str(split).partition("=")
    if kind != "group":
        raise ConfigError(unknown("split", str(split), ["random", "time", "group=COLUMN"]))
    if not equals or not column:
        raise ConfigError(f"--split {split} names no column: write --split group=COLUMN")
    return column


def text_column(frame: polars.DataFrame, given: str | None, source: str) -> tuple[str, tuple[str, ...]]:
    """The column of texts: `given`, or the first with a usual name and a note of it; DataError for none."""
    return _column(frame, given, TEXT_COLUMNS, "text", source)


def _column(
    frame: polars.DataFrame, given: str | None, usual: Sequence[str], what: str, source: str
) -> tuple[str, tuple[str, ...]]:
    """The column that was named, or else the first with a usual name, with the sentence that says so."""
    if given is not None:
        return given, ()
    lowered = {name.lower(): name for name in reversed(frame.columns)}
    found = next((lowered[name] for name in usual if name in lowered), None)
    if found is None:
        raise DataError(
            f"{source} has no column with a usual name for the {what} ({listing(usual)}): give --{what} with one of "
            f"its columns {listing(repr(name) for name in frame.columns)}"
        )
    return found, (f"Column {found!r} is taken as the {what}.",)


def _strings(column: polars.Series) -> list[str]:
    """Values as text, stripped; a missing one is empty."""
    values: list[Any] = column.to_list()
    return ["" if value is None else str(value).strip() for value in values]


def _left_out(examples: Examples) -> tuple[str, ...]:
    empty = sum(not text for text in examples.texts)
    unlabelled = sum(not label for label in examples.labels)
    if not empty and not unlabelled:
        return ()
    return (f"Rows left out: {empty} with an empty text, {unlabelled} without a label.",)


def _times(frame: polars.DataFrame, column: str, rows: np.ndarray, source: str) -> np.ndarray:
    texts = _strings(frame[column])
    places = [f"row {row + 1}" for row in rows]
    return parse_timestamps([texts[row] for row in rows], column, places, Path(source))
