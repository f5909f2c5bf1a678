"""A task whose splits are rows held in memory: batching and objective are shared, families add the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import batch_indices, pad, stream_indices
from crossover.errors import DataError
from crossover.tasks.base import Baseline, Batch, Split, Sums, TaskSpec
from crossover.tasks.objectives import IGNORE, Objective, classification_items

_SCORED_STREAMS = 8
"""Valid and test are read as so many streams, whatever the batch, so that a score does not depend on it."""


class RowSource(Protocol):
    """What a split needs to be: rows with lengths, gathered into batches; `Rows` or a lazy view of the data."""

    def __len__(self) -> int: ...

    @property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row."""
        ...

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows."""
        ...


class LabelledRows(RowSource, Protocol):
    """Rows of which each has a class: `targets` are their indices, [N]."""

    @property
    def targets(self) -> Any:
        """The class of each row."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one split.

    `inputs` holds one array per row, [T] integers or [T, C] floats. `targets` is an array [N, …], or a list of
    integer arrays [T], one per row, padded with IGNORE. `features` are lists like `inputs`; `extra` arrays [N, …].
    """

    inputs: Sequence[np.ndarray]
    targets: np.ndarray | Sequence[np.ndarray]
    features: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row."""
        return np.fromiter((len(row) for row in self.inputs), dtype=np.int64, count=len(self.inputs))

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows, padded to its longest."""
        inputs, lengths_B = pad([self.inputs[i] for i in rows_B])
        if isinstance(self.targets, np.ndarray):
            targets = torch.from_numpy(self.targets[rows_B])
        else:
            targets, _ = pad([np.asarray(self.targets[i]) - IGNORE for i in rows_B], length=inputs.shape[1])
            targets = targets + IGNORE
        return Batch(
            inputs=inputs,
            lengths_B=lengths_B,
            targets=targets,
            rows_B=torch.from_numpy(np.asarray(rows_B, dtype=np.int64)),
            features={
                name: pad([values[i] for i in rows_B], length=inputs.shape[1])[0]
                for name, values in self.features.items()
            },
            extra={name: torch.from_numpy(values[rows_B]) for name, values in self.extra.items()},
        )


@dataclass(frozen=True)
class ChangedRows:
    """Rows whose batches are changed as they are gathered: by what is drawn for an epoch, say."""

    rows: RowSource
    change: Callable[[Batch], Batch]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths_N(self) -> np.ndarray:
        """Number of steps of each row."""
        return self.rows.lengths_N

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these rows, changed."""
        return self.change(self.rows.gather(rows_B))


class RowTask:
    """The shared half of every in-memory task; see `crossover.tasks.base.Task` for what the methods promise.

    A family sets `spec`, `splits` and `objective`, and defines `baselines`, `samples`, `encode`, `decode` and
    `artifacts`.
    """

    spec: TaskSpec
    splits: Mapping[Split, RowSource]
    objective: Objective

    def size(self, split: Split) -> int:
        """Number of rows of a split."""
        return len(self.splits[split])

    def batches(
        self,
        split: Split,
        *,
        seed: int,
        epoch: int,
        batch: int,
        shard: tuple[int, int] = (0, 1),
        start: int = 0,
        by: Literal["rows", "tokens"] = "rows",
    ) -> Iterator[Batch]:
        """One epoch of batches; train shuffled by (seed, epoch), the other splits in order.

        Where the task carries a state, each row of a batch goes on where the row before it stopped: the split is read
        as `batch` streams side by side (or as many as hold `batch` tokens), and scored as at most 8.
        """
        train = split == "train"
        rows = self.train_rows(seed, epoch) if train else self.splits[split]
        if self.spec.carry != "none":
            streams = batch if by == "rows" else batch // int(rows.lengths_N.max(initial=1))
            streams = streams if train else min(streams, _SCORED_STREAMS)
            yield from _in_streams(rows, streams=streams, shard=shard, start=start)
            return
        chosen = batch_indices(
            len(rows),
            batch=batch,
            seed=seed,
            epoch=epoch,
            shuffle=train,
            shard=shard,
            start=start,
            by=by,
            lengths=rows.lengths_N,
        )
        for rows_B in chosen:
            yield rows.gather(rows_B)

    def train_rows(self, seed: int, epoch: int) -> RowSource:
        """Train's rows in an epoch: a family that draws, cuts or varies them does so by (seed, epoch) here."""
        return self.splits["train"]

    def count(self, batch: Batch) -> int:
        """What the loss sum is divided by."""
        return self.objective.count(batch)

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """The objective, summed."""
        return self.objective.loss(outputs, batch, label_smoothing=label_smoothing)

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Per-item statistics."""
        return self.objective.metrics(outputs, batch)

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Scores from summed statistics."""
        return self.objective.summarise(sums)

    def details(self, items: Sums) -> dict[str, Any]:
        """What a report draws beyond scores."""
        return self.objective.details(items)

    def score(self, items: Sums) -> dict[str, float]:
        """Scores of a whole set of items."""
        return self.summarise({name: values.sum(0) for name, values in items.items()})

    def baseline(
        self,
        name: str,
        kind: Literal["trivial", "strong"],
        items: Sums,
        *,
        seconds: float,
        parameters: int | None = None,
    ) -> Baseline:
        """A baseline from its per-item statistics."""
        summary = self.score(items)
        return Baseline(
            name=name,
            kind=kind,
            score=summary[self.spec.metric],
            seconds=seconds,
            parameters=parameters,
            items=items,
            summary=summary,
        )

    def label_baseline(
        self,
        name: str,
        kind: Literal["trivial", "strong"],
        split: Split,
        predictions_N: np.ndarray,
        seconds: float,
        parameters: int | None = None,
    ) -> Baseline:
        """A baseline of a classification, from the classes [N] that it predicts."""
        rows = cast(LabelledRows, self.splits[split])
        items = classification_items(
            np.asarray(rows.targets), predictions_N, len(self.spec.labels), lengths=rows.lengths_N
        )
        return self.baseline(name, kind, items, seconds=seconds, parameters=parameters)

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: this task has no textual input."""
        raise DataError(f"task {self.spec.name!r} takes no text: give a data file with --file instead")


def _in_streams(rows: RowSource, *, streams: int, shard: tuple[int, int], start: int) -> Iterator[Batch]:
    """One epoch of parallel streams through rows that follow one another."""
    for step, rows_B in enumerate(stream_indices(len(rows), streams=streams, shard=shard, start=start), start=start):
        yield replace(rows.gather(rows_B), continues=step > 0)
