"""A task owns its data, its objective, its metrics and its baselines; training knows nothing else about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from crossover.models.encoder import Source
from crossover.models.ports import Inputs, Outputs

Split = Literal["train", "valid", "test"]

Sums = dict[str, np.ndarray]
"""Additive sufficient statistics. From `metrics` each array has the items on its first dim; summed over that dim
they are what `summarise` takes. So a bootstrap over items re-weights rows and summarises again. One array, "group",
does not add up: it is the number of the group (the series of a panel) of each item, for a bootstrap's blocks to stay
within."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of one split.

    `inputs` is [B, T] int64 or [B, T, C] float32; `lengths_B` the valid prefix of each row; `targets` whatever the
    task's loss reads; `features` further token streams [B, T]; `extra` anything else that `metrics` needs;
    `rows_B` each row's index in its split, so that two models can be compared item by item. `source` is what an
    encoder-decoder reads; `inputs` and `lengths_B` are then of the side that it writes. `continues` says that each
    row goes on where the same row of the batch before it stopped; rows may have become fewer, the last ones ending.
    Where few steps are scored, `scored_BT` tells which: training then computes outputs [N, size] at these alone, and
    `Task.loss` takes them with targets [N].
    """

    inputs: Tensor
    lengths_B: Tensor
    targets: Tensor
    rows_B: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    source: Source | None = None
    continues: bool = False
    scored_BT: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.inputs.shape[0]

    @property
    def tokens(self) -> int:
        """Number of real steps: what tokens/s counts."""
        return int(self.lengths_B.sum())

    @property
    def source_steps(self) -> int:
        """Padded steps of the source; 0 without one."""
        return self.source.inputs.shape[1] if self.source is not None else 0

    def __getitem__(self, rows: slice | Tensor) -> Batch:
        """Some of the rows, or all in another order, padded as they are."""
        return replace(
            self,
            inputs=self.inputs[rows],
            lengths_B=self.lengths_B[rows],
            targets=self.targets[rows],
            rows_B=self.rows_B[rows],
            features={name: value[rows] for name, value in self.features.items()},
            extra={name: value[rows] for name, value in self.extra.items()},
            source=self.source[rows] if self.source is not None else None,
            scored_BT=self.scored_BT[rows] if self.scored_BT is not None else None,
        )

    def slice_by_class(self, shard: tuple[int, int]) -> Batch:
        """The i-th of n row slices, the rows in the order of their targets [B]."""
        (index, shards), order_B = shard, self.targets.argsort(stable=True)
        return self[order_B[index * self.size // shards : (index + 1) * self.size // shards]]

    def in_time(self, start: int, stop: int) -> Batch:
        """The steps from `start` to `stop` of every row, for a batch without a source."""
        time = self.inputs.shape[1]

        def cut(value: Tensor) -> Tensor:
            return value[:, start:stop] if value.ndim > 1 and value.shape[1] == time else value

        return replace(
            self,
            inputs=cut(self.inputs),
            lengths_B=(self.lengths_B - start).clamp(0, stop - start),
            targets=cut(self.targets),
            features={name: cut(value) for name, value in self.features.items()},
            extra={name: cut(value) for name, value in self.extra.items()},
            scored_BT=cut(self.scored_BT) if self.scored_BT is not None else None,
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            lengths_B=self.lengths_B.to(device),
            targets=self.targets.to(device),
            rows_B=self.rows_B.to(device),
            features={name: value.to(device) for name, value in self.features.items()},
            extra={name: value.to(device) for name, value in self.extra.items()},
            source=self.source.to(device) if self.source is not None else None,
            scored_BT=self.scored_BT.to(device) if self.scored_BT is not None else None,
        )


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A simple predictor's score on a split; `kind` trivial (majority, last value) or strong (linear, n-gram).

    `items` are its per-item statistics (the same keys as `Task.metrics` gives), so that models are compared with it
    by the same paired bootstrap; None where it has none. `seconds` is the time to fit and predict.
    """

    name: str
    kind: Literal["trivial", "strong"]
    score: float
    seconds: float
    parameters: int | None = None
    items: Sums | None = None
    summary: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A published result on the same data; its protocol differs, so it is printed beside ours, never as equal."""

    name: str
    metric: str
    score: float
    source: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What training, comparing and reporting need to know about a task.

    `margin` is the largest difference that still counts as equal: absolute (`margin_kind="absolute"`, 0.015 is 1.5
    points of accuracy) or relative to the score (``"relative"``, 0.02 is 2 % of loss). `causal` tasks take decoders,
    the others encoders. `decoding` says what is scored on valid and test: the model's outputs, what it writes by
    itself (``written``: greedily, or where `beam` is above 1 the best of so many hypotheses; in the batch's
    ``extra["written"]``), or what `RolloutTask.rollout` makes of it. `item_block`
    is the number of consecutive test items that a bootstrap draws together (overlapping windows are not
    independent). `further_metrics` are compared between models like `metric`, with the same margin and a correction
    of their own; of those in `opposed_metrics` more is better where of `metric` less is, and the other way round.
    `defaults` are the preset sizes for this task: dotted model settings
    (``{"width": 64, "layers": 2}``) and `recipes` are per preset overrides of training settings
    (``{"lstm": {"lr": 3e-3}}``; under ``"*"`` those of every model), found by search on the validation split.
    `carry` says whose state goes on where a batch `continues` the one before: of ``all`` models, of those that are
    ``able``, or of ``none``, where every batch stands by itself.
    """

    name: str
    family: str
    description: str
    inputs: Inputs
    outputs: Outputs
    objective: Literal[
        "classification",
        "regression",
        "forecasting",
        "language-modeling",
        "masked-language-modeling",
        "translation",
        "spans",
        "ctc",
    ]
    metric: str
    higher_is_better: bool
    causal: bool
    margin: float
    margin_kind: Literal["absolute", "relative"] = "absolute"
    further_metrics: tuple[str, ...] = ()
    opposed_metrics: tuple[str, ...] = ()
    decoding: Literal["none", "written", "rollout"] = "none"
    beam: int = 1
    carry: Literal["none", "able", "all"] = "none"
    budget: str = "60s"
    batch_rows: int = 32
    batch_tokens: int | None = None
    max_length: int = 512
    item_block: int = 1
    embedded: bool = True
    unit: str = "tokens"
    labels: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know of the data: counts of truncated rows, duplicates, filled gaps; one sentence each."""

    def higher_is_better_in(self, metric: str) -> bool:
        """Whether more of `metric`, one of those that are compared, is better."""
        return self.higher_is_better != (metric in self.opposed_metrics)

    def recipe(self, preset: str) -> dict[str, Any]:
        """The overrides for a preset: those of every model, then its own."""
        return {**self.recipes.get("*", {}), **self.recipes.get(preset, {})}


class Task(Protocol):
    """The interface. Everything random is a pure function of the arguments."""

    spec: TaskSpec

    def size(self, split: Split) -> int:
        """Number of rows of a split."""
        ...

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
        """One epoch of global batches (of `batch` rows, or of at most `batch` tokens bucketed by length).

        Train is shuffled by (seed, epoch); valid and test come in order and complete. `shard=(i, n)` takes the i-th
        of n row slices of every global batch (a slice may be empty); `start` leaves out the first batches.
        A task with `spec.carry` gives parallel streams instead: every batch but an epoch's first continues the one
        before it, and valid and test are complete without being in order.
        """
        ...

    def count(self, batch: Batch) -> int:
        """What the loss sum of `batch` is divided by: rows, or target tokens, or target values."""
        ...

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """The objective, a sum over what `count` counts, never a mean."""
        ...

    def metrics(self, outputs: Tensor, batch: Batch) -> Sums:
        """Per-item statistics: arrays whose first dim is the batch's rows. Always holds "loss" and "count"."""
        ...

    def summarise(self, sums: Sums) -> dict[str, float]:
        """Scores from summed statistics (no item dim); holds `spec.metric` and "loss" (mean per counted unit)."""
        ...

    def details(self, items: Sums) -> dict[str, Any]:
        """What a report draws beyond scores: confusion matrix, per-class table, score by length. May be empty."""
        ...

    def baselines(self, split: Split) -> list[Baseline]:
        """The trivial and the strong simple predictor, fitted on train, scored on `split`."""
        ...

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, Any]]:
        """Some rows for people: ``{"input", "target", "prediction"}`` as text.

        A forecast has a ``"forecast"`` too, for a picture: a ``"name"``, the ``"past"``, ``"target"`` and
        ``"values"`` step by step, and its ``"quantiles"`` by their levels.
        """
        ...

    def encode(self, texts: list[str]) -> Batch:
        """User input to a batch without targets (DataError where the task has no textual input)."""
        ...

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """Outputs to predictions for people and programs: label and probabilities, or values."""
        ...

    def artifacts(self) -> dict[str, Any]:
        """JSON-able values that prediction needs without the data: vocabulary, labels, normalisation."""
        ...


class RolloutTask(Task, Protocol):
    """A task with ``decoding="rollout"``: its outputs on valid and test come from the model's own earlier outputs."""

    def rollout(self, step: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
        """The outputs that `metrics`, `samples` and `decode` take, for a batch of valid, test or user rows.

        `step` runs the model over further inputs [B, t, C], carries its state from call to call, and returns the
        outputs [B, t, size]. Train batches are not rolled out: their inputs hold what the model should have said.
        """
        ...


class NamedStepsTask(Task, Protocol):
    """A task whose steps have names, so that people can see which of them an output rests on."""

    def step_names(self, batch: Batch) -> tuple[list[str], list[str]]:
        """Of the one row of `batch`: what is read at each step (of its source, where it has one), what should be
        written at each scored step (empty where the row has one output)."""
        ...


Write = Callable[[Sequence[int], int], list[int]]
"""The tokens that a model writes after those given, so many."""


class WritingTask(Task, Protocol):
    """A task whose models go on with a text, so that people can read what they write beside what stands there."""

    def passages(self, split: Split, write: Write) -> list[dict[str, str]]:
        """Openings of `split`, how the text goes on and how `write` does; like `samples`, with its ``"decoding"``."""
        ...
