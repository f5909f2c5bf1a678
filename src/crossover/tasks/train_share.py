"""Training on a share of train, drawn before anything is learned of the rows: no vocabulary, scale or baseline sees
the others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from crossover.data.options import DataOptions
from crossover.data.splits import draw_share
from crossover.errors import DataError
from crossover.tasks.base import Split

Row = TypeVar("Row")


def share_of_train(
    count: int, options: DataOptions, labels: Sequence[Hashable] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which of train's `count` rows `options.train_share` leaves, sorted, and the note that says so.

    A whole train has no note. Rows with `labels` are drawn stratified; DataError where fewer than two labels remain.
    """
    if options.train_share == 1:
        return np.arange(count), ()
    rows_N = draw_share(count, options.train_share, options.split_seed, stratify=labels)
    if labels is not None and len({labels[i] for i in rows_N}) < 2:
        raise DataError(
            f"--train-share {options.train_share:g} leaves {len(rows_N)} of {count} train rows, all with one label: "
            "give a larger share"
        )
    note = f"Trained on {options.train_share:.3g} of train: {len(rows_N)} of {count} rows, drawn by the split's seed."
    return rows_N, (note,)


def on_share(
    parts: Mapping[Split, Sequence[Row]], options: DataOptions
) -> tuple[dict[Split, Sequence[Row]], tuple[str, ...]]:
    """The splits with the share of train that the options ask for, and the note that says so."""
    rows_N, notes = share_of_train(len(parts["train"]), options)
    return {**parts, "train": [parts["train"][row] for row in rows_N]}, notes
