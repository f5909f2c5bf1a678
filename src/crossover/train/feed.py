"""A rank's rows: its slices of one global batch after another, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crossover.errors import DataError
from crossover.tasks.base import Batch, Task
from crossover.train.settings import TrainSettings
from crossover.train.state import RunState


@dataclass(frozen=True)
class Feed:
    """What a rank reads of the train split: `shards` are the parts of a global batch that are its own.

    With `by_class` the rows of a global batch are dealt out sorted by their labels.
    """

    task: Task
    settings: TrainSettings
    shards: Sequence[tuple[int, int]]
    by_class: bool = False

    def batches(self, state: RunState) -> Iterator[tuple[Batch, ...]]:
        """The slices of global batches without end, from where `state` stands; an empty split is a DataError."""
        while True:
            yield from zip(*(self._slices(shard, state) for shard in self.shards), strict=True)
            if state.position == 0:
                raise DataError(f"the train split of {self.task.spec.name} is empty: give more rows or another split")
            state.next_epoch()

    def first(self, state: RunState) -> Batch | None:
        """The next slice of the first shard, which stays to be read; None at the end of an epoch."""
        return next(self._slices(self.shards[0], state), None)

    def _slices(self, shard: tuple[int, int], state: RunState) -> Iterator[Batch]:
        """One row slice of each global batch that is left of this epoch."""
        batches = self.task.batches(
            "train",
            seed=self.settings.seed,
            epoch=state.epoch,
            batch=self.settings.batch or self.task.spec.batch_rows,
            shard=(0, 1) if self.by_class else shard,
            start=state.position,
            by=self.settings.batch_by or "rows",
        )
        return (batch.slice_by_class(shard) for batch in batches) if self.by_class else batches
