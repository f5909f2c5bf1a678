"""A stretch of time: which steps of the rows under way are this rank's."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor

from crossover.errors import LayoutError
from crossover.models.mixers.base import Span
from crossover.parallel.collectives import Axis


def cuts(time: int, parts: int) -> list[tuple[int, int]]:
    """Where each of so many parts of `time` steps starts and stops: as equal as can be, and empty if need be."""
    return list(pairwise(number * time // parts for number in range(parts + 1)))


@dataclass
class Stretch:
    """This rank's part of the rows under way: steps `start` to `stop` of `time`, of which `span` tells.

    It is set by `enter` before each pass; the mixers read it during the pass.
    """

    axis: Axis
    time: int = 0
    span: Span = field(default_factory=Span)
    whole_outputs: bool = False
    """Whether every rank has the outputs of whole rows, so that their loss counts on one of them only."""

    def enter(self, time: int, span: Span) -> Span:
        """Take up rows of `time` steps; returns the span of this rank's part of them."""
        if time < self.axis.size:
            raise LayoutError(
                f"rows of {time} steps cannot be split over sequence={self.axis.size} ranks: give fewer ranks, or "
                "longer rows"
            )
        self.time, self.span = time, span
        return span.cut(self.start, self.steps)

    @property
    def sizes(self) -> list[int]:
        """Steps of every rank: as equal as can be, none empty unless there are fewer steps than ranks."""
        return [stop - start for start, stop in cuts(self.time, self.axis.size)]

    @property
    def start(self) -> int:
        """The first step of this rank."""
        return self.axis.rank * self.time // self.axis.size

    @property
    def steps(self) -> int:
        """The number of steps of this rank."""
        return self.sizes[self.axis.rank]

    def position(self, before_B: Tensor) -> Tensor:
        """The position [B] after these rows, which began at `before_B`."""
        return before_B + (self.time if self.span.lengths_B is None else self.span.lengths_B)

    def cut(self, x_BT: Tensor) -> Tensor:
        """This rank's steps of [B, T, ...]."""
        return x_BT.narrow(1, self.start, self.steps)
