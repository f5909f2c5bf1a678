"""Whole weights from what the ranks hold, and each rank's part of whole ones, by the names of the whole model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from crossover.parallel.collectives import piece, sum_over, whole_of
from crossover.parallel.mesh import Mesh, everyones, total
from crossover.parallel.shards import as_held, as_shard, held, unsharded
from crossover.parallel.tensor import Splits
from crossover.sharding import Owned

_PART = "#"
"""Between a parameter's name and the dim and number of a part of it."""


class Shares:
    """Which parameters of `whole` this rank has in `trained`, and which piece of them.

    Under a pipeline a rank has those of its stages; a parameter that two of its modules share (tied embeddings) may
    then stand on two ranks, and goes by the first of its names. With `averaged` the replicas over data differ, and
    what is put together is their mean.
    """

    def __init__(
        self, whole: nn.Module, trained: nn.Module, splits: Splits, mesh: Mesh, *, averaged: bool = False
    ) -> None:
        self.whole, self.trained, self.mesh, self.averaged = whole, trained, mesh, averaged
        first: dict[int, str] = {}
        named = list(whole.named_parameters(remove_duplicate=False))
        for name, parameter in named:
            first.setdefault(id(parameter), name)
        self.canonical = {name: first[id(parameter)] for name, parameter in named}
        self.splits = {self.canonical[name]: split for name, split in splits.items()}
        self.own = {self.canonical[name]: parameter for name, parameter in trained.named_parameters()}
        holders = everyones(list(self.own), mesh.pipeline)
        self.owner = {name: rank for rank, names in reversed(list(enumerate(holders))) for name in names}
        self.tied = [name for name in first.values() if sum(name in names for names in holders) > 1]

    @torch.no_grad()
    def gather(self) -> None:
        """Bring `whole` to the trained weights; every rank takes part."""
        if self.trained is self.whole:
            return
        found = self.put_together({name: parameter.detach() for name, parameter in self.own.items()})
        for name, parameter in self.whole.named_parameters():
            parameter.copy_(found[name])

    @torch.no_grad()
    def take(self) -> None:
        """Bring the trained weights to those of `whole`, of which this rank takes its part."""
        if self.trained is self.whole:
            return
        for name, parameter in self.own.items():
            parameter.copy_(self.part_of(name, self.whole.get_parameter(name).detach(), parameter))

    def put_together(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Whole tensors by name, from every rank's part of them."""
        found = {}
        present = {name for names in everyones(list(own), self.mesh.pipeline) for name in names}
        for name, parameter in self.whole.named_parameters():
            if name not in present:
                continue
            value = own.get(name)
            value = None if value is None else unsharded(value)
            if value is not None and name in self.splits and self.mesh.tensor.size > 1:
                value = whole_of(value, self.splits[name], self.mesh.tensor)
            if self.mesh.pipeline.size > 1:
                value = torch.empty_like(parameter) if value is None else value.clone()
                axis = self.mesh.pipeline
                dist.broadcast(value, axis.peer(self.owner[name]), group=axis.group)
            if value is not None:
                mean = self.averaged and value.is_floating_point()
                found[name] = sum_over(value, self.mesh.data) / self.mesh.data.size if mean else value
        return found

    def part_of(self, name: str, value: Tensor, like: Tensor) -> Tensor:
        """What this rank holds of a whole tensor, in shards where the parameter `like` is."""
        split = self.splits.get(name)
        if split is not None and self.mesh.tensor.size > 1:
            return piece(value, split, self.mesh.tensor).clone()
        return as_held(value, like)

    def norm(self) -> float:
        """The norm of the whole gradient."""
        squares = {"alike": 0.0, "tensor": 0.0, "replicas": 0.0}
        for name, parameter in self.own.items():
            if parameter.grad is not None and self.owner[name] == self.mesh.pipeline.rank:
                in_shards = isinstance(parameter.grad, DTensor)
                over = "replicas" if in_shards else "tensor" if name in self.splits else "alike"
                squares[over] += float(held(parameter.grad).double().square().sum())
        (pieces,) = total([squares["tensor"]], self.mesh.tensor)
        (shards,) = total([squares["replicas"]], self.mesh.replicas)
        (square,) = total([squares["alike"] + pieces + shards], self.mesh.pipeline)
        return float(square**0.5)

    @torch.no_grad()
    def stored(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This rank's parts of named tensors as a checkpoint takes them: those of shards say where they belong.

        What is stacked of several parts goes part by part, under the name, the dim and the part's number. Replicas
        that train by themselves store their mean.
        """
        found: dict[str, Tensor] = {}
        for name, value in own.items():
            split = self.splits.get(name)
            if self.averaged and value.is_floating_point():
                found[name] = sum_over(value, self.mesh.data) / self.mesh.data.size
            elif split is None or self.mesh.tensor.size == 1 or not value.ndim:
                found[name] = value
            elif isinstance(split, Owned):
                if split.owner == self.mesh.tensor.rank:
                    found[name] = value
            else:
                dim, shares = split.dim % value.ndim, [size // self.mesh.tensor.size for size in split.parts]
                for number, part in enumerate(value.split(shares, dim)):
                    found[f"{name}{_PART}{dim}.{number}"] = as_shard(part.contiguous(), dim, self.mesh.tensor)
        return found

    def stored_moments(self, optimizer: Optimizer) -> dict[str, Tensor]:
        """What the optimiser keeps of this rank's parameters, by kind and name, as `stored`."""
        by_kind: dict[str, dict[str, Tensor]] = {}
        for parameter, state in optimizer.state.items():
            for kind, value in state.items():
                if isinstance(value, Tensor):
                    by_kind.setdefault(kind, {})[self._name(parameter)] = value
        return {f"{kind}/{key}": v for kind, own in sorted(by_kind.items()) for key, v in self.stored(own).items()}

    @torch.no_grad()
    def restore(self, optimizer: Optimizer, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> None:
        """Bring the trained weights and `optimizer` to what `stored` and `stored_moments` gave, read whole."""
        for name, value in from_parts(weights).items():
            self.whole.get_parameter(name).copy_(value)
        self.take()
        by_name: dict[str, dict[str, Tensor]] = {}
        for kind_and_name, value in from_parts(moments).items():
            kind, _, name = kind_and_name.partition("/")
            by_name.setdefault(name, {})[kind] = value
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = self._name(parameter)
                state = {
                    kind: self.part_of(name, value, parameter) if value.ndim else value
                    for kind, value in by_name.get(name, {}).items()
                }
                if state:
                    optimizer.state[parameter] = state

    def _name(self, parameter: Tensor) -> str:
        return next(name for name, own in self.own.items() if own is parameter)


def from_parts(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors by name, from those that were stored whole or part by part."""
    found: dict[str, Tensor] = {}
    parts: dict[tuple[str, int], dict[int, Tensor]] = {}
    for key, value in stored.items():
        name, marked, place = key.partition(_PART)
        if not marked:
            found[name] = value
            continue
        dim, number = (int(piece) for piece in place.split("."))
        parts.setdefault((name, dim), {})[number] = value
    for (name, dim), numbered in parts.items():
        found[name] = torch.cat([numbered[number] for number in sorted(numbered)], dim)
    return found
