"""The optimiser: AdamW or SGD with weight decay on matrices only, and the rate as a function of the budget spent."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from crossover.errors import ConfigError
from crossover.train.settings import TrainSettings

_SGD_MOMENTUM = 0.9


def decayed_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that weight decay applies to, and the others.

    Decayed are matrices (two dims or more) outside embeddings and norms; an embedding that is also the output
    layer counts as an embedding.
    """
    spared: set[int] = set()
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.LayerNorm | nn.RMSNorm | nn.GroupNorm):
            spared.update(id(parameter) for parameter in module.parameters(recurse=False))
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        (others if id(parameter) in spared or parameter.ndim < 2 else decayed).append(parameter)
    return decayed, others


def build_optimizer(model: nn.Module, settings: TrainSettings, *, spared: Iterable[nn.Parameter] = ()) -> Optimizer:
    """AdamW (Loshchilov and Hutter 2019; fused) or SGD with Nesterov momentum, over all parameters of `model`.

    Those in `spared` do not decay, whatever their module says. Raises ConfigError when `settings.learning_rate` is
    still open.
    """
    if settings.learning_rate is None:
        raise ConfigError("learning_rate is not set: resolve the settings for a task and a model first")
    decayed, others = decayed_parameters(model)
    numbers = {id(parameter) for parameter in spared}
    others += [parameter for parameter in decayed if id(parameter) in numbers]
    decayed = [parameter for parameter in decayed if id(parameter) not in numbers]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        # The fused kernel does not know of parameters in shards.
        fused = _fusable(model) and not any(isinstance(parameter, DTensor) for parameter in model.parameters())
        return torch.optim.SGD(groups, lr=rate, momentum=_SGD_MOMENTUM, nesterov=True, fused=fused)
    return torch.optim.AdamW(groups, lr=rate, betas=settings.betas, fused=_fusable(model))


def rate_at(fraction: float, settings: TrainSettings) -> float:
    """The rate when `fraction` of the budget is spent: a linear warm-up, then a cosine.

    Both ends stand at `final_rate` times the peak, so that the first step already moves. A function of the share
    spent, and of nothing else, so it is the same schedule for budgets in seconds and in steps.
    """
    peak, floor = settings.learning_rate or 0.0, settings.final_rate
    if fraction < settings.warmup:
        return peak * (floor + (1 - floor) * fraction / settings.warmup)
    progress = min((fraction - settings.warmup) / max(1 - settings.warmup, 1e-12), 1.0)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group of `optimizer` the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _fusable(model: nn.Module) -> bool:
    """True where one kernel updates all parameters: floating point on a device whose fused optimisers exist."""
    kinds = {parameter.device.type for parameter in model.parameters()}
    return kinds <= {"cpu", "cuda", "mps"} and all(p.is_floating_point() for p in model.parameters())
