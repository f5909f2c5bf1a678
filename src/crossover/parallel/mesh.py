"""The mesh: which ranks stand on which axis, and the few numbers that they agree on at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh

from crossover.parallel.collectives import Axis, gather_over
from crossover.parallel.layout import ORDER, Layout
from crossover.parallel.timeline import recorded

_TOGETHER = {"replicas": ("data", "sequence"), "contributors": ("data", "pipeline", "sequence"), "in_step": ORDER}
"""Lines of ranks along several axes at once."""


@dataclass(frozen=True)
class Mesh:
    """This rank's place on every axis.

    `replicas` are the ranks that hold the same weights and see other rows or other steps: data and sequence together.
    `contributors` are those whose losses add up to that of the global batch: these, and the stages of a pipeline. All
    ranks are both `in_step`, where one waits for the others no longer than along an axis, and the `world`. An axis of
    one rank has no group, and nothing is said along it.
    """

    data: Axis
    pipeline: Axis
    sequence: Axis
    tensor: Axis
    replicas: Axis
    contributors: Axis
    in_step: Axis
    world: Axis

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Every line of ranks that has a group."""
        return (self.data, self.pipeline, self.sequence, self.tensor, self.replicas)

    @property
    def leads(self) -> bool:
        """Whether this rank speaks for all of them: it writes files, and tells how far they are."""
        return self.world.rank == 0


def alone() -> Mesh:
    """The mesh of one device."""
    return Mesh(**{name: Axis(name, None, 0, 1) for name in (*ORDER, *_TOGETHER, "world")})


def whole_world() -> Axis:
    """All ranks that were started, before there is a mesh."""
    return Axis("world", dist.group.WORLD, dist.get_rank(), dist.get_world_size())


def make_mesh(layout: Layout, *, timeout: timedelta | None = None) -> Mesh:
    """The mesh of `layout` over all ranks of the world; a layout of one device needs none.

    Along every axis a rank waits for the others for at most `timeout` (None: as long as in the world); in the world,
    where one of them may have more to score or to write than the others, as long as it was told when it was made.
    """
    if layout.devices == 1:
        return alone()
    sizes = [getattr(layout, name) for name in ORDER]
    places = np.arange(layout.devices).reshape(sizes)
    axes = {name: _axis(name, places, [number], timeout) for number, name in enumerate(ORDER)}
    for name, parts in _TOGETHER.items():
        axes[name] = _axis(name, places, [ORDER.index(part) for part in parts], timeout)
    return Mesh(**axes, world=_axis("world", places, range(len(ORDER)), None))


def _axis(name: str, places: np.ndarray, dims: Sequence[int], timeout: timedelta | None) -> Axis:
    """This rank's line of ranks along `dims`. Every rank makes every line's group, in the same order."""
    size = int(np.prod([places.shape[dim] for dim in dims]))
    if size == 1:
        return Axis(name, None, 0, 1)
    last = list(range(places.ndim - len(dims), places.ndim))
    own = None
    for line in np.moveaxis(places, dims, last).reshape(-1, size).tolist():
        group = group_of(name, line, timeout=timeout)
        if dist.get_rank() in line:
            own = Axis(name, group, line.index(dist.get_rank()), size)
    if own is None:
        raise ValueError(f"rank {dist.get_rank()} has no place on {name}: the world is larger than the layout")
    return own


_GROUPS: dict[tuple[str, tuple[int, ...], timedelta | None, str | None], dist.ProcessGroup] = {}


def group_of(
    name: str, ranks: Sequence[int], *, timeout: timedelta | None, backend: str | None = None
) -> dist.ProcessGroup:
    """The group in which `ranks` say what `name` tells them to; every rank of the world asks for it.

    Made once in a world: the threads of a gloo group wake up all the time, and a study that made its groups anew for
    each of its runs would slow down its own measurements. Backends are PyTorch's names; None is that of the world.
    """
    key = (name, tuple(ranks), timeout, backend)
    if key not in _GROUPS:
        _GROUPS[key] = dist.new_group(list(ranks), timeout=timeout, backend=backend)
    return _GROUPS[key]


_DEVICE_MESHES: dict[tuple[dist.ProcessGroup, str], DeviceMesh] = {}
_NUMBERS = count()


def device_mesh(axis: Axis, device: str) -> DeviceMesh:
    """PyTorch's own mesh of the ranks of `axis`, which must be several: what tensors in shards name. Made once."""
    if axis.group is None:
        raise ValueError(f"the axis {axis.name} has one rank, which holds whatever there is")
    key = (axis.group, device)
    if key not in _DEVICE_MESHES:
        # PyTorch keeps what it has found for a mesh for equal ones: without a name of its own, one of these ranks
        # would be taken for that of an earlier world, and speak in another group than the others.
        name = f"{axis.name}-{next(_NUMBERS)}"
        _DEVICE_MESHES[key] = DeviceMesh.from_group(axis.group, device, mesh_dim_names=(name,))
    return _DEVICE_MESHES[key]


def leave_world() -> None:
    """Leave all groups, the world last. Their threads end once nobody holds a mesh or a step that names them."""
    for mesh in _DEVICE_MESHES.values():
        # PyTorch keeps meshes in caches that are never emptied, and a mesh its groups here.
        mesh._pg_registry.clear()
    _DEVICE_MESHES.clear()
    _GROUPS.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def total(values: Sequence[float], axis: Axis) -> list[float]:
    """The sum over the ranks of each of `values`, exact for whole numbers below 2^53."""
    return _reduced(values, axis, dist.ReduceOp.SUM)


def largest(values: Sequence[float], axis: Axis) -> list[float]:
    """The largest over the ranks of each of `values`."""
    return _reduced(values, axis, dist.ReduceOp.MAX)


def told(values: Sequence[float], axis: Axis) -> list[list[float]]:
    """What every rank gives, by rank; all give as many numbers."""
    if axis.size == 1:
        return [list(values)]
    with recorded("all-gather", axis):
        numbers: list[list[float]] = gather_over(torch.tensor(values, dtype=torch.float64), axis).tolist()
    return numbers


def _reduced(values: Sequence[float], axis: Axis, operation: Any) -> list[float]:
    if axis.size == 1:
        return list(values)
    numbers = torch.tensor(values, dtype=torch.float64)
    with recorded("all-reduce", axis):
        dist.all_reduce(numbers, operation, group=axis.group)
    return [float(number) for number in numbers.tolist()]


def everyones(value: Any, axis: Axis) -> list[Any]:
    """What every rank gives, by rank; the values are pickled, so they come from our own processes only."""
    if axis.size == 1:
        return [value]
    found: list[Any] = [None] * axis.size
    dist.all_gather_object(found, value, group=axis.group)
    return found
