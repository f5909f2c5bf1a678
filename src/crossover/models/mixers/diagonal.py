"""Recurrences whose gates see the state of their own unit, or of a few units with it, alone.

They are the dense cells with a recurrent matrix that is diagonal, or has blocks of `block` units on its diagonal. A
step is then a few functions of each unit, and the Jacobian of the state has blocks as small, which is what Newton's
method needs to solve all steps at once (Danieli et al. 2025, arXiv 2510.21450).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Shape, Streamed, Term
from crossover.errors import ConfigError
from crossover.models.mixers.base import InitRule, State
from crossover.models.mixers.dense import DenseMixer
from crossover.models.mixers.recurrent import biases_per_gate
from crossover.models.mixers.solved import SolvedMixer, SolvedSettings
from crossover.recurrence.checks import Solver
from crossover.recurrence.gated import GatedCell
from crossover.recurrence.newton import Limits
from crossover.recurrence.scan import kernels_of_scan
from crossover.sharding import Sharding, TensorSharding

BLOCKS = (1, 2, 3, 4)
TYPICAL_ITERATIONS = 6
"""Of Newton's method where its trajectories contract: 5 to 9 with weights as they start."""


@dataclass(frozen=True, kw_only=True)
class DiagonalSettings(SolvedSettings, ABC):
    """`block` units see one another; 1 is a diagonal.

    Newton's method takes at most `iterations`, and of each correction the share `damping`; rows that have not settled
    by then are solved step by step.
    """

    solvers_told: ClassVar[str] = (
        "sequential, exact; newton, all steps at once to a tolerance (what does not settle is solved sequentially); "
        "either on any device, with exact gradients of what was found"
    )
    at_once: ClassVar[Solver] = "newton"
    usually: ClassVar[Solver] = "sequential"
    kept_by_step: ClassVar[int]
    """Elements that a step of the definition keeps for its backward, per hidden unit."""
    passes: ClassVar[tuple[int, int]]
    """How often steps one after the other, and their gradients, read or write a hidden unit of a step."""
    kernels_of_step: ClassVar[int]
    passes_of_iteration: ClassVar[int]
    kernels_of_iteration: ClassVar[int]
    """The same of an iteration of Newton's method; kernels without those of its scan."""
    cell: ClassVar[type[GatedCell]]
    dense: ClassVar[type[DenseMixer]]
    """The mixer whose step this one's is, but for the recurrent matrix."""

    block: int = 1
    iterations: int = 20
    damping: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block not in BLOCKS or self.hidden % self.block:
            raise ConfigError(
                f"{self.name} has block={self.block} of {self.hidden} hidden units: use one of "
                f"{', '.join(map(str, BLOCKS))} that divides them"
            )
        if self.iterations < 1 or not 0 < self.damping <= 1:
            raise ConfigError(
                f"{self.name} has iterations={self.iterations} and damping={self.damping:g}: use at least 1 "
                "iteration and a damping above 0 and at most 1"
            )

    @property
    @abstractmethod
    def biases(self) -> tuple[float, ...]:
        """The bias of each gate at the start."""

    def build(self) -> DiagonalMixer:
        """The module."""
        return DiagonalMixer(self)

    @property
    def systems(self) -> int:
        """Blocks of one direction, independent of one another."""
        return self.hidden // self.block

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Of both matrices a row for each direction, gate and unit; of the recurrent one its own block alone."""
        return {
            "recurrent": (self.rows, self.block),
            "projection.weight": (self.rows, self.width),
            "projection.bias": (self.rows,),
        }

    def sharding(self) -> Sharding:
        """Whole blocks over ranks."""
        return replace(super().sharding(), divisible={"systems": self.systems})

    def tensor_sharding(self) -> TensorSharding:
        """Blocks are independent of one another; the output is put together."""
        rows = self.stacked(0, self.gates * self.directions)
        return TensorSharding(
            parameters=dict.fromkeys(self.parameters(), rows),
            joined=self.stacked(-1, self.directions),
            state=(self.stacked(1),) * self.state_parts,
        )

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """One product batched over time; what follows it has none, and is T steps in sequence, or Newton's scans."""
        return Cost.of(
            self.input_product(shape, execution),
            Term(
                name="recurrence",
                parameters=self.rows * self.block,
                activation_bytes=self._kept(shape, execution) * execution.exact_bytes,
                state_bytes=self.state_bytes(shape.batch, execution.exact_bytes),
                serial_steps=self._serial_steps(shape),
                scales_with=("batch", "time", "hidden"),
                streamed_forward=self._streamed(shape, execution, *self._forward(shape)),
                streamed_backward=self._streamed(shape, execution, self._kernels_back(shape), self.passes[1]),
            ),
        )

    def _streamed(self, shape: Shape, execution: Execution, kernels: int, passes: int) -> Streamed:
        """With block=1."""
        elements = shape.batch * shape.time * self.units
        return Streamed(kernels, passes * elements * execution.exact_bytes, self.gates * elements)

    def _forward(self, shape: Shape) -> tuple[int, int]:
        """Kernels, and passes over a hidden unit of all steps."""
        if self.solver != "newton":
            return self.kernels_of_step * shape.time, self.passes[0]
        scan = self.block * self.state_parts * kernels_of_scan(shape.batch, shape.time, self.units)
        kernels = self.kernels_of_iteration + scan
        return TYPICAL_ITERATIONS * kernels, TYPICAL_ITERATIONS * self.passes_of_iteration

    def _serial_steps(self, shape: Shape) -> int:
        if self.solver != "newton":
            return shape.time
        return TYPICAL_ITERATIONS * kernels_of_scan(shape.batch, shape.time, self.units)

    def _kernels_back(self, shape: Shape) -> int:
        """One scan of small matrices, and what stands around it."""
        size = self.block * self.state_parts
        return size * kernels_of_scan(shape.batch, shape.time, self.units) + 12 * self.gates

    def _kept(self, shape: Shape, execution: Execution) -> int:
        if execution.fused:
            return self.kept_by_trajectory(shape)
        return self.kept_by_definition(shape.batch, shape.time) * self.units

    def kept_by_definition(self, batch: int, time: int) -> int:
        """Elements that the definition keeps for its backward, per hidden unit."""
        return self.kept_by_step * batch * time


class DiagonalMixer(SolvedMixer):
    """x_BTD -> y_BTD; the state is that of the dense cell."""

    settings: DiagonalSettings

    def __init__(self, settings: DiagonalSettings) -> None:
        super().__init__(settings, settings.cell(settings.block))
        self.recurrent = nn.Parameter(torch.empty(settings.rows, settings.block))
        self.init_rules["recurrent"] = orthogonal_blocks(settings.block)

    def bias_rule(self) -> InitRule:
        """As the settings say."""
        return biases_per_gate(self.settings.directions, self.settings.biases)

    def limits(self) -> Limits:
        """As the settings say."""
        return Limits(iterations=self.settings.iterations, damping=self.settings.damping)

    def weights(self, direction: int) -> tuple[Tensor, ...]:
        """U, [G, k, k, N]: of a unit's row in its block, what it has of each unit of the block."""
        block = self.settings.block
        own_Rk = self.recurrent.chunk(self.settings.directions)[direction]
        return (own_Rk.view(self.settings.gates, -1, block, block).permute(0, 2, 3, 1),)

    def step(self, entering_BG: Tensor, state: State, weights: tuple[Tensor, ...]) -> State:
        """The dense cell with U's blocks."""
        h_kBN = state[0].unflatten(-1, (-1, self.settings.block)).movedim(-1, 0)
        recurrent_GkBN = (weights[0][..., None, :] * h_kBN).sum(2)
        recurrent_BG = recurrent_GkBN.permute(2, 0, 3, 1).flatten(1)
        return self.settings.dense.step(entering_BG, recurrent_BG, state)


def orthogonal_blocks(block: int) -> InitRule:
    """Every block a random orthogonal matrix, as the whole matrix of a dense recurrence is."""

    def fill(values_Rk: Tensor, generator: torch.Generator) -> None:
        drawn = torch.randn(len(values_Rk) // block, block, block, generator=generator, dtype=torch.float64)
        basis, scale = torch.linalg.qr(drawn)
        signs = scale.diagonal(dim1=-2, dim2=-1).sign()
        values_Rk.copy_((basis * signs[:, None]).reshape(values_Rk.shape))

    return fill
