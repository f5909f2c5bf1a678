"""What a rank does when, in one step: its passes, and every time that it waits for others to send or to receive.

The blocking calls of this package stand in `recorded`, which costs nothing unless somebody `watching` asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossover.parallel.collectives import Axis


@dataclass(frozen=True)
class Event:
    """Seconds `start` to `end` of a step, in which a rank was at `kind`.

    A message has the `axis` that it goes along, and a `key` that it has on every rank which takes part in it.
    """

    kind: str
    start: float
    end: float
    axis: str = ""
    key: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Timeline:
    """The events of one step; seconds are counted from where it was made."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.launched: dict[str, float] = {}
        """When the last message was sent that nobody waits for at once, by the name of its axis."""
        self._zero = perf_counter()
        self._told: Counter[str] = Counter()

    def now(self) -> float:
        """Seconds since the step began."""
        return perf_counter() - self._zero

    def add(self, kind: str, start: float, end: float, axis: Axis | None = None, key: str = "") -> None:
        """One more event; messages of a group, and those of it with the same `key`, are told apart by their order."""
        if axis is None or axis.group is None:
            self.events.append(Event(kind, start, end))
            return
        place = f"{axis.group.group_name}/{key}"
        self._told[place] += 1
        self.events.append(Event(kind, start, end, axis.name, f"{place}/{self._told[place]}"))


_watched: list[Timeline] = []
"""That of the step under way, while one is watched."""


@contextmanager
def watching() -> Iterator[Timeline]:
    """What is done within is recorded."""
    timeline = Timeline()
    _watched.append(timeline)
    try:
        yield timeline
    finally:
        _watched.remove(timeline)


def watched() -> Timeline | None:
    """The timeline of the step under way, if it is watched."""
    return _watched[-1] if _watched else None


@contextmanager
def recorded(kind: str, axis: Axis | None = None, key: str = "") -> Iterator[None]:
    """What is done within is an event, if the step is watched."""
    timeline = watched()
    if timeline is None:
        yield
        return
    start = timeline.now()
    yield
    timeline.add(kind, start, timeline.now(), axis, key)


def sent(axis: Axis, key: str) -> None:
    """A message is on its way, and nobody waits for it here."""
    timeline = watched()
    if timeline is not None:
        timeline.add("send", timeline.now(), timeline.now(), axis, key)


@dataclass(frozen=True)
class TimeSplit:
    """Where the seconds of a rank's step go.

    `communication` is exposed: nothing else was done meanwhile, and all who take part were there. Before that the
    rank waited: in a pipeline that is its `bubble`, elsewhere it is `wait`, for the slowest rank.
    """

    compute: float
    communication: float
    wait: float
    bubble: float

    def to_json(self) -> dict[str, float]:
        """Seconds by name."""
        return {f"{name}_seconds": seconds for name, seconds in asdict(self).items()}


def split_time(timelines: Sequence[Sequence[Event]], seconds: Sequence[float]) -> list[TimeSplit]:
    """Each rank's split of a step of so many `seconds`, from the events of all ranks on one clock."""
    begun = _last_to_come(timelines)
    found = []
    for events, whole in zip(timelines, seconds, strict=True):
        communication = wait = bubble = 0.0
        for event in (event for event in events if event.key):
            waited = min(max(begun[event.key] - event.start, 0.0), event.end - event.start)
            communication += event.end - event.start - waited
            if event.axis == "pipeline":
                bubble += waited
            else:
                wait += waited
        found.append(TimeSplit(max(whole - communication - wait - bubble, 0.0), communication, wait, bubble))
    return found


def _last_to_come(timelines: Sequence[Sequence[Event]]) -> Mapping[str, float]:
    """When the last of those who take part in a message came to it."""
    begun: dict[str, float] = {}
    for events in timelines:
        for event in events:
            if event.key:
                begun[event.key] = max(begun.get(event.key, 0.0), event.start)
    return begun
