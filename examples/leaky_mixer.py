"""A mixer of one's own: a leaky integrator whose leak is learned, h_t = a h_{t-1} + (1 - a) W x_t.

Check it, then use it like any other::

    crossover check examples/leaky_mixer.py
    crossover compare recall --models leaky-integrator,lstm,transformer --plugin examples/leaky_mixer.py
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log2
from typing import ClassVar

import torch
from torch import Tensor, nn

import crossover
from crossover.costs import Cost, Execution, Shape, Term
from crossover.errors import ConfigError
from crossover.models.mixers.base import Span, State
from crossover.models.mixers.recurrent import RecurrentMixer, RecurrentSettings
from crossover.recurrence import scan
from crossover.recurrence.sequential import solve


@dataclass(frozen=True, kw_only=True)
class LeakySettings(RecurrentSettings):
    """`slowest` is the number of steps that the slowest unit remembers at the start; the fastest remembers one."""

    name: ClassVar[str] = "leaky-integrator"
    formula: ClassVar[str] = "a = sigmoid(d); h_t = a h_{t-1} + (1 - a) (W x_t + b)"
    cost_law: ClassVar[str] = "2hi FLOPs a step and row, all steps at once by a scan, state h"
    source: ClassVar[str] = (
        "Jaeger et al. 2007, Optimization and applications of echo state networks with leaky units"
    )
    state_travel = "scan"

    slowest: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.causal:
            raise ConfigError("leaky-integrator reads forwards only: use leaky-integrator[causal=true]")
        if not self.slowest > 1:
            raise ConfigError(f"leaky-integrator has slowest={self.slowest:g}: give more than 1 step")

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """The leak of each unit, and one projection."""
        return {
            "leak": (self.width,),
            "projection.weight": (self.width, self.width),
            "projection.bias": (self.width,),
        }

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """One product batched over time; the scan has none, and keeps h for its backward."""
        steps, size, scales = shape.batch * shape.time, execution.element_bytes, ("batch", "time", "hidden")
        product = 2 * steps * self.width * self.width
        kept = 2 * steps + 2 + (shape.batch if execution.fused or execution.state_gradient else 0)
        return Cost.of(
            Term(
                name="input product",
                flops_forward=product,
                flops_backward=product * (2 if execution.input_gradient else 1),
                parameters=self.width * (self.width + 1),
                activation_bytes=steps * self.width * size,
                scales_with=scales,
            ),
            Term(
                name="recurrence",
                parameters=self.width,
                activation_bytes=kept * self.width * size,
                state_bytes=self.state_bytes(shape.batch, size),
                serial_steps=ceil(log2(shape.time + 1)) if execution.fused else shape.time,
                scales_with=scales,
            ),
        )

    def build(self) -> LeakyMixer:
        """The module."""
        return LeakyMixer(self)


class LeakyMixer(RecurrentMixer):
    """x_BTD -> y_BTD; state (h [B, width],). `RecurrentMixer` carries the state and keeps padding out."""

    settings: LeakySettings

    def __init__(self, settings: LeakySettings) -> None:
        super().__init__(settings)
        self.leak = nn.Parameter(torch.empty(settings.width))
        self.projection = nn.Linear(settings.width, settings.width)
        self.init_rules = {"leak": self._spread}

    def _spread(self, leak_H: Tensor, generator: torch.Generator) -> None:
        """Memories of 1 to `slowest` steps, evenly on a logarithmic scale: a = 1 - 1 / (1 + steps)."""
        leak_H.copy_(torch.linspace(0.0, log(self.settings.slowest), len(leak_H)))

    def prepare(self, x_BTD: Tensor) -> Tensor:
        """W x_t + b of all steps, in float32 at least: a sum over many steps would be lost in bfloat16."""
        projected_BTH: Tensor = self.projection(x_BTD)
        return projected_BTH.to(torch.promote_types(projected_BTH.dtype, torch.float32))

    def solve(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """All steps by scan. After a row's end a is 1 and nothing enters; at a reset a is 0 for h_{t-1} alone."""
        a_H = torch.sigmoid(self.leak)
        keep_BTH, enter_BTH = a_H.expand_as(prepared_BTX), (1 - a_H) * prepared_BTX
        mask_BT = span.mask_BT(prepared_BTX.shape[1])
        if span.resets_BT is not None:
            keep_BTH = keep_BTH.masked_fill(span.resets_BT[..., None], 0)
        if mask_BT is not None:
            keep_BTH = keep_BTH.masked_fill(~mask_BT[..., None], 1)
            enter_BTH = enter_BTH.masked_fill(~mask_BT[..., None], 0)
        h_BTH = scan(keep_BTH, enter_BTH, state[0])
        return h_BTH, (h_BTH[:, -1],)

    def solve_by_steps(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """The definition: one step after the other."""
        a_H = torch.sigmoid(self.leak)
        enter_H = 1 - a_H

        def cell(x_BH: Tensor, before: State) -> tuple[Tensor, State]:
            h_BH = a_H * before[0] + enter_H * x_BH
            return h_BH, (h_BH,)

        return solve(cell, prepared_BTX, state, lengths_B=span.lengths_B, resets_BT=span.resets_BT)


crossover.MIXERS.add("leaky-integrator", LeakySettings, "leaky integrator with a learned leak per unit")
