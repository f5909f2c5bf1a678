"""What is said along a layout's axes, in seconds: which devices stand on an axis, and what a message takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from crossover.parallel.layout import ORDER, Layout
from crossover.parallel.traffic import Sent
from crossover.planning.communication import Group, Operation, message_seconds
from crossover.planning.machine import Machine

_HEARD = "receive"
"""What a rank receives another one sends: its time is counted there."""


class Network:
    """The devices of `machine` under a layout; `order` names the axes from the outermost to the innermost."""

    def __init__(self, machine: Machine, order: tuple[str, ...] = ORDER) -> None:
        self.machine, self.order = machine, order
        self._seconds = cache(self._message)

    def group(self, layout: Layout, axis: str) -> Group:
        """The ranks of an axis; ``replicas`` are those of data and sequence together."""
        if axis == "replicas":
            size = layout.data * layout.sequence
            named = [name for name in ("data", "sequence") if getattr(layout, name) > 1]
            return Group(size, min((self.group(layout, name).stride for name in named), default=1))
        stride = 1
        for name in reversed(self.order):
            if name == axis:
                break
            stride *= getattr(layout, name)
        return Group(getattr(layout, axis), stride)

    def seconds(self, groups: Mapping[str, Group], said: Iterable[Sent]) -> float:
        """Of all calls one after the other, along axes whose devices are `groups`."""
        total = 0.0
        for line in said:
            if line.operation != _HEARD and line.count:
                total += line.count * self._seconds(line.operation, line.bytes / line.count, groups[line.axis])
        return total

    def _message(self, operation: Operation, payload: float, group: Group) -> float:
        return message_seconds(self.machine, operation, payload, group)
