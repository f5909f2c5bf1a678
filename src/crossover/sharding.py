"""Sharding, a value: how a mixer splits over `tensor`, and how its state travels over `sequence`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crossover.errors import LayoutError


@dataclass(frozen=True)
class Split:
    """A tensor that is cut along `dim`, each of the `parts` stacked on that dim by itself.

    `parts` are their sizes: gates, say, or queries, keys and values. A rank so holds its own units of every gate,
    where contiguous pieces of the whole dim would give one rank the first gates and another the last.
    """

    dim: int
    parts: tuple[int, ...]

    def pieces(self, ranks: int, rank: int) -> list[slice]:
        """What `rank` of `ranks` holds of each part, in places of the whole dim.

        Raises LayoutError for a part that the ranks do not divide.
        """
        found, start = [], 0
        for size in self.parts:
            if size % ranks:
                raise LayoutError(f"{ranks} ranks do not divide a part of size {size}: use a degree that does")
            share = size // ranks
            found.append(slice(start + rank * share, start + (rank + 1) * share))
            start += size
        return found


@dataclass(frozen=True)
class Owned(Split):
    """A tensor that the rank `owner` holds whole, and of which the others have nothing along `dim`."""

    owner: int

    def pieces(self, ranks: int, rank: int) -> list[slice]:
        """All of it for the owner."""
        return [slice(0, sum(self.parts) if rank == self.owner else 0)]


@dataclass(frozen=True, kw_only=True)
class TensorSharding:
    """How several ranks compute one mixer, each with its share of the hidden units, heads or channels.

    Of the `parameters` a rank holds a piece; the others are whole on every rank, and for those in `partial` a rank
    finds a part of the gradient only. `takes` are the features of the input that a rank reads (None: all of them).
    The output is whole after the maps in `summed` (names of linear submodules that read split features: a rank's
    result is one term of a sum) or, where `joined` says how it is split, after the pieces have been put together.
    `state` says the same of each tensor of the state (None: whole on every rank). `stepwise`: the ranks exchange
    their hidden units at every step. `by_direction`: of two ranks one reads rows forward, the other backward;
    `on_two` is how two ranks split it where that is another way than more ranks have.
    """

    parameters: Mapping[str, Split]
    partial: tuple[str, ...] = ()
    takes: Split | None = None
    summed: tuple[str, ...] = ()
    joined: Split | None = None
    state: tuple[Split | None, ...] = ()
    stepwise: bool = False
    by_direction: bool = False
    on_two: TensorSharding | None = None

    def over(self, ranks: int) -> TensorSharding:
        """How so many ranks split it."""
        return self.on_two if ranks == 2 and self.on_two is not None else self


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """What a mixer admits.

    `divisible` names the sizes that a tensor degree must divide (``{"heads": 8, "width": 256}``), `tensor` how it is
    split then (None: every rank computes all of it, which is exact and saves nothing). `state` says what crosses
    ranks when time is split: the state is handed on (``"hand-on"``), chunk summaries are combined (``"scan"``), or
    keys and values are gathered (``"gather"``). A `refusal` is the reason why time cannot be split at all.
    """

    divisible: Mapping[str, int] = field(default_factory=dict)
    tensor: TensorSharding | None = None
    state: Literal["hand-on", "scan", "gather"] = "hand-on"
    refusal: str = ""
