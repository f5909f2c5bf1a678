"""Recurrences that are affine in the state (mingru, minlstm): h_t = (1 - z_t) h_{t-1} + z_t v_t, z and v from x_t.

The gates see only the input, so one matrix product gives them for all steps, and a scan solves the recurrence; see
`crossover.recurrence.affine`.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from math import ceil, log2
from typing import ClassVar

from torch import Tensor, nn

from crossover.costs import Cost, Execution, Product, Shape, Streamed, Term
from crossover.errors import ConfigError
from crossover.models.mixers.solved import SolvedMixer, SolvedSettings
from crossover.recurrence.affine import AffineCell
from crossover.recurrence.checks import Solver
from crossover.recurrence.scan import kernels_of_scan
from crossover.sharding import TensorSharding


@dataclass(frozen=True, kw_only=True)
class AffineSettings(SolvedSettings):
    """`expansion` is hidden units over width (an output projection comes back to width unless it is 1); `forget_bias`
    is the bias at the start towards keeping the state: 1 keeps it for about four steps.
    """

    solvers_told: ClassVar[str] = "scan, all steps at once, or sequential; either exact, on any device"
    at_once: ClassVar[Solver] = "scan"
    usually: ClassVar[Solver] = "scan"
    kept_by_cell: ClassVar[int]
    """Elements that one step of the definition keeps for its backward, per hidden unit."""
    passes: ClassVar[tuple[int, int]]
    """How often gates and scan read or write a hidden unit of a step, forward and backward."""

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
        shapes: dict[str, tuple[int, ...]] = {
            "projection.weight": (self.rows, self.width),
            "projection.bias": (self.rows,),
        }
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
        steps, size, scales = shape.batch * shape.time, execution.exact_bytes, ("batch", "time", "hidden")
        terms = [
            self.input_product(shape, execution),
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
            alike = execution.fused and self.causal and size == execution.element_bytes
            kept = 0 if alike else self.units * steps  # the scan keeps the same tensor
            terms.append(
                Term(
                    name="output product",
                    flops_forward=leaving.flops,
                    flops_backward=2 * leaving.flops,
                    parameters=(self.units + 1) * self.width,
                    activation_bytes=kept * execution.element_bytes,
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

        The cell keeps what `kept_by_cell` says, but for the first factor of an initial h that takes no gradient; read
        backwards, the projections are kept in that order too.
        """
        if execution.fused:
            return self.kept_by_trajectory(shape)
        steps, projected = shape.batch * shape.time, self.gates * shape.batch * shape.time
        unneeded = 0 if execution.state_gradient and self.causal else shape.batch
        turned = 0 if self.causal else projected * self.hidden
        return (projected + self.kept_by_cell * steps - unneeded) * self.units + turned


class AffineMixer(SolvedMixer, ABC):
    """x_BTD -> y_BTD; state (h [B, hidden] in float32 at least,)."""

    settings: AffineSettings

    def __init__(self, settings: AffineSettings, cell: AffineCell) -> None:
        super().__init__(settings, cell)
        self.output = nn.Linear(settings.units, settings.width) if settings.expansion != 1 else nn.Identity()

    def finish(self, h_BTH: Tensor) -> Tensor:
        """Back to width."""
        found: Tensor = self.output(h_BTH)
        return found
