"""Where a run stands, as plain values that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

from crossover.recurrence.checks import Solver
from crossover.recurrence.newton import Tally
from crossover.tasks.base import TaskSpec
from crossover.train.budget import Spent

Stop = Literal["budget", "patience", "score"]
"""What ended a run: its budget, no better validation for a while, or one that was good enough."""


class Work(NamedTuple):
    """What one global batch asks for; `counted` is what its loss is divided by."""

    counted: int
    rows: int
    tokens: int
    flops_forward: float
    flops_backward: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Work:
        """The same from plain numbers, as they come from other ranks."""
        counted, rows, tokens, forward, backward = values
        return cls(int(counted), int(rows), int(tokens), forward, backward)


@dataclass
class RunState:
    """What a run has done so far.

    `position` is the number of batches taken of the current epoch and `rows` the number of rows in them.
    `windows` holds [steps, seconds, tokens] of each timed window, data loading left out; the last is open. `solvers`
    are those of its recurrences, by the mixer's name, and `newton` is what Newton's method did.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0
    validation_seconds: float = 0.0
    flops_forward: float = 0.0
    flops_backward: float = 0.0
    validations: int = 0
    stale: int = 0
    losses: list[list[float]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    windows: list[list[float]] = field(default_factory=lambda: [[0, 0.0, 0]])
    solvers: dict[str, Solver] = field(default_factory=dict)
    newton: Tally = field(default_factory=Tally)

    def spent(self, rows_per_epoch: int) -> Spent:
        """The state in the units of budgets."""
        return Spent(
            seconds=self.seconds,
            steps=self.step,
            tokens=self.tokens,
            epochs=self.epoch + min(self.rows / max(rows_per_epoch, 1), 1.0),
            flops=self.flops_forward + self.flops_backward,
        )

    def count_step(self, work: Work) -> None:
        """One more step is taken."""
        self.step += 1
        self.position += 1
        self.rows += work.rows
        self.tokens += work.tokens
        self.flops_forward += work.flops_forward
        self.flops_backward += work.flops_backward

    def count_time(self, *, loading: float, computing: float, tokens: int, close_window: bool) -> None:
        """The seconds of one step; `close_window` where the device was waited for, so that they are complete."""
        self.seconds += loading + computing
        self.data_seconds += loading
        window = self.windows[-1]
        window[:] = [window[0] + 1, window[1] + computing, window[2] + tokens]
        if close_window:
            self.windows.append([0, 0.0, 0])

    def next_epoch(self) -> None:
        """The current epoch's batches are all taken."""
        self.epoch, self.position, self.rows = self.epoch + 1, 0, 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunState:
        """The state that `to_json` gave."""
        return cls(**{**values, "newton": Tally(**values.get("newton", {}))})


@dataclass
class Best:
    """The best weights so far by validation, kept apart from those that training goes on with.

    Better is a better metric; where it is the same (an accuracy that has reached 1), a lower validation loss.
    """

    step: int
    scores: dict[str, float]
    weights: dict[str, Tensor]

    @staticmethod
    def improves(scores: dict[str, float], best: Best | None, *, metric: str, higher_is_better: bool) -> bool:
        """Whether `scores` are better than the best so far."""
        if best is None:
            return True
        sign = 1 if higher_is_better else -1
        new, old = (sign * scores[metric], -scores["loss"]), (sign * best.scores[metric], -best.scores["loss"])
        return new > old

    def reaches(self, score: float | None, spec: TaskSpec) -> bool:
        """Whether they are as good as `score`, which nothing is where it is None."""
        own = self.scores[spec.metric]
        return score is not None and (own >= score if spec.higher_is_better else own <= score)
