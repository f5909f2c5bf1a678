"""The time of one message among ranks of a layout's axis, over the tiers of a machine's network.

n ranks of an axis stand `stride` devices apart. They say what they say round a ring (Patarasuk and Yuan 2009, which
moves the fewest bytes): of B bytes a rank sends 2 (n - 1)/n B for an all-reduce and half of it for an all-gather or a
reduce-scatter. Where a tier joins only r of the n, the ring leaves it, through the adapters of r devices at once. The
slowest tier on the way sets the pace. Latency is that of log2 hops of the parts that a tier joins: pieces follow one
another round the ring, and small messages go along trees (n - 1 hops, as a ring without pieces would take, are twice
what was measured at n = 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import Literal

from crossover.errors import ConfigError
from crossover.planning.machine import Link, Machine

Operation = Literal["all-reduce", "all-gather", "reduce-scatter", "broadcast", "send"]


@dataclass(frozen=True)
class Group:
    """Ranks that say something together: `size` of them, every `stride`-th device; neighbours have stride 1."""

    size: int
    stride: int = 1


@dataclass(frozen=True)
class Hop:
    """A tier that a group uses: how many parts of the group it joins, and how many ranks each part has."""

    link: Link
    parts: int
    ranks: int


def hops(machine: Machine, group: Group) -> list[Hop]:
    """The tiers that the group's messages cross, nearest first; a ConfigError where the network joins too few."""
    found, joined = [], 1
    for link in machine.links:
        within = group.size if not link.devices else min(group.size, max(1, link.devices // group.stride))
        parts = ceil(within / joined)
        if parts > 1:
            found.append(Hop(link, parts, joined))
            joined = within
        if joined == group.size:
            return found
    if group.size == 1:
        return []
    raise ConfigError(
        f"{machine.name} joins at most {machine.links[-1].devices if machine.links else 1} devices, and {group.size} "
        f"ranks {group.stride} devices apart need more: give a tier with devices=0, or fewer devices"
    )


def message_seconds(machine: Machine, operation: Operation, payload: float, group: Group) -> float:
    """Seconds of one operation; `payload` are the bytes that each rank gives it, as traffic is recorded.

    That is the whole tensor for an all-reduce, a reduce-scatter, a broadcast and a message to a neighbour, and a
    rank's own part for an all-gather.
    """
    crossed = hops(machine, group)
    if not crossed:
        return 0.0
    sent = _SENT[operation](group.size) * payload
    pace = max(sent / (hop.link.bandwidth * hop.ranks) for hop in crossed)
    if operation == "send":
        return crossed[-1].link.latency + payload / crossed[-1].link.bandwidth
    latency = sum(ceil(log2(hop.parts)) * hop.link.latency for hop in crossed)
    return pace + latency * (2 if operation == "all-reduce" else 1)


_SENT = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: n - 1,
    "reduce-scatter": lambda n: (n - 1) / n,
    "broadcast": lambda n: 1,
    "send": lambda n: 1,
}
"""The bytes that a rank of n sends, as a multiple of its payload."""
