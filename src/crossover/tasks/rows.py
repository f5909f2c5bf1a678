"""A task whose splits are rows held in memory: batching and objective are shared, families add the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from crossover.data.batching import batch_indices, pad, stream_indices
from crossover.errors import DataError
from crossover.tasks.base import Baseline, Batch, Split, Sums, TaskSpec
from crossover.tasks.objectives import IGNORE, Objective


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
        """One epoch of batches; train shuffled by (seed, epoch), the other splits in order."""
        shuffle = split == "train"
        rows = self.splits[split]
        yield from self.batches_of(
            rows, seed=seed, epoch=epoch, batch=batch, shuffle=shuffle, shard=shard, start=start, by=by
        )

    @staticmethod
    def batches_of(
        rows: RowSource,
        *,
        seed: int,
        epoch: int,
        batch: int,
        shuffle: bool,
        shard: tuple[int, int],
        start: int,
        by: Literal["rows", "tokens"],
    ) -> Iterator[Batch]:
        """One epoch of batches of any rows."""
        chosen = batch_indices(
            len(rows),
            batch=batch,
            seed=seed,
            epoch=epoch,
            shuffle=shuffle,
            shard=shard,
            start=start,
            by=by,
            lengths=rows.lengths_N,
        )
        for rows_B in chosen:
            yield rows.gather(rows_B)

    @staticmethod
    def streams_of(rows: RowSource, *, streams: int, shard: tuple[int, int], start: int) -> Iterator[Batch]:
        """One epoch of parallel streams through rows that follow one another."""
        chosen = stream_indices(len(rows), streams=streams, shard=shard, start=start)
        for step, rows_B in enumerate(chosen, start=start):
            yield replace(rows.gather(rows_B), continues=step > 0)

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

    def encode(self, texts: list[str]) -> Batch:
        """Refuses: this task has no textual input."""
        raise DataError(f"task {self.spec.name!r} takes no text: give a data file with --file instead")
