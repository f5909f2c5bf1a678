"""Texts with labels, split: what a text classification task is made from."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from crossover.data.options import DataOptions
from crossover.data.splits import find_duplicates, random_split, time_split
from crossover.errors import DataError, listing
from crossover.tasks.base import Split
from crossover.tasks.text.files import Examples, group_column, read_files
from crossover.tasks.train_share import share_of_train

FRACTIONS = (0.7, 0.1, 0.2)
"""Shares of train, valid and test where the data have no split of their own."""

VALID_OF_TRAIN = 0.125
"""Share of a given train file that becomes the validation split where none is given."""

MANY_VALUES = 20
"""A numeric label with more distinct values than this is a quantity, not a class."""

SMALL_STRATUM = 5
"""Labels with fewer texts are split together, as one stratum."""

Rare = Literal["refuse", "drop", "keep"]
Parts = dict[Split, Examples]


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """Texts and targets by split: class indices int64 [N] into `labels`, or values float64 [N] where it is empty.

    `column` is the column of train's table that the texts stood in, None where there was none.
    """

    texts: Mapping[Split, Sequence[str]]
    targets: Mapping[Split, np.ndarray]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    column: str | None = None

    def on_share(self, options: DataOptions) -> LabelledTexts:
        """The same with only the share of train that the options ask for, stratified by class."""
        targets = self.targets["train"]
        rows, notes = share_of_train(len(targets), options, targets.tolist() if self.labels else None)
        return replace(
            self,
            texts={**self.texts, "train": [self.texts["train"][i] for i in rows]},
            targets={**self.targets, "train": targets[rows]},
            notes=(*self.notes, *notes),
        )


def read_user_texts(options: DataOptions, *, regression: bool | None = None) -> LabelledTexts:
    """The labelled texts of the user's file or files, split.

    `regression` None takes numeric labels of many values as values, all others as classes.

    Raises ConfigError for options that contradict each other, and DataError for files, columns or labels that
    cannot be used; labels that cannot be learned or tested are refused unless `options.rare` says what to do.
    """
    files, notes = read_files(options)
    if regression is None:
        labels = [label for examples in files.values() for label in examples.labels]
        regression = _is_quantity(labels)
        _refuse_decimal_commas(labels)
    if not regression:
        files, rare_notes = _single_labels(files, options.rare)
        notes += rare_notes
    parts = _split_files(files, options, stratify=not regression)
    if not regression:
        parts, unseen_notes = _unseen_labels(parts, options.rare)
        notes += unseen_notes
    parts, duplicate_notes = count_duplicates(parts, remove=options.deduplicate)
    notes += duplicate_notes
    return as_values(parts, notes=notes) if regression else as_classes(parts, notes=notes)


def split_texts(examples: Examples, seed: int, *, stratify: bool = True) -> Parts:
    """A random split by `FRACTIONS`, stratified by label; the same text stands on one side only."""
    groups = [" ".join(text.casefold().split()) for text in examples.texts]
    strata = _strata(examples.labels, groups) if stratify else None
    return _parts(examples, random_split(len(examples), FRACTIONS, seed, stratify=strata, groups=groups))


def count_duplicates(parts: Parts, *, remove: bool) -> tuple[Parts, tuple[str, ...]]:
    """Count the test texts that stand in train or valid, and take them out of the test split if asked."""
    found = find_duplicates([*parts["train"].texts, *parts["valid"].texts], parts["test"].texts)
    if len(found.indices) == 0:
        return parts, ()
    fate = "removed from test" if remove else "kept (--deduplicate removes them)"
    note = f"Test texts that also stand in train or valid: {found.exact} exactly, {found.near} nearly; {fate}."
    if not remove:
        return parts, (note,)
    kept = np.setdiff1d(np.arange(len(parts["test"])), found.indices)
    return {**parts, "test": parts["test"].take(kept)}, (note,)


def as_classes(parts: Parts, *, labels: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> LabelledTexts:
    """Labels as indices; `labels` fixes their order, without it they are sorted."""
    _check_sizes(parts)
    labels = labels or tuple(sorted({label for part in parts.values() for label in part.labels}))
    if len(labels) < 2:
        raise DataError(f"every text has the label {labels[0]!r}: a classification needs at least two labels")
    index = {label: i for i, label in enumerate(labels)}
    return LabelledTexts(
        texts={split: part.texts for split, part in parts.items()},
        targets={split: np.array([index[label] for label in part.labels]) for split, part in parts.items()},
        labels=labels,
        notes=notes,
        column=parts["train"].column,
    )


def as_values(parts: Parts, *, notes: tuple[str, ...] = ()) -> LabelledTexts:
    """Labels as numbers; one that is none is a DataError."""
    _check_sizes(parts)
    for label in (label for part in parts.values() for label in part.labels):
        if _number(label) is None:
            raise DataError(f"label {label!r} is no number: a regression needs numbers, set objective=classification")
    values = {split: np.array([float(label) for label in part.labels]) for split, part in parts.items()}
    distinct = len(np.unique(np.concatenate(list(values.values()))))
    note = f"The label has {distinct} numeric values: this is a regression, scored by its squared error."
    return LabelledTexts(
        texts={split: part.texts for split, part in parts.items()},
        targets=values,
        notes=(*notes, note),
        column=parts["train"].column,
    )


def _split_files(files: Mapping[str, Examples], options: DataOptions, *, stratify: bool) -> Parts:
    if "data" in files:
        examples = files["data"]
        if options.split == "time":
            return _parts(examples, time_split(len(examples), FRACTIONS))
        if group_column(options.split):
            rows = random_split(len(examples), FRACTIONS, options.split_seed, groups=examples.groups)
            return _parts(examples, rows)
        return split_texts(examples, options.split_seed, stratify=stratify)
    train, test = files["train"], files["test"]
    if "valid" in files:
        return {"train": train, "valid": files["valid"], "test": test}
    fractions = (1 - VALID_OF_TRAIN, VALID_OF_TRAIN, 0.0)
    rows = random_split(len(train), fractions, options.split_seed, groups=train.texts)
    return {"train": train.take(rows["train"]), "valid": train.take(rows["valid"]), "test": test}


def _parts(examples: Examples, rows: Mapping[str, np.ndarray]) -> Parts:
    return {split: examples.take(rows[split]) for split in ("train", "valid", "test")}


def _strata(labels: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Labels, those with few texts merged into one stratum (with the most frequent label, if still too few)."""
    counts = _texts_per_label(labels, groups)
    small = {label for label, count in counts.items() if count < SMALL_STRATUM}
    enough = sum(counts[label] for label in small) >= SMALL_STRATUM
    merged = "" if enough else max(counts, key=lambda label: counts[label])
    return [merged if label in small else label for label in labels]


def _texts_per_label(labels: Sequence[str], texts: Sequence[str]) -> Counter[str]:
    distinct: defaultdict[str, set[str]] = defaultdict(set)
    for label, text in zip(labels, texts, strict=True):
        distinct[label].add(text)
    return Counter({label: len(found) for label, found in distinct.items()})


def _is_quantity(labels: Sequence[str]) -> bool:
    distinct = set(labels)
    return len(distinct) > MANY_VALUES and all(_number(label) is not None for label in distinct)


def _refuse_decimal_commas(labels: Sequence[str]) -> None:
    """DataError for labels that are no numbers, and would be a quantity with a point for the comma."""
    with_comma = next((label for label in labels if _number(label) is None), None)
    if with_comma is not None and _is_quantity([label.replace(",", ".") for label in labels]):
        raise DataError(
            f"label {with_comma!r} is no number: write decimals with a point, or set objective=classification"
        )


def _number(label: str) -> float | None:
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _single_labels(files: dict[str, Examples], rare: Rare) -> tuple[dict[str, Examples], tuple[str, ...]]:
    """Refuse, drop or keep the labels that have one example in all files together."""
    labels = [label for part in files.values() for label in part.labels]
    texts = [text for part in files.values() for text in part.texts]
    single = {label for label, count in _texts_per_label(labels, texts).items() if count == 1}
    if not single:
        return files, ()
    what = f"{_named(single)} one example"
    if rare == "refuse":
        raise DataError(f"{what}, which cannot be both learned and tested: {_RARE_FLAGS}")
    if rare == "keep":
        return files, (f"{what}; kept as --rare keep says.",)
    kept = {name: _without(part, single) for name, part in files.items()}
    return kept, (f"{what}; dropped as --rare drop says.",)


def _unseen_labels(parts: Parts, rare: Rare) -> tuple[Parts, tuple[str, ...]]:
    """Refuse, drop or keep the labels that stand in valid or test and not in train."""
    seen = set(parts["train"].labels)
    unseen = {label for split in ("valid", "test") for label in parts[split].labels} - seen  # type: ignore[index]
    if not unseen:
        return parts, ()
    what = f"{_named(unseen)} no example in train, but some in valid or test"
    if rare == "refuse":
        raise DataError(f"{what}: {_RARE_FLAGS}")
    if rare == "keep":
        return parts, (f"{what}; kept as --rare keep says, and counted as errors.",)
    return {split: _without(part, unseen) for split, part in parts.items()}, (
        f"{what}; dropped as --rare drop says.",
    )


_RARE_FLAGS = "use --rare drop to leave such rows out, or --rare keep to go on with them"


def _named(labels: set[str], limit: int = 5) -> str:
    """``label 'a' has`` or ``7 labels ('a', 'b', …) have``."""
    if len(labels) == 1:
        return f"label {next(iter(labels))!r} has"
    shown = ", ".join(repr(label) for label in sorted(labels)[:limit])
    return f"{len(labels)} labels ({shown}{', …' if len(labels) > limit else ''}) have"


def _without(examples: Examples, labels: set[str]) -> Examples:
    return examples.take([i for i, label in enumerate(examples.labels) if label not in labels])


def _check_sizes(parts: Parts) -> None:
    empty = [split for split, part in parts.items() if len(part) == 0]
    if empty:
        raise DataError(f"no text is left for {listing(empty)}: give more rows")
