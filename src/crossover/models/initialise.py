"""Initial weights as a pure function of (seed, parameter name), whatever the device or layout."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from crossover.models.mixers.base import InitRule


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Fill every parameter of `model` in place.

    A module's `init_rules` (parameter name relative to the module -> rule) come first. Otherwise matrices are drawn
    from a normal with standard deviation 1/sqrt(fan in), one-dimensional weights (norms) are one, and the rest zero.
    Values are drawn on the CPU in float32 and then copied, so a device changes nothing.
    """
    rules = _rules(model)
    for name, parameter in model.named_parameters():
        values = torch.empty(parameter.shape, dtype=torch.float32)
        rules.get(name, _default_rule(name))(values, _generator(seed, name))
        parameter.copy_(values)


def scaled_normal(gain: float = 1.0) -> InitRule:
    """Normal with standard deviation gain/sqrt(fan in); fan in is the product of all dims but the first."""

    def fill(values: Tensor, generator: torch.Generator) -> None:
        fan_in = max(values[0].numel(), 1)
        values.normal_(0.0, gain / fan_in**0.5, generator=generator)

    return fill


def normal(std: float) -> InitRule:
    """Normal with the given standard deviation."""

    def fill(values: Tensor, generator: torch.Generator) -> None:
        values.normal_(0.0, std, generator=generator)

    return fill


def constant(value: float) -> InitRule:
    """The same value everywhere."""

    def fill(values: Tensor, generator: torch.Generator) -> None:
        values.fill_(value)

    return fill


def _rules(model: nn.Module) -> dict[str, InitRule]:
    found: dict[str, InitRule] = {}
    for prefix, module in model.named_modules():
        for name, rule in getattr(module, "init_rules", {}).items():
            found[f"{prefix}.{name}".lstrip(".")] = rule
    return found


def _default_rule(name: str) -> InitRule:
    def fill(values: Tensor, generator: torch.Generator) -> None:
        if values.ndim >= 2:
            scaled_normal()(values, generator)
        else:
            values.fill_(1.0 if name.endswith("weight") else 0.0)

    return fill


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
