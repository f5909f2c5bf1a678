"""Labelled series: embedded, from the UEA/UCR archive, and a user's own, with their splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossover.data.catalogue import locate
from crossover.data.options import DataOptions
from crossover.data.series import LabelledSeries, read_ts
from crossover.data.splits import random_split
from crossover.errors import ConfigError, DataError
from crossover.tasks.base import Reference, Split
from crossover.tasks.options import Choice, Whole, refuse_unread
from crossover.tasks.train_share import share_of_train

SPLITS: tuple[Split, ...] = ("train", "valid", "test")

SHARES = (0.7, 0.1, 0.2)
"""Train, valid and test, stratified, where the data have no split of their own."""

VALID_SHARE = 0.2
"""Of a given train split, stratified, where no validation split is given."""


@dataclass(frozen=True, kw_only=True)
class LabelledSplits:
    """Series [T, C] and the label of each, per split; `notes` say what a reader must know of them."""

    rows: Mapping[Split, list[np.ndarray]]
    labels: Mapping[Split, list[str]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """A data set of the family: where it comes from and what suits it."""

    name: str
    description: str
    load: Callable[[DataOptions, dict[str, Any]], LabelledSplits]
    settings: Mapping[str, Choice | Whole] = field(default_factory=dict)
    embedded: bool = False
    budget: str = "30s"
    batch_rows: int = 32
    defaults: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()


def load_digits(options: DataOptions, settings: dict[str, Any]) -> LabelledSplits:
    """scikit-learn's 1,797 digits of 8 x 8: rows in time, 2 x 2 patches, or single pixels, from the top left."""
    from sklearn import datasets

    refuse_unread("classification/digits", options, reads=("split_seed", "train_share"))
    images_NHW, targets_N = datasets.load_digits(return_X_y=True)
    rows_NTC = as_steps(images_NHW.reshape(-1, 8, 8).astype(np.float32), settings["as"])
    return _random(list(rows_NTC), [str(target) for target in targets_N], options)


def as_steps(images_NHW: np.ndarray, order: str) -> np.ndarray:
    """Images to series: ``rows`` [N, H, W], ``pixels`` [N, H W, 1], ``patches`` of 2 x 2 [N, H W / 4, 4].

    The image 1 2 / 3 4 / 5 6 / 7 8 has the rows (1, 2), (3, 4), … and the patches (1, 2, 3, 4), (5, 6, 7, 8).
    """
    count, height, width = images_NHW.shape
    if order == "rows":
        return images_NHW
    if order == "pixels":
        return images_NHW.reshape(count, height * width, 1)
    patches = images_NHW.reshape(count, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 2, 4)
    return patches.reshape(count, height * width // 4, 4)


def load_archive(task: str, file: str, options: DataOptions, settings: dict[str, Any]) -> LabelledSplits:
    """A data set of the UEA/UCR archive, with its official split; valid is taken from train."""
    refuse_unread(task, options, reads=("split_seed", "train_share"))
    folder = locate(task)
    return _given(read_ts(folder / f"{file}_TRAIN.ts"), None, read_ts(folder / f"{file}_TEST.ts"), options)


def load_own(options: DataOptions, settings: dict[str, Any]) -> LabelledSplits:
    """A user's ``.ts`` files, split as they say."""
    return split_own("classification", read_ts, "FILE.ts", options)


def split_own(
    task: str, read: Callable[[Path], LabelledSeries], file: str, options: DataOptions, reads: tuple[str, ...] = ()
) -> LabelledSplits:
    """A user's files of a given split, or one file, split at random within each label.

    `read` reads one, `file` is how a message names it, `reads` are further options that `read` has looked at.
    """
    own = ("data", "train", "valid", "test", "split", "split_seed", "train_share", "rare")
    refuse_unread(task, options, reads=(*own, *reads))
    if options.split not in (None, "random"):
        raise ConfigError(f"task {task!r}: --split is {options.split!r}: rows are split at random, leave it out")
    if options.data is not None:
        if options.train or options.valid or options.test:
            raise ConfigError(f"task {task!r}: give --data, or --train and --test, and not both")
        series = read(Path(options.data))
        return _random(series.rows, series.labels, options, series.notes)
    if options.train is None or options.test is None:
        raise ConfigError(f"task {task!r} needs labelled data: give --data {file}, or --train and --test")
    valid = read(options.valid) if options.valid else None
    return _given(read(options.train), valid, read(options.test), options)


def _random(
    rows: list[np.ndarray], labels: list[str], options: DataOptions, notes: tuple[str, ...] = ()
) -> LabelledSplits:
    """All splits from one set of series; labels with fewer than three examples are rare."""
    kept, rare_notes = _without_rare(labels, options, needed=3)
    parts = random_split(len(kept), SHARES, options.split_seed, stratify=[labels[i] for i in kept])
    chosen: dict[Split, list[int]] = {split: [kept[i] for i in parts[split]] for split in SPLITS}
    if options.rare == "keep":
        chosen["train"] = sorted(set(range(len(labels))) - {*chosen["valid"], *chosen["test"]})
    return _picked(rows, labels, chosen, options, (*notes, *rare_notes))


def _given(
    train: LabelledSeries, valid: LabelledSeries | None, test: LabelledSeries, options: DataOptions
) -> LabelledSplits:
    """The given split; without a validation split, `VALID_SHARE` of train."""
    notes = [*train.notes, *(valid.notes if valid else ()), *test.notes]
    rows, labels = [*train.rows, *test.rows], [*train.labels, *test.labels]
    count = len(train.rows)
    chosen: dict[Split, list[int]] = {"train": list(range(count)), "test": list(range(count, len(rows)))}
    if valid is None:
        kept, rare_notes = _without_rare(train.labels, options, needed=2)
        shares = (1 - VALID_SHARE, VALID_SHARE, 0.0)
        parts = random_split(len(kept), shares, options.split_seed, stratify=[labels[i] for i in kept])
        chosen["valid"] = [kept[i] for i in parts["valid"]]
        available = range(count) if options.rare == "keep" else kept
        chosen["train"] = sorted(set(available) - set(chosen["valid"]))
        notes += [*rare_notes, f"{len(chosen['valid'])} of the {count} train rows are the validation split."]
    else:
        chosen["valid"] = list(range(len(rows), len(rows) + len(valid.rows)))
        rows, labels = [*rows, *valid.rows], [*labels, *valid.labels]
    known = {labels[i] for i in chosen["train"]}
    for split in SPLITS[1:]:
        chosen[split], unseen_notes = _without_unseen(split, chosen[split], labels, known, options)
        notes += unseen_notes
    return _picked(rows, labels, chosen, options, tuple(notes))


def _without_rare(labels: Sequence[str], options: DataOptions, *, needed: int) -> tuple[list[int], list[str]]:
    """Indices whose label has the examples that a stratified split needs, or DataError as `rare` says."""
    rare = sorted(label for label, count in Counter(labels).items() if count < needed)
    kept = [i for i, label in enumerate(labels) if label not in rare]
    if rare and options.rare == "refuse":
        raise DataError(
            f"label {rare[0]!r} has fewer than {needed} examples, too few to split: leave such labels out with "
            f"--rare drop, or keep them in train only with --rare keep"
        )
    what = "left out" if options.rare == "drop" else "kept in train only"
    return kept, [f"Labels with fewer than {needed} examples are {what}: {', '.join(rare)}."] if rare else []


def _without_unseen(
    split: str, rows: list[int], labels: Sequence[str], known: set[str], options: DataOptions
) -> tuple[list[int], list[str]]:
    """Rows whose label train has, or DataError as `rare` says; kept rows with an unseen label count as wrong."""
    unseen = sorted({labels[i] for i in rows} - known)
    if not unseen or options.rare == "keep":
        return rows, [f"Labels in {split} that train does not have: {', '.join(unseen)}."] if unseen else []
    if options.rare == "refuse":
        raise DataError(
            f"label {unseen[0]!r} of {split} is not in train: leave such rows out with --rare drop, or count them as "
            f"errors with --rare keep"
        )
    kept = [i for i in rows if labels[i] in known]
    return kept, [f"{len(rows) - len(kept)} rows of {split} with labels unseen in train are left out."]


def _picked(
    rows: list[np.ndarray],
    labels: list[str],
    chosen: Mapping[Split, list[int]],
    options: DataOptions,
    notes: tuple[str, ...],
) -> LabelledSplits:
    """The chosen rows, of train's the share that the options ask for."""
    train = chosen["train"]
    kept, share_notes = share_of_train(len(train), options, [labels[i] for i in train])
    chosen = {**chosen, "train": [train[i] for i in kept]}
    return LabelledSplits(
        rows={split: [rows[i] for i in indices] for split, indices in chosen.items()},
        labels={split: [labels[i] for i in indices] for split, indices in chosen.items()},
        notes=(*notes, *share_notes),
    )


_BAKE_OFF = "Ismail Fawaz et al. 2019, arXiv 1809.04356 (dl-4-tsc)"
_FLOWFORMER = "Wu et al. 2022, arXiv 2202.06258 (Flowformer), classification"
_PROTOCOL = "trained on the whole official train split; ours holds a fifth of it out for validation"


def _reference(name: str, score: float, source: str) -> Reference:
    return Reference(name=name, metric="accuracy", score=score, source=source, note=_PROTOCOL)


DIGITS = LabelledData(
    name="classification/digits",
    description="handwritten digits of 8 x 8 grey values, read step by step",
    load=load_digits,
    settings={"as": Choice(("rows", "patches", "pixels"), "rows")},
    embedded=True,
    budget="3s",
    defaults={"width": 64, "dropout": 0.2},
    # Rows are pooled by their mean, so that attention needs absolute positions to tell the top from the bottom.
    recipes={"lstm": {"lr": 5e-3}, "gru": {"lr": 5e-3}, "transformer": {"lr": 3e-3, "positions": "learned"}},
)
JAPANESE_VOWELS = LabelledData(
    name="classification/japanese-vowels",
    description="which of nine speakers says two vowels, from 12 coefficients over 7 to 29 steps",
    load=partial(load_archive, "classification/japanese-vowels", "JapaneseVowels"),
    references=(
        _reference("Transformer", 0.987, _FLOWFORMER),
        _reference("LSTM (a weak baseline)", 0.797, _FLOWFORMER),
        _reference("TWIESN", 0.965, _BAKE_OFF),
        _reference("FCN", 0.993, _BAKE_OFF),
    ),
    defaults={"width": 64, "dropout": 0.3},
    recipes={"lstm": {"lr": 1e-3}, "gru": {"lr": 1e-3}, "transformer": {"lr": 1e-3}},
)
BASIC_MOTIONS = LabelledData(
    name="classification/basic-motions",
    description="standing, walking, running or badminton, from six sensors of a watch over 100 steps",
    load=partial(load_archive, "classification/basic-motions", "BasicMotions"),
    batch_rows=16,
    defaults={"width": 64, "dropout": 0.1},
    recipes={"lstm": {"lr": 1e-3}, "gru": {"lr": 1e-3}, "transformer": {"lr": 1e-3}},
)
GUNPOINT = LabelledData(
    name="classification/gunpoint",
    description="a hand that draws a gun or points, over 150 steps",
    load=partial(load_archive, "classification/gunpoint", "GunPoint"),
    batch_rows=16,
    references=(_reference("FCN", 1.0, _BAKE_OFF), _reference("TWIESN", 0.989, _BAKE_OFF)),
    defaults={"width": 64, "dropout": 0.1},
    recipes={"lstm": {"lr": 2e-3}, "gru": {"lr": 2e-3}, "transformer": {"lr": 2e-3}},
)
ITALY_POWER_DEMAND = LabelledData(
    name="classification/italy-power-demand",
    description="winter or summer half-year, from a day's power demand by the hour",
    load=partial(load_archive, "classification/italy-power-demand", "ItalyPowerDemand"),
    batch_rows=16,
    references=(_reference("FCN", 0.963, _BAKE_OFF), _reference("Encoder", 0.964, _BAKE_OFF)),
    defaults={"width": 64, "dropout": 0.1},
    recipes={"lstm": {"lr": 2e-3}, "gru": {"lr": 2e-3}, "transformer": {"lr": 2e-3}},
)
OWN = LabelledData(
    name="classification",
    description="your own labelled series (--train F.ts --test F.ts, or --data F.ts)",
    load=load_own,
)
