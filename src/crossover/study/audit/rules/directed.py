"""Differences between models, read from the side of those that a claim is about, and how they go along a series."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Label
from crossover.study.audit.experiments.cases import of_series
from crossover.study.audit.rules import Observed, Verdict
from crossover.study.audit.words import Said, _, listing, number

Comparison = Literal["better", "worse", "equal", "undecided"]

_READ: Mapping[str, Comparison] = {"a": "better", "b": "worse", "equal": "equal", "undecided": "undecided"}
_TURNED: Mapping[str, Comparison] = {**_READ, "a": "worse", "b": "better"}


@dataclass(frozen=True)
class Directed:
    """What a measure says of a subject in one case: by itself (`rival` None), or less what it says of a rival."""

    subject: str
    rival: str | None
    case: str
    interval: Interval
    verdict: Comparison
    labels: Mapping[str, Label]

    def told(self) -> Said:
        """Whose figure it is, where, and how large."""
        of = _("{a} less {b}", a=self.subject, b=self.rival) if self.rival is not None else self.subject
        return _("{model} on {case}: {figure}", model=of, case=self.case, figure=figure(self.interval))


def directed(
    observed: Observed, measure: str, subjects: Collection[str], rivals: Collection[str] = ()
) -> Iterator[Directed]:
    """The curves of `measure` of each subject by itself, or, with `rivals`, against each of them."""
    for curve in observed.curves(measure):
        verdict, against = str(curve.labels["verdict"]), curve.labels.get("against")
        rival = None if against is None else str(against)
        for case, interval in zip(curve.x, curve.y, strict=True):
            if curve.name in subjects and (rival in rivals if rivals else rival is None):
                yield Directed(curve.name, rival, str(case), interval, _READ[verdict], curve.labels)
            elif curve.name in rivals and rival is not None and rival in subjects:
                turned = Interval(0 - interval.value, 0 - interval.high, 0 - interval.low)
                yield Directed(rival, curve.name, str(case), turned, _TURNED[verdict], curve.labels)


def courses(observed: Observed, subjects: Sequence[str], rivals: Sequence[str]) -> list[Said]:
    """For each pair and series of cases: the difference in each, and between which its sign turns."""
    series: dict[tuple[str, str | None, str], list[Directed]] = {}
    for found in directed(observed, "difference", subjects, rivals):
        if name := found.labels.get("series"):
            series.setdefault((found.subject, found.rival, str(name)), []).append(found)
    return [
        _(
            "{a} less {b} on {series}: {differences}; {turn}.",
            a=a,
            b=str(b),
            series=name,
            differences=listing(
                _("{place}: {figure}", place=_place(found), figure=figure(found.interval)) for found in along
            ),
            turn=_turn(along),
        )
        for (a, b, name), along in series.items()
    ]


def growth(observed: Observed, subjects: Sequence[str], rivals: Sequence[str]) -> list[tuple[Said, Verdict]]:
    """For each pair and series of buckets: how the difference changes from one to the next, and whether it grows."""
    return [
        (_("growth from bucket to bucket, {growth}", growth=found.told()), above_zero(found))
        for found in directed(observed, "trend", subjects, rivals)
    ]


def above(found: Directed, least: float) -> Verdict:
    """Whether a figure is above `least` for certain."""
    if found.interval.low > least:
        return "holds"
    return "does not hold" if found.interval.high <= least else "not decided"


def above_zero(found: Directed) -> Verdict:
    """Whether a figure is above 0 for certain; at most 0, or within its margin around 0, is enough to fail."""
    if found.verdict == "better":
        return "holds"
    small = found.interval.inside(float(found.labels.get("margin", 0.0)))
    return "does not hold" if small or found.interval.high <= 0 else "not decided"


def figure(interval: Interval) -> Said:
    """A value with its interval; one that is counted has none."""
    if interval.low == interval.high:
        return number(interval.value)
    return _("{value} ({low} to {high})", **{key: number(value) for key, value in interval.to_json().items()})


def _turn(along: Sequence[Directed]) -> Said:
    """Where the sign turns, between neighbours of those that are decided."""
    certain = [found for found in along if found.verdict in ("better", "worse")]
    if not certain:
        return _("its sign is decided nowhere")
    turns = [
        _("its sign turns between {first} and {last}", first=_place(one), last=_place(other))
        for one, other in pairwise(certain)
        if one.verdict != other.verdict
    ]
    return listing(turns) or _(
        "its sign does not turn where it is decided ({places})", places=listing(map(_place, certain))
    )


def _place(found: Directed) -> str:
    """What tells a case from the others of its series."""
    return found.case.removeprefix(of_series(str(found.labels.get("series")), ""))
