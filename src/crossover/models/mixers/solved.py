"""What recurrences share that are solved as a whole trajectory: one projection of the input, then cells unit by unit.

Nothing of the state is multiplied by a large matrix, so what enters all gates is one product over all steps, and the
recurrence after it is solved step by step, by a scan, or by Newton's method, whichever the mixer admits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from crossover.costs import Execution, Product, Shape, Term
from crossover.errors import ConfigError
from crossover.models.mixers.base import InitRule, Mixer, Span, State
from crossover.models.mixers.recurrent import RecurrentMixer, RecurrentSettings, turn, turn_span
from crossover.models.mixers.terms import bias_gradient
from crossover.models.mixers.trajectories import solve_trajectory
from crossover.recurrence.cells import Cell
from crossover.recurrence.checks import Solver
from crossover.recurrence.newton import Agreement, Limits, Tally
from crossover.recurrence.sequential import solve
from crossover.recurrence.trajectory import Manner
from crossover.sharding import Sharding

SHORTEST = 16
"""Rows of fewer steps are solved step by step unless another solver is asked for: it could not even start as fast."""
OneWay = Callable[[int, Tensor, State, Span], tuple[Tensor, State | None]]
"""From the number of a direction, what enters its gates, the state before and the span."""


@dataclass(frozen=True, kw_only=True)
class SolvedSettings(RecurrentSettings):
    """`gates` projections of the input per hidden unit; `solver` is one of the mixer's, or ``auto``."""

    gates: ClassVar[int]
    at_once: ClassVar[Solver]
    """The solver that finds all steps at once, beside ``sequential``."""
    usually: ClassVar[Solver]
    """The solver of rows for which none has been measured."""

    solver: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        admissible = ("auto", "sequential", self.at_once)
        if self.solver not in admissible:
            raise ConfigError(f"{self.name} has no solver {self.solver!r}: use one of {', '.join(admissible)}")

    @property
    def solvers(self) -> tuple[Solver, ...]:
        """Those that may be used."""
        return ("sequential", self.at_once) if self.solver == "auto" else (cast(Solver, self.solver),)

    def solver_for(self, time: int, fastest: Solver | None = None) -> Solver:
        """The solver of rows of `time` steps; `fastest` is what was measured, if anything."""
        if self.solver != "auto":
            return cast(Solver, self.solver)
        return "sequential" if time < SHORTEST else fastest or self.usually

    @property
    def rows(self) -> int:
        """Gates of all units of both directions."""
        return self.gates * self.units

    def input_product(self, shape: Shape, execution: Execution) -> Term:
        """The product that gives what enters all gates at all steps."""
        steps = shape.batch * shape.time
        entering = Product(steps, self.width, self.rows)
        kept = steps * self.width * execution.element_bytes
        return Term(
            name="input product",
            flops_forward=entering.flops,
            flops_backward=entering.flops * (2 if execution.input_gradient else 1),
            parameters=self.rows * (self.width + 1),
            activation_bytes=kept,
            whole_bytes=kept,
            scales_with=("batch", "time", "hidden"),
            products=(entering,),
            streamed_backward=bias_gradient(steps, self.rows, execution),
        )

    def kept_by_trajectory(self, shape: Shape) -> int:
        """Elements that a solved trajectory keeps: what enters the gates, the states, and those before them.

        Read backwards, what enters the gates is kept in that order too.
        """
        steps = shape.batch * shape.time
        turned = 0 if self.causal else self.gates * steps * self.hidden
        return (self.gates * steps + self.state_parts * (steps + shape.batch)) * self.units + turned

    def sharding(self) -> Sharding:
        """Solved step by step, ranks that split rows in time wait for one another; else they exchange summaries."""
        travel: Literal["hand-on", "scan"] = "hand-on" if self.solver == "sequential" else "scan"
        return replace(super().sharding(), state=travel)


class SolvedMixer(RecurrentMixer, ABC):
    """x_BTD -> y_BTD; the state is in float32 at least."""

    settings: SolvedSettings

    def __init__(self, settings: SolvedSettings, cell: Cell) -> None:
        super().__init__(settings)
        self.cell = cell
        self.projection = nn.Linear(settings.width, settings.rows)
        self.exchange: Agreement | None = None
        """Set where the rows are a stretch of longer ones, of which other ranks hold the rest."""
        self.fastest: Solver | None = None
        """The solver that was measured to be so; see `crossover.measure.solvers`."""
        self.tally = Tally()
        """What Newton's method did; whoever reads it starts another."""
        self.init_rules = {"projection.bias": self.bias_rule()}

    @abstractmethod
    def bias_rule(self) -> InitRule:
        """Fills the bias of the projection."""

    @abstractmethod
    def step(self, entering_BG: Tensor, state: State, weights: tuple[Tensor, ...]) -> State:
        """The definition: the state after one step of one direction; h is its first part."""

    def weights(self, direction: int) -> tuple[Tensor, ...]:
        """The cell's own weights in a direction, [..., N]; none by default."""
        return ()

    def limits(self) -> Limits:
        """When Newton's method stops."""
        return Limits()

    def prepare(self, x_BTD: Tensor) -> Tensor:
        """All gates of all steps, in float32 at least: in bfloat16 a memory of 1,000 steps would round to forever."""
        projected: Tensor = self.projection(x_BTD)
        return projected.to(torch.promote_types(projected.dtype, torch.float32))

    def solve(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """By the solver of the settings; each direction reads rows its own way."""
        return self._each_way(prepared_BTX, state, span, self._solve_one_way)

    def solve_by_steps(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """The definition, step by step."""
        return self._each_way(prepared_BTX, state, span, self._define_one_way)

    def _each_way(
        self, prepared_BTX: Tensor, state: State, span: Span, one_way: OneWay
    ) -> tuple[Tensor, State | None]:
        state = tuple(part.to(prepared_BTX.dtype) for part in state)
        if self.causal:
            return one_way(0, prepared_BTX, state, span)
        ahead_BTG, back_BTG = prepared_BTX.chunk(2, dim=-1)
        h_BTH, _ = one_way(0, ahead_BTG, state, span)
        zero = tuple(torch.zeros_like(part) for part in state)
        back_BTH, _ = one_way(1, turn(back_BTG, span.lengths_B), zero, turn_span(span))
        return torch.cat([h_BTH, turn(back_BTH, span.lengths_B)], dim=-1), None

    def _define_one_way(
        self, direction: int, entering_BTG: Tensor, state: State, span: Span
    ) -> tuple[Tensor, State | None]:
        own = tuple(weight.to(entering_BTG.dtype) for weight in self.weights(direction))

        def cell(entering_BG: Tensor, before: State) -> tuple[Tensor, State]:
            after = self.step(entering_BG, before, own)
            return after[0], after

        return solve(cell, entering_BTG, state, lengths_B=span.lengths_B, resets_BT=span.resets_BT)

    def _solve_one_way(
        self, direction: int, entering_BTG: Tensor, state: State, span: Span
    ) -> tuple[Tensor, State | None]:
        weights = [weight.to(entering_BTG.dtype) for weight in self.weights(direction)]
        return solve_trajectory(self.cell, entering_BTG, state, weights, span, self._manner(entering_BTG.shape[1]))

    def _manner(self, time: int) -> Manner:
        """As the settings say; for ``auto`` the fastest, and over ranks the solver in which they need not wait."""
        waits = self.settings.solver == "auto" and self.exchange is not None
        solver = self.settings.at_once if waits else self.settings.solver_for(time, self.fastest)
        return Manner(solver=solver, limits=self.limits(), exchange=self.exchange, tally=self.tally)


def use_solvers(mixers: Iterable[Mixer], chosen: Mapping[str, Solver]) -> None:
    """Let mixers that leave it to be chosen solve as `chosen` says, by their names."""
    for mixer in mixers:
        if isinstance(mixer, SolvedMixer):
            mixer.fastest = chosen.get(mixer.settings.name, mixer.fastest)
