"""A pipeline's schedule, as a value: what each rank does, one action after the other. No torch here.

GPipe (Huang et al. 2018, arXiv 1811.06965) runs all micro-batches forward, then all of them backward. 1F1B (Harlap et
al. 2018, arXiv 1806.03377) begins backward as soon as it can, so that fewer are in flight. Interleaved (Narayanan et
al. 2021, arXiv 2104.04473, section 2.2) gives each rank several stages. In a wavefront what follows one another are
chunks in time of the same rows, with the state carried: forward in the order of time, backward against it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crossover.errors import LayoutError
from crossover.parallel.layout import Layout


class Action(NamedTuple):
    """One stage's work on one chunk in time of one micro-batch, forward or backward."""

    stage: int
    microbatch: int
    chunk: int
    forward: bool

    def needs(self, stages: int, chunks: int) -> list[Action]:
        """The actions whose results this one takes."""
        if self.forward:
            found = [self._replace(stage=self.stage - 1)] if self.stage else []
            return found + ([self._replace(chunk=self.chunk - 1)] if self.chunk else [])
        found = [self._replace(forward=True)]
        found += [self._replace(stage=self.stage + 1)] if self.stage < stages - 1 else []
        return found + ([self._replace(chunk=self.chunk + 1)] if self.chunk < chunks - 1 else [])


@dataclass(frozen=True)
class Schedule:
    """What every rank does, in order; stage s is on rank s modulo the number of ranks."""

    ranks: tuple[tuple[Action, ...], ...]
    stages: int
    microbatches: int
    chunks: int


def make_schedule(layout: Layout) -> Schedule:
    """The schedule of a layout: by its name, or with ``auto`` a wavefront over chunks, else 1F1B or interleaved."""
    name = schedule_name(layout)
    stages, count = layout.pipeline * layout.interleave, layout.microbatches
    if name == "1f1b" and layout.interleave > 1:
        raise LayoutError(f"schedule=1f1b has one stage a rank, not interleave={layout.interleave}: use interleaved")
    if name in ("gpipe", "wavefront"):
        ranks = [_all_then_back(layout, rank) for rank in range(layout.pipeline)]
    elif name == "interleaved" and layout.interleave > 1:
        if count % layout.pipeline:
            raise LayoutError(
                f"an interleaved schedule runs groups of pipeline={layout.pipeline} micro-batches, and "
                f"microbatches={count} is no multiple of it: give one that is"
            )
        ranks = [_interleaved(layout, rank) for rank in range(layout.pipeline)]
    else:
        ranks = [_one_forward_one_backward(layout, rank) for rank in range(layout.pipeline)]
    return Schedule(tuple(tuple(actions) for actions in ranks), stages, count, layout.chunks)


def _both(stage: int, microbatch: int, chunks: int) -> tuple[list[Action], list[Action]]:
    """All chunks of a micro-batch forward, and backward, which is against time."""
    forward = [Action(stage, microbatch, chunk, True) for chunk in range(chunks)]
    return forward, [action._replace(forward=False) for action in reversed(forward)]


def _all_then_back(layout: Layout, rank: int) -> list[Action]:
    own = range(rank, layout.pipeline * layout.interleave, layout.pipeline)
    numbers = range(layout.microbatches)
    ahead = [action for stage in own for m in numbers for action in _both(stage, m, layout.chunks)[0]]
    return ahead + [
        action for stage in reversed(own) for m in reversed(numbers) for action in _both(stage, m, layout.chunks)[1]
    ]


def _one_forward_one_backward(layout: Layout, rank: int) -> list[Action]:
    pairs = [_both(rank, m, layout.chunks) for m in range(layout.microbatches)]
    return _alternating([ahead for ahead, _ in pairs], [back for _, back in pairs], layout.pipeline - 1 - rank)


def _interleaved(layout: Layout, rank: int) -> list[Action]:
    """Groups of as many micro-batches as there are ranks go through one of the rank's stages after the other."""
    ranks, depth = layout.pipeline, layout.interleave
    groups = [range(first, first + ranks) for first in range(0, layout.microbatches, ranks)]
    ahead = [(rank + level * ranks, m) for group in groups for level in range(depth) for m in group]
    back = [(rank + level * ranks, m) for group in groups for level in reversed(range(depth)) for m in group]
    warm_up = (ranks - rank - 1) * 2 + (depth - 1) * ranks
    return _alternating(
        [_both(stage, m, layout.chunks)[0] for stage, m in ahead],
        [_both(stage, m, layout.chunks)[1] for stage, m in back],
        warm_up,
    )


def _alternating(ahead: list[list[Action]], back: list[list[Action]], warm_up: int) -> list[Action]:
    """`warm_up` forward, then one forward and one backward in turn, then what is left backward."""
    warm_up = min(warm_up, len(ahead))
    order = ahead[:warm_up]
    for number, forward in enumerate(ahead[warm_up:]):
        order += [forward, back[number]]
    order += back[len(ahead) - warm_up :]
    return [action for actions in order for action in actions]


def in_order(schedule: Schedule) -> list[Action]:
    """Every action, each after those that it needs, ranks in turn; a LayoutError where they wait for one another."""
    waiting = [deque(actions) for actions in schedule.ranks]
    done: list[Action] = []
    finished: set[Action] = set()
    while any(waiting):
        before = len(done)
        for actions in waiting:
            while actions and all(n in finished for n in actions[0].needs(schedule.stages, schedule.chunks)):
                finished.add(actions[0])
                done.append(actions.popleft())
        if len(done) == before:
            stuck = [str(actions[0]) for actions in waiting if actions]
            raise LayoutError(f"the schedule cannot be played: {', '.join(stuck)} wait for one another")
    return done


def schedule_name(layout: Layout) -> str:
    """The schedule that a layout's ``auto`` stands for."""
    if layout.schedule != "auto":
        return layout.schedule
    return "wavefront" if layout.chunks > 1 else "interleaved" if layout.interleave > 1 else "1f1b"


def in_flight(layout: Layout, rank: int) -> int:
    """The most forward results that a rank holds at one time: what `most_in_flight` counts, without the schedule."""
    name, all_of_them = schedule_name(layout), layout.microbatches * layout.interleave
    if layout.pipeline == 1 or name in ("gpipe", "wavefront"):
        return all_of_them * layout.chunks
    ahead = layout.pipeline - rank
    if name == "interleaved" and layout.interleave > 1:
        ahead = 2 * (ahead - 1) + (layout.interleave - 1) * layout.pipeline + 1
    return min(all_of_them, ahead) * layout.chunks


def clock(schedule: Schedule, seconds: Mapping[tuple[int, bool], float]) -> tuple[float, list[float]]:
    """The seconds of one step, and those that each rank works, from those of an action of each (stage, forward)."""
    ranks = len(schedule.ranks)
    free, ends, worked = [0.0] * ranks, dict[Action, float](), [0.0] * ranks
    for action in in_order(schedule):
        rank, takes = action.stage % ranks, seconds[action.stage, action.forward]
        needed = (ends[other] for other in action.needs(schedule.stages, schedule.chunks))
        free[rank] = ends[action] = max(free[rank], *needed, 0.0) + takes
        worked[rank] += takes
    return max(free, default=0.0), worked


def bubble(schedule: Schedule, seconds: Mapping[tuple[int, bool], float]) -> float:
    """The share of all ranks' time in which they wait for one another."""
    whole, worked = clock(schedule, seconds)
    return 1 - sum(worked) / (whole * len(worked)) if whole else 0.0


def most_in_flight(actions: Sequence[Action]) -> int:
    """The most forward results that a rank holds at one time, for the backward to come."""
    held = most = 0
    for action in actions:
        held += 1 if action.forward else -1
        most = max(most, held)
    return most
