"""Whole weights from what the ranks hold, and each rank's part of whole ones, by the names of the whole model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from crossover.parallel.collectives import gather_over, piece, put_together, sum_over
from crossover.parallel.mesh import Mesh, everyones, total
from crossover.parallel.shards import as_held, held, unsharded
from crossover.parallel.tensor import Splits


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
                value = put_together(gather_over(value, self.mesh.tensor), self.splits[name])
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

    def moments(self, optimizer: Optimizer) -> dict[str, dict[str, Any]]:
        """What the optimiser keeps of each parameter, whole, by name; every rank takes part."""
        own = {self._name(parameter): state for parameter, state in optimizer.state.items()}
        kinds = sorted({kind for states in everyones(_kinds(own), self.mesh.pipeline) for kind in states})
        found: dict[str, dict[str, Any]] = {name: {} for name in self.owner}
        for kind, shaped in kinds:
            if shaped:
                whole = self.put_together({name: state[kind] for name, state in own.items() if kind in state})
            else:
                counts = {name: state[kind] for name, state in own.items() if kind in state}
                whole = {name: v for part in everyones(counts, self.mesh.pipeline) for name, v in part.items()}
            for name, value in whole.items():
                found[name][kind] = value
        return {name: state for name, state in found.items() if state}

    def take_moments(self, optimizer: Optimizer, whole: Mapping[str, Mapping[str, Any]]) -> None:
        """Give `optimizer` this rank's part of what `moments` gave."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = self._name(parameter)
                state = {
                    kind: self.part_of(name, value, parameter) if isinstance(value, Tensor) and value.ndim else value
                    for kind, value in whole.get(name, {}).items()
                }
                if state:
                    optimizer.state[parameter] = state

    def _name(self, parameter: Tensor) -> str:
        return next(name for name, own in self.own.items() if own is parameter)


def _kinds(states: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, bool]]:
    """What an optimiser keeps, and whether it has the parameter's shape: moments have, the count of steps has not."""
    return {(kind, v.ndim > 0) for state in states.values() for kind, v in state.items() if isinstance(v, Tensor)}
