"""Recurrences that are affine in the state (mingru, minlstm): h_t = (1 - z_t) h_{t-1} + z_t v_t, z and v from x_t.

The gates see only the input, so one matrix product gives them for all steps, and a scan solves the recurrence. The
scan runs in linear space: 0 < z < 1 makes every step a convex combination, which neither overflows nor divides, so
the candidate v needs no positive activation (the log-space form of the paper does).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil, log2
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Product, Shape, Streamed, Term
from crossover.errors import ConfigError
from crossover.models.mixers.base import InitRule, Span, State
from crossover.models.mixers.recurrent import (
    RecurrentMixer,
    RecurrentSettings,
    resets_from_behind,
    turn,
    turn_span,
)
from crossover.models.mixers.terms import bias_gradient
from crossover.recurrence import Exchange, scan
from crossover.recurrence.scan import kernels_of_scan
from crossover.recurrence.sequential import Cell, solve
from crossover.sharding import TensorSharding


@dataclass(frozen=True, kw_only=True)
class AffineSettings(RecurrentSettings):
    """`gates` projections of the input per hidden unit, the candidate included.

    `expansion` is hidden units over width (an output projection comes back to width unless it is 1); `forget_bias`
    is the bias at the start towards keeping the state: 1 keeps it for about four steps.
    """

    gates: ClassVar[int]
    kept_by_cell: ClassVar[int]
    """Elements that one step of the definition keeps for its backward, per hidden unit."""
    passes: ClassVar[tuple[int, int]]
    """How often gates and scan read or write a hidden unit of a step, forward and backward."""
    state_travel = "scan"

    expansion: float = 1
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        if self.expansion <= 0 or self.width * self.expansion % 1:
            raise ConfigError(
                f"{self.name} has width {self.width} and expansion {self.expansion:g}: their product must be a whole "
                "positive number of hidden units"
            )
        super().__post_init__()

    @property
    def units(self) -> int:
        """Hidden units of both directions together."""
        return int(self.width * self.expansion)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """One matrix for all gates, by direction, gate, unit; the way back to width where units differ from it."""
        rows = self.gates * self.units
        shapes: dict[str, tuple[int, ...]] = {"projection.weight": (rows, self.width), "projection.bias": (rows,)}
        if self.expansion != 1:
            shapes |= {"output.weight": (self.width, self.units), "output.bias": (self.width,)}
        return shapes

    def tensor_sharding(self) -> TensorSharding:
        """Units are independent of one another: only the output needs all of them."""
        rows, units = self.stacked(0, self.gates * self.directions), self.stacked(-1, self.directions)
        split = {"projection.weight": rows, "projection.bias": rows}
        state = (self.stacked(1),)
        if self.expansion == 1:
            return TensorSharding(parameters=split, joined=units, state=state)
        return TensorSharding(parameters={**split, "output.weight": units}, summed=("output",), state=state)

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Two products batched over time; the scan between them has no product of matrices and a depth of log T."""
        steps, size, scales = shape.batch * shape.time, execution.element_bytes, ("batch", "time", "hidden")
        entering = Product(steps, self.width, self.gates * self.units)
        terms = [
            Term(
                name="input product",
                flops_forward=entering.flops,
                flops_backward=entering.flops * (2 if execution.input_gradient else 1),
                parameters=self.gates * self.units * (self.width + 1),
                activation_bytes=steps * self.width * size,
                whole_bytes=steps * self.width * size,
                scales_with=scales,
                products=(entering,),
                streamed_backward=bias_gradient(steps, self.gates * self.units, execution),
            ),
            Term(
                name="recurrence",
                activation_bytes=self._kept(shape, execution) * size,
                state_bytes=self.state_bytes(shape.batch, size),
                serial_steps=ceil(log2(shape.time + 1)) if execution.fused else shape.time,
                scales_with=scales,
                streamed_forward=self._streamed(shape, size, passes=self.passes[0]),
                streamed_backward=self._streamed(shape, size, passes=self.passes[1]),
            ),
        ]
        if self.expansion != 1:
            leaving = Product(steps, self.units, self.width, split="depth")
            kept = 0 if execution.fused and self.causal else self.units * steps  # the scan keeps the same tensor
            terms.append(
                Term(
                    name="output product",
                    flops_forward=leaving.flops,
                    flops_backward=2 * leaving.flops,
                    parameters=(self.units + 1) * self.width,
                    activation_bytes=kept * size,
                    scales_with=scales,
                    products=(leaving,),
                )
            )
        return Cost.of(*terms)

    def _streamed(self, shape: Shape, size: int, *, passes: int) -> Streamed:
        """The scan and what stands around it: so many passes over the hidden units of all steps."""
        kernels = kernels_of_scan(shape.batch, shape.time, self.units) + 4 * self.gates
        elements = shape.batch * shape.time * self.units
        return Streamed(kernels, passes * elements * size, (self.gates - 1) * elements)

    def _kept(self, shape: Shape, execution: Execution) -> int:
        """Elements that the recurrence keeps for its backward; the gates' projections in any case.

        The scan keeps z, 1 - z, h and the initial h. The cell keeps what `kept_by_cell` says, but for the first
        factor of an initial h that takes no gradient; read backwards, the projections are kept in that order too.
        """
        steps, projected = shape.batch * shape.time, self.gates * shape.batch * shape.time
        if execution.fused:
            return (projected + 3 * steps + shape.batch) * self.units
        unneeded = 0 if execution.state_gradient and self.causal else shape.batch
        turned = 0 if self.causal else projected * self.hidden
        return (projected + self.kept_by_cell * steps - unneeded) * self.units + turned


class AffineMixer(RecurrentMixer, ABC):
    """x_BTD -> y_BTD; state (h [B, hidden] in float32 at least,)."""

    settings: AffineSettings

    def __init__(self, settings: AffineSettings) -> None:
        super().__init__(settings)
        self.exchange: Exchange | None = None
        """Set where the rows are a stretch of longer ones, of which other ranks hold the rest."""
        self.projection = nn.Linear(settings.width, settings.gates * settings.units)
        self.output = nn.Linear(settings.units, settings.width) if settings.expansion != 1 else nn.Identity()
        self.init_rules = {"projection.bias": self.bias_rule()}

    @abstractmethod
    def bias_rule(self) -> InitRule:
        """Fills the bias of the projection."""

    @abstractmethod
    def gate_and_candidate(self, projected_BTG: Tensor) -> tuple[Tensor, Tensor]:
        """z in (0, 1) and v of one direction, [B, T, hidden] each."""

    @abstractmethod
    def cell(self, projected_BG: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of one direction, as published."""

    def prepare(self, x_BTD: Tensor) -> Tensor:
        """All gates of all steps, in float32 at least: in bfloat16 a memory of 1,000 steps would round to forever."""
        projected: Tensor = self.projection(x_BTD)
        return projected.to(torch.promote_types(projected.dtype, torch.float32))

    def finish(self, h_BTH: Tensor) -> Tensor:
        """Back to width."""
        return self.output(h_BTH)

    def solve(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """Both directions by scan. After a row's end z is 0, which keeps the state; at a reset h_{t-1} is dropped."""
        ahead, *back = prepared_BTX.chunk(self.settings.directions, dim=-1)
        h_BTH = self._scan(ahead, state[0], span, span.resets_BT, reverse=False)
        if not back:
            return h_BTH, (h_BTH[:, -1],)
        behind_BT = resets_from_behind(span.resets_BT)
        back_BTH = self._scan(back[0], torch.zeros_like(state[0]), span, behind_BT, reverse=True)
        return torch.cat([h_BTH, back_BTH], dim=-1), None

    def _scan(
        self, projected_BTG: Tensor, initial_BH: Tensor, span: Span, resets_BT: Tensor | None, *, reverse: bool
    ) -> Tensor:
        z_BTH, v_BTH = self.gate_and_candidate(projected_BTG)
        mask_BT = span.mask_BT(z_BTH.shape[1])
        if mask_BT is not None:
            z_BTH = z_BTH.masked_fill(~mask_BT[..., None], 0)
        keep_BTH = 1 - z_BTH
        if resets_BT is not None:
            dropped_BT = resets_BT if mask_BT is None else resets_BT & mask_BT
            keep_BTH = keep_BTH.masked_fill(dropped_BT[..., None], 0)
        return scan(keep_BTH, z_BTH * v_BTH, initial_BH, reverse=reverse, exchange=self.exchange)

    def solve_by_steps(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """The cell, step by step."""
        ahead, *back = prepared_BTX.chunk(self.settings.directions, dim=-1)
        h_BTH, last = _by_steps(self.cell, ahead, state, span)
        if not back:
            return h_BTH, last
        zero = tuple(torch.zeros_like(part) for part in state)
        back_BTH, _ = _by_steps(self.cell, turn(back[0], span.lengths_B), zero, turn_span(span))
        return torch.cat([h_BTH, turn(back_BTH, span.lengths_B)], dim=-1), None


def _by_steps(cell: Cell, projected_BTG: Tensor, state: State, span: Span) -> tuple[Tensor, State]:
    return solve(cell, projected_BTG, state, lengths_B=span.lengths_B, resets_BT=span.resets_BT)


def biases_per_gate(directions: int, values: tuple[float, ...]) -> InitRule:
    """The same bias for every unit of a gate, in each direction."""

    def fill(bias_G: Tensor, generator: torch.Generator) -> None:
        for gates_G in bias_G.chunk(directions):
            for gate_H, value in zip(gates_G.chunk(len(values)), values, strict=True):
                gate_H.fill_(value)

    return fill
