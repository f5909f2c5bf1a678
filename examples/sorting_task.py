"""A task of one's own: read numbers, then say them in sorted order.

Check it, then use it like any other::

    crossover check examples/sorting_task.py
    crossover compare sorting --models lstm,transformer --budget 20s --plugin examples/sorting_task.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

import crossover
from crossover.models.ports import PerStep, Tokens
from crossover.tasks import RESTORERS, Baseline, Batch, Split, TaskSpec
from crossover.tasks.generated.linear_window import TokenBaselines
from crossover.tasks.objectives import IGNORE, TokenPrediction
from crossover.tasks.options import Whole, read_settings, refuse_unread
from crossover.tasks.rows import Rows, RowTask

SIZES: dict[Split, int] = {"train": 5_000, "valid": 300, "test": 500}


class SortingTask(RowTask):
    """Numbers 1 to `values`, `count` of them, then as many steps that ask for them in order.

    With four numbers up to 8, and 9 to ask::

        inputs   5 2 8 2 9 9 9 9
        targets  . . . . 1 1 4 7      (numbers are classes from 0)

    What it needs is a state that holds all numbers, and counting off what has been said.
    """

    splits: Mapping[Split, Rows]

    def __init__(self, count: int, values: int, seed: int = 0) -> None:
        self._settings = {"count": count, "values": values}
        self.objective = TokenPrediction()
        self.splits = {
            split: draw_rows(np.random.default_rng([seed, index]), size, count=count, values=values)
            for index, (split, size) in enumerate(SIZES.items())
        }
        self.simple = TokenBaselines(self.splits["train"], vocabulary=values + 2)
        self.spec = TaskSpec(
            name="sorting",
            family="sorting",
            description="numbers, to be said again in sorted order",
            inputs=Tokens(vocabulary=values + 2),
            outputs=PerStep(size=values),
            objective="language-modeling",
            metric="accuracy",
            higher_is_better=True,
            causal=True,
            margin=0.015,
            budget="20s",
            batch_rows=64,
            max_length=2 * count,
            defaults={"width": 64, "layers": 2, "dropout": 0.0},
            notes=(f"{count} numbers of {values}, drawn with replacement.",),
        )

    def baselines(self, split: Split) -> list[Baseline]:
        """Majority, and a ridge classifier on the last tokens and the bag of all."""
        return [
            self.baseline(fit.name, fit.kind, fit.items, seconds=fit.seconds, parameters=fit.parameters)
            for fit in self.simple.score(self.splits[split])
        ]

    def samples(self, outputs: Tensor, batch: Batch, limit: int = 5) -> list[dict[str, str]]:
        """The numbers, and what was said at the asked steps."""
        asked_BT, said_BT = batch.targets != IGNORE, outputs.argmax(-1)
        return [
            {
                "input": _join(batch.inputs[row][~asked_BT[row]]),
                "target": _join(batch.targets[row][asked_BT[row]] + 1),
                "prediction": _join(said_BT[row][asked_BT[row]] + 1),
            }
            for row in range(min(limit, batch.size))
        ]

    def decode(self, outputs: Tensor, batch: Batch) -> list[dict[str, Any]]:
        """The numbers said in the second half of each row."""
        said_BT = outputs[:, outputs.shape[1] // 2 :].argmax(-1) + 1
        return [{"sorted": row} for row in said_BT.tolist()]

    def artifacts(self) -> dict[str, Any]:
        """What `restore` builds the task from."""
        return {"family": "sorting", "settings": self._settings}


def draw_rows(rng: np.random.Generator, size: int, *, count: int, values: int) -> Rows:
    """Rows of `count` numbers and as many steps that ask."""
    numbers_NC = rng.integers(values, size=(size, count))
    ask_NC, unscored_NC = np.full_like(numbers_NC, values + 1), np.full_like(numbers_NC, IGNORE)
    inputs_NT = np.concatenate([numbers_NC + 1, ask_NC], axis=1)
    targets_NT = np.concatenate([unscored_NC, np.sort(numbers_NC, axis=1)], axis=1)
    return Rows(inputs=list(inputs_NT), targets=list(targets_NT))


def sorting(options: crossover.DataOptions) -> SortingTask:
    """The task from a user's options: ``--set task.count=8``, ``--set task.values=16``, ``--split-seed``."""
    settings = read_settings("sorting", options.settings, {"count": Whole(8, 2), "values": Whole(16, 2)})
    refuse_unread("sorting", options, reads=("split_seed",))
    return SortingTask(settings["count"], settings["values"], options.split_seed)


def restore(artifacts: Mapping[str, Any]) -> SortingTask:
    """The task that a trained run was made with."""
    return SortingTask(**artifacts["settings"])


def _join(numbers: Tensor) -> str:
    return " ".join(str(number) for number in numbers.tolist())


crossover.TASKS.add("sorting", sorting, "numbers, to be said again in sorted order")
RESTORERS.add("sorting", restore)
