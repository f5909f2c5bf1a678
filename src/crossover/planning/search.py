"""The search: every layout that a job admits on so many devices, and of each the cheapest form that fits.

Degrees are those that divide, and that this program carries out, unless a field is pinned. Of the ways to run them
only those are compared that can win: a batch is cut into slices, and blocks are computed again, where memory asks for
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from math import prod
from typing import Any

from crossover.errors import LayoutError
from crossover.parallel.layout import AXES, Layout
from crossover.planning.predict import Planner, Prediction

_MOST_SLICES = 64
"""The most micro-batches for each stage of a pipeline, or slices of a batch, that are tried."""
_CHUNKS, _INTERLEAVED = (4, 8, 16, 32), (2, 4)
"""Chunks in time, and stages of a rank, that are tried."""


@dataclass(frozen=True)
class Search:
    """What was found: `ranked` by predicted seconds, layouts that do not fit, and degrees that cannot be used."""

    ranked: list[Prediction]
    too_large: list[Prediction]
    rejected: list[tuple[Layout, tuple[str, ...]]] = field(default_factory=list)

    @property
    def best(self) -> Prediction | None:
        """The fastest that fits."""
        return self.ranked[0] if self.ranked else None


def search(planner: Planner, devices: int, *, fixed: Layout | None = None) -> Search:
    """Rank the layouts of `devices` devices; what `fixed` gives stays as it is.

    Raises LayoutError where none is legal, with the reasons and the nearest number of devices that has one.
    """
    given = _given(fixed)
    legal, rejected = _degrees(planner, devices, given)
    if not legal:
        raise LayoutError(_none_is_legal(planner, devices, given, rejected))
    ranked, too_large = list[Prediction](), list[Prediction]()
    for degrees in legal:
        for form in _forms(planner, degrees, given):
            best = _cheapest(planner, form, given)
            if best is None:
                against = form.reasons(form.devices, planner.job.model, planner.job.spec)
                rejected.append((form, (*against, *form.unwritten_reasons())))
            else:
                (ranked if best.fits else too_large).append(best)
    if not ranked and not too_large:
        reason = next((against[0] for _, against in reversed(rejected) if against), "none has a form")
        raise LayoutError(f"no layout of {devices} devices can be used: {reason}: leave more of --layout open")
    ranked.sort(key=lambda found: found.step_seconds)
    too_large.sort(key=lambda found: found.memory.total)
    return Search(ranked, too_large, rejected)


def _given(fixed: Layout | None) -> dict[str, Any]:
    """The fields that differ from what a layout has by itself."""
    if fixed is None:
        return {}
    return {f.name: getattr(fixed, f.name) for f in fields(Layout) if getattr(fixed, f.name) != f.default}


def _degrees(
    planner: Planner, devices: int, given: dict[str, Any]
) -> tuple[list[Layout], list[tuple[Layout, tuple[str, ...]]]]:
    """Degrees of the axes whose product is `devices`: those that the job admits, and the others with their reasons.

    What keeps a degree out is a matter of its axis alone, so that every degree is asked for once.
    """
    job, spec = planner.job, planner.job.spec
    reasons: dict[tuple[str, int], tuple[str, ...]] = {}
    for axis in AXES:
        for degree in _divisors(devices):
            layout = replace(Layout(), **{axis: degree})  # type: ignore[arg-type]
            found = layout.reasons(degree, job.model, spec)
            if job.kind != "train" and axis in ("data", "sequence") and degree > job.rows and axis == "data":
                found.append(f"data={degree} needs {degree} rows, the batch has {job.rows}")
            reasons[axis, degree] = tuple(found)
    legal, rejected = list[Layout](), list[tuple[Layout, tuple[str, ...]]]()
    for degrees in _factored(devices, len(AXES)):
        named = dict(zip(AXES, degrees, strict=True))
        if any(given.get(axis, degree) != degree for axis, degree in named.items()):
            continue
        layout = replace(Layout(), **named)  # type: ignore[arg-type]
        against = tuple(reason for axis, degree in named.items() for reason in reasons[axis, degree])
        if job.rows % named["data"]:
            against += (f"data={named['data']} does not divide the {job.rows} rows of a batch",)
        if not given:
            against += tuple(layout.unwritten_reasons())
        if against:
            rejected.append((layout, against))
        else:
            legal.append(layout)
    return legal, rejected


def _forms(planner: Planner, degrees: Layout, given: dict[str, Any]) -> Iterator[Layout]:
    """Ways to fill a pipeline, or a row that is split in time; elsewhere the degrees alone."""
    job = planner.job
    rows = job.rows // degrees.data
    if job.kind != "train":
        yield replace(degrees, **given)
        return
    if degrees.pipeline == 1:
        waits = degrees.sequence > 1 and _hands_on(planner)
        for count in _slices(rows, degrees.sequence) if waits else (1,):
            yield replace(degrees, **{"microbatches": count, **given})
        return
    most = len(job.mixers) // degrees.pipeline
    for count in _slices(rows, degrees.pipeline):
        yield replace(degrees, **{"microbatches": count, **given})
        for depth in _INTERLEAVED:
            if depth <= most and count % degrees.pipeline == 0:
                yield replace(degrees, **{"microbatches": count, "interleave": depth, **given})
    if not replace(degrees, chunks=2).reasons(degrees.devices, job.model, job.spec):
        for chunks in _CHUNKS:
            if chunks <= job.steps:
                yield replace(degrees, **{"chunks": chunks, **given})


def _cheapest(planner: Planner, layout: Layout, given: dict[str, Any]) -> Prediction | None:
    """The fastest of a layout's forms that save memory, of those that fit; else the smallest; None without any."""
    tried = list(_saving(planner, layout, given))
    fitting = [found for found in tried if found.fits]
    if fitting:
        return min(fitting, key=lambda found: found.step_seconds)
    return min(tried, key=lambda found: found.memory.total, default=None)


def _saving(planner: Planner, layout: Layout, given: dict[str, Any]) -> Iterator[Prediction]:
    """Forms that need less memory, from the fastest on, until one fits; with and without shards of parameters."""
    if planner.job.kind != "train":
        yield planner.predict(layout)
        return
    rows = planner.job.rows // (layout.data * layout.microbatches)
    ways = [layout]
    in_shards = replace(layout, shard_parameters=True)
    if layout.data > 1 and "shard_parameters" not in given and not in_shards.unwritten_reasons():
        ways.append(in_shards)
    for way in ways:
        for own in _recomputing(planner, way, given):
            found = None
            for slices in _slices(rows, 1) if "accumulate" not in given else (own.accumulate,):
                found = planner.predict(replace(own, accumulate=slices))
                yield found
                if found.fits or layout.pipeline > 1:
                    break
            if found is not None and found.fits:
                break


def _recomputing(planner: Planner, layout: Layout, given: dict[str, Any]) -> Iterator[Layout]:
    """`layout` as it is, with its blocks computed again, and with chunks in time where they have no other use."""
    job = planner.job
    for recompute in ("none", "blocks"):
        if recompute != layout.recompute and "recompute" in given:
            continue
        if recompute == "none" or layout.sequence == 1 or not _hands_on(planner):
            yield replace(layout, recompute=recompute)
    if given.get("recompute", "chunks") != "chunks":
        return
    for chunks in _CHUNKS if "chunks" not in given else (layout.chunks,):
        cut = replace(layout, recompute="chunks", chunks=chunks)
        if chunks <= job.steps and not [*cut.reasons(cut.devices, job.model, job.spec), *cut.unwritten_reasons()]:
            yield cut


def _hands_on(planner: Planner) -> bool:
    return any(mixer.sharding().state == "hand-on" for mixer in planner.job.mixers)


def _slices(rows: int, stages: int) -> list[int]:
    """Into how many equal parts rows are cut: what divides them, from one a stage where that is possible."""
    found = [count for count in _divisors(rows) if count <= _MOST_SLICES * stages]
    return [count for count in found if count >= min(stages, found[-1])]


@cache
def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _factored(number: int, factors: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as an ordered product."""
    if factors == 1:
        yield (number,)
        return
    for first in _divisors(number):
        for rest in _factored(number // first, factors - 1):
            yield (first, *rest)


def _none_is_legal(
    planner: Planner, devices: int, given: dict[str, Any], rejected: Sequence[tuple[Layout, tuple[str, ...]]]
) -> str:
    """Why no layout can be used, and the nearest number of devices of which one can."""
    alone = {axis: degree for axis, degree in given.items() if axis in AXES}
    pinned = ",".join(f"{axis}={degree}" for axis, degree in alone.items())
    why = rejected[0][1][0] if rejected else f"no degrees with {pinned} make {devices} devices"
    farthest = devices + prod(alone.values())
    for distance in range(1, farthest):
        for other in (devices - distance, devices + distance):
            if other >= 1 and _degrees(planner, other, alone)[0]:
                return (
                    f"no layout of {devices} devices can be used: {why}; one of {other} can: give --devices {other}"
                )
    return (
        f"no layout of {devices} devices can be used: {why}; nor one of any other number below "
        f"{devices + farthest}: leave more of --layout open"
    )
