"""What ranks send: every collective of a region, with its axis and its bytes, whoever called it.

One dispatch mode sees all of them: ours, and those of DDP, FSDP2 and DTensor.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from crossover.parallel.collectives import Axis
from crossover.parallel.timeline import watched

_NAMES = {
    "allreduce_": "all-reduce",
    "allreduce_coalesced_": "all-reduce",
    "_allgather_base_": "all-gather",
    "allgather_": "all-gather",
    "allgather_into_tensor_coalesced_": "all-gather",
    "_reduce_scatter_base_": "reduce-scatter",
    "reduce_scatter_": "reduce-scatter",
    "reduce_scatter_tensor_coalesced_": "reduce-scatter",
    "broadcast_": "broadcast",
    "alltoall_base_": "all-to-all",
    "send": "send",
    "recv_": "receive",
}
_OWN_INPUT = {"_allgather_base_": 1, "_reduce_scatter_base_": 1}
"""Where the input, which is the payload, is not the first argument."""


@dataclass(frozen=True, order=True)
class Sent:
    """Calls of one operation along one axis: how many, and the bytes of their inputs on one rank."""

    operation: str
    axis: str
    count: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Traffic(TorchDispatchMode):
    """Within, every collective of this process is noted; `sent` sums them up.

    `axes` give the groups their names; a group that belongs to none of them is called ``"other"``.
    """

    def __init__(self, *axes: Axis) -> None:
        super().__init__()
        self._axes = {str(axis.group.group_name): axis.name for axis in axes if axis.group is not None}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.namespace == "c10d":
            self._note(func.overloadpacket.__name__, args)
        return func(*args, **(kwargs or {}))

    def sent(self) -> list[Sent]:
        """What was sent so far, by operation and axis."""
        return sorted(Sent(*place, count, self._bytes[place]) for place, count in self._counts.items())

    def _note(self, name: str, args: tuple[Any, ...]) -> None:
        if name not in _NAMES:
            return
        groups = (_group_name(argument) for argument in args)
        axis = next((self._axes.get(group, "other") for group in groups if group is not None), "other")
        if (timeline := watched()) is not None:
            timeline.launched[axis] = timeline.now()
        place = (_NAMES[name], axis)
        self._counts[place] += 1
        self._bytes[place] += _bytes(args[_OWN_INPUT.get(name, 0)])


def _group_name(argument: Any) -> str | None:
    if not isinstance(argument, torch.ScriptObject):
        return None
    try:
        return str(dist.ProcessGroup.unbox(argument).group_name)
    except RuntimeError:
        return None


def _bytes(payload: Any) -> int:
    if isinstance(payload, Tensor):
        return payload.numel() * payload.element_size()
    return sum(_bytes(part) for part in payload) if isinstance(payload, list | tuple) else 0
