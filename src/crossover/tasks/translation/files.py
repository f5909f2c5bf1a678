"""Sentence pairs from files: a user's table or two aligned files, and the data sets that a name stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossover.data.encoding import Decoded, read_text
from crossover.data.tables import read_table
from crossover.errors import ConfigError, DataError, listing
from crossover.tasks.base import Split
from crossover.tasks.translation.pairs import (
    LeakFinder,
    Pairs,
    Parts,
    TranslationData,
    group_by_source,
    leak_note,
    remove_leaks,
    split_by_group,
)

if TYPE_CHECKING:
    import polars

USUAL_NAMES = (
    *(("source", "target"), ("src", "tgt"), ("src", "trg"), ("source", "reference"), ("en", "zh")),
    *(("english", "chinese"), ("eng", "cmn"), ("input", "output"), ("text", "translation")),
)
"""Names of the source and the target column, in lower case, in the order they are looked for."""

TATOEBA_SIZES = (500, 1_000)
"""Sentences of the valid and the test split."""

_LANGUAGES = ("en", "zh")
_SHOWN_LINES = 3
_NOT_TABBED = {".csv", ".json", ".jsonl", ".ndjson", ".parquet"}
_CODE = re.compile("[a-z]{2,3}(-[a-z]{2,4})?")


def read_pairs(path: Path, source: str | None = None, target: str | None = None) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs of a CSV, TSV, JSON lines or Parquet file, grouped by source, and what was found in reading.

    Columns that are not named are found by `USUAL_NAMES`, or are a table's only two where both are language codes.
    A tab-separated file whose first line holds no such name has no header: its first column is the source, its
    second the target, and quotes in it are ordinary characters.

    Raises ConfigError for one column as both, DataError for files, columns or rows that cannot be used.
    """
    if source is not None and source == target:
        raise ConfigError(f"column {source!r} is given as the source and as the target: name two columns")
    if source is None and target is None and (decoded := _headerless(path)) is not None:
        rows = _cut_lines(decoded.text, path)
        first = f"{path.name} has no header: its first column is taken as the source, its second as the target."
        notes = (*decoded.notes, first)
    else:
        table = read_table(path, columns=[name for name in (source, target) if name is not None])
        chosen, column_notes = _columns(table.frame, source, target, path)
        rows = list(zip(*(_strings(table.frame[name]) for name in chosen), strict=True))
        notes = (*table.notes, *column_notes)
    usable = [(left, right) for left, right in rows if left and right]
    if not usable:
        raise DataError(f"{path} has no row with both a source and a target: check the two columns")
    if len(usable) < len(rows):
        empty = sum(not left for left, _ in rows)
        untranslated = len(rows) - len(usable) - empty
        notes += (f"Rows left out: {empty} with an empty source, {untranslated} without a target.",)
    return _grouped(usable, notes)


def read_aligned(source: Path, target: Path) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs of two files, line i of one beside line i of the other, grouped by source, and their notes.

    Raises DataError where one file has more lines than the other, or a line is empty in one of them only.
    """
    texts = read_text(source), read_text(target)
    left, right = (_lines(decoded.text) for decoded in texts)
    if len(left) != len(right):
        longer, number = (source, len(right) + 1) if len(left) > len(right) else (target, len(left) + 1)
        raise DataError(
            f"{source} has {len(left)} lines and {target} {len(right)}: line {number} of {longer} has no partner, "
            "give files whose lines belong together"
        )
    for path, lines, others in ((source, left, right), (target, right, left)):
        empty = [i for i, (line, other) in enumerate(zip(lines, others, strict=True), start=1) if other and not line]
        if empty:
            raise DataError(f"{path} is empty where the other file is not, {_numbered(empty)}: fill or delete them")
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a]
    if not pairs:
        raise DataError(f"{source} and {target} hold no sentence: give files with data")
    notes = tuple(note for decoded in texts for note in decoded.notes)
    if len(pairs) < len(left):
        notes += (f"Lines left out because they are empty in both files: {len(left) - len(pairs)}.",)
    return _grouped(pairs, notes)


def tatoeba(folder: Path, seed: int = 0) -> TranslationData:
    """Sentences of Tatoeba, split at random by English sentence; valid and test share nothing with train.

    `folder` holds ``cmn.txt``, plain or packed: English, Chinese, attribution, separated by tabs.
    """
    path = _present(folder, "cmn.txt")
    rows = _cut_lines(read_text(path).text, path)
    pairs = group_by_source(rows)
    parts, notes = split_without_leaks(pairs, seed, TATOEBA_SIZES)
    first = f"{len(rows)} pairs of {len(pairs)} English sentences; all translations of a sentence count as right."
    return TranslationData(splits=parts, notes=(first, *notes), languages=_LANGUAGES)


def captions(folder: Path) -> TranslationData:
    """Captions of pictures in the split of their authors, less the valid and test sentences that train gives away.

    `folder` holds ``train``, ``val`` and ``test``, each as ``.en`` and ``.zh``.
    """
    files: dict[Split, str] = {"train": "train", "valid": "val", "test": "test"}
    read = {
        split: read_aligned(_present(folder, f"{name}.en"), _present(folder, f"{name}.zh"))
        for split, name in files.items()
    }
    parts, leak_notes = remove_leaks({split: pairs for split, (pairs, _) in read.items()})
    notes = [f"In {split}: {note}" for split, (_, found) in read.items() for note in found]
    return TranslationData(splits=parts, notes=(*notes, *leak_notes), languages=_LANGUAGES)


def python_docs(folder: Path, seed: int = 0) -> TranslationData:
    """Paragraphs of Python's documentation, split 80/10/10 by file, less what train gives away.

    `folder` holds ``pydocs_en_zh.jsonl``, plain or packed: objects of ``file``, ``en`` and ``zh``.
    """
    table = read_table(_present(folder, "pydocs_en_zh.jsonl"), columns=("file", *_LANGUAGES))
    files, english, chinese = (_strings(table.frame[name]) for name in ("file", *_LANGUAGES))
    kept = [i for i in range(len(files)) if english[i] and chinese[i]]
    parts = split_by_group([(english[i], chinese[i]) for i in kept], [files[i] for i in kept], seed)
    parts, notes = remove_leaks(parts)
    first = f"{len(kept)} paragraphs of {len(set(files))} files; a file stands in one split only."
    return TranslationData(splits=parts, notes=(*table.notes, first, *notes), languages=_LANGUAGES)


def split_without_leaks(pairs: Pairs, seed: int, sizes: tuple[int, int]) -> tuple[Parts, tuple[str, ...]]:
    """A random split by source with `sizes` valid and test sentences that train does not give away.

    More candidates than that are set aside, as many as it takes (at most half of all); those that train would give
    away, or that are left over, go back to train unless that would give a chosen one away. Where half of all are
    not enough, valid and test are smaller, in proportion.
    """
    order = np.random.default_rng(seed).permutation(len(pairs))
    wanted = drawn = sum(sizes)
    while True:
        drawn = min(2 * drawn, len(order) // 2)
        aside, rest = order[:drawn], order[drawn:]
        by_reference_N, by_source_N = LeakFinder(pairs.take(rest)).find(pairs.take(aside))
        clean_N = ~(by_reference_N | by_source_N)
        if clean_N.sum() >= wanted or drawn == len(order) // 2:
            break
    chosen = aside[clean_N][:wanted]
    valid_size = len(chosen) * sizes[0] // wanted
    back = np.setdiff1d(aside, chosen)
    given_away_N = np.logical_or(*LeakFinder(pairs.take(chosen)).find(pairs.take(back)))
    parts: Parts = {
        "train": pairs.take(np.sort(np.concatenate([rest, back[~given_away_N]]))),
        "valid": pairs.take(np.sort(chosen[:valid_size])),
        "test": pairs.take(np.sort(chosen[valid_size:])),
    }
    notes = (
        leak_note("candidate", by_reference_N, by_source_N, "not taken for valid or test"),
        f"Training sentences left out because they would give a valid or test sentence away: {given_away_N.sum()}.",
    )
    return parts, notes


def _headerless(path: Path) -> Decoded | None:
    """The text of a tab-separated file whose first line is data; None for every other file."""
    if _NOT_TABBED & {suffix.lower() for suffix in path.suffixes} or _is_parquet(path):
        return None
    decoded = read_text(path)
    first = decoded.text.lstrip().partition("\n")[0]
    names = [field.strip().lower() for field in first.split("\t")]
    usual = {name for pair in USUAL_NAMES for name in pair}
    has_header = not usual.isdisjoint(names) or _are_codes(names)
    return None if len(names) == 1 or first.startswith("{") or has_header else decoded


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _are_codes(names: Sequence[str]) -> bool:
    return len(names) == 2 and all(_CODE.fullmatch(name) for name in names)


def _cut_lines(text: str, path: Path) -> list[tuple[str, str]]:
    """The first two fields of each line that is not blank; a line with a single field is a DataError."""
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) < 2:
            raise DataError(f"line {number} of {path} has no tab: write a source, a tab and its target on each line")
        rows.append((fields[0].strip(), fields[1].strip()))
    return rows


def _columns(
    frame: polars.DataFrame, source: str | None, target: str | None, path: Path
) -> tuple[tuple[str, str], tuple[str, ...]]:
    """The two columns, those that were named or else the first with usual names, and the sentences that say so."""
    names = frame.columns
    lowered = {name.lower(): name for name in reversed(names)}
    candidates = [(source or lowered.get(left), target or lowered.get(right)) for left, right in USUAL_NAMES]
    if len(names) == 2 and (source or target):
        candidates.append((source or _other(names, target), target or _other(names, source)))
    elif _are_codes(list(map(str.lower, names))):
        candidates.append((names[0], names[1]))
    for left, right in candidates:
        if left is not None and right is not None and left != right:
            found = {"source": (source, left), "target": (target, right)}
            notes = (f"Column {name!r} is taken as the {what}." for what, (given, name) in found.items() if not given)
            return (left, right), tuple(notes)
    wanted = "target" if source else "source" if target else "source and the target"
    usual = listing(dict.fromkeys(f"{left}/{right}" for left, right in USUAL_NAMES))
    raise DataError(
        f"{path} has no columns with usual names for the {wanted} ({usual}): name them among its columns "
        f"{listing(repr(name) for name in names)}"
    )


def _other(names: Sequence[str], given: str | None) -> str:
    """Of two names the one that is not given."""
    return names[1] if given == names[0] else names[0]


def _strings(column: polars.Series) -> list[str]:
    """Values as text, stripped; a missing one is empty."""
    return ["" if value is None else str(value).strip() for value in column.to_list()]


def _lines(text: str) -> list[str]:
    """Lines, stripped; blank ones at the end do not count."""
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _numbered(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:_SHOWN_LINES]))
    more = f" and {len(lines) - _SHOWN_LINES} more" if len(lines) > _SHOWN_LINES else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


def _grouped(rows: Sequence[tuple[str, str]], notes: tuple[str, ...]) -> tuple[Pairs, tuple[str, ...]]:
    pairs = group_by_source(rows)
    if len(pairs) == len(rows):
        return pairs, notes
    note = f"{len(rows)} rows hold {len(pairs)} distinct sources: all translations of a source count as right."
    return pairs, (*notes, note)


def _present(folder: Path, name: str) -> Path:
    """The file of that name, plain or packed."""
    for suffix in ("", ".xz", ".gz"):
        if (folder / (name + suffix)).is_file():
            return folder / (name + suffix)
    raise DataError(f"{folder} holds no {name}, {name}.xz or {name}.gz: get the data set again")
