"""What commands print: documents and answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from crossover.config import leaves

if TYPE_CHECKING:
    from crossover.api import Study
    from crossover.cli.flags import Common


def print_document(document: Any) -> None:
    """One JSON document on stdout."""
    from crossover.train.record import finite

    sys.stdout.write(json.dumps(finite(document), ensure_ascii=False, indent=1) + "\n")


def print_text(text: str) -> None:
    """Text for people on stdout."""
    sys.stdout.write(text + "\n")


def print_piece(text: str) -> None:
    """A piece of text on stdout, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Rows of text in aligned columns; the last column takes what is left."""
    rows = [tuple(row) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print_text("  ".join([*cells, row[-1]]).rstrip())


def print_fields(fields: Mapping[str, Any]) -> None:
    """Named values, those that are empty left out; a list is one item a line, a mapping its ``key=value`` pairs."""
    for name, value in fields.items():
        if isinstance(value, list) and value:
            print_text("\n  ".join([f"{name}:", *map(str, value)]))
        elif value not in (None, [], {}, ""):
            print_text(f"{name}: {_in_words(value)}")


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(item)}" for key, item in leaves(value) if item is not None)
    return str(value)


def _plain(value: Any) -> str:
    """A value as ``--set`` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def tell(line: str) -> None:
    """A message for people on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def print_nowhere() -> None:
    """Let what is still to be printed vanish: the interpreter's own flush at its end would complain once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


_tokens: ContextVar[tuple[str, ...]] = ContextVar("tokens", default=())


@contextmanager
def typed_as(tokens: Sequence[str]) -> Iterator[None]:
    """Within, `command_line` is ``crossover`` with these tokens."""
    before = _tokens.set(tuple(tokens))
    try:
        yield
    finally:
        _tokens.reset(before)


def command_line() -> str:
    """This command as it was typed, or as a program called it."""
    return shlex.join(["crossover", *_tokens.get()])


def finish(study: Study, common: Common) -> None:
    """Write the report and print the summary, or the document with ``--json``."""
    report = study.report(lang=common.lang)
    if common.json:
        scale = study.document.get("scale") or {}
        print_document({"study": str(study.folder), "report": str(report), **study.document, **scale})
        return
    from rich.console import Console

    from crossover.report.terminal import print_summary

    print_summary(study.document, study.folder, Console(), common.lang)
