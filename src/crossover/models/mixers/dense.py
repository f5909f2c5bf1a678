"""Dense recurrences (elman, lstm, gru): each step multiplies the whole hidden state by a matrix.

The fast path is PyTorch's fused kernel (oneDNN or ATen on a CPU, cuDNN on a GPU), the definition a readable cell.
The kernels know neither rows of different lengths nor resets. Zero padding after a row's end does no harm to the
outputs before it, so only two things need work: a state that is asked for at different ends, or a reset, cuts the
call at those steps; and the backward direction reads each row from the row's own end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Product, Shape, Term
from crossover.errors import ConfigError
from crossover.models.mixers.base import InitRule, Span, State
from crossover.models.mixers.recurrent import RecurrentMixer, RecurrentSettings, turn, turn_span
from crossover.models.mixers.trajectories import solve_trajectory
from crossover.recurrence.gated import GatedCell
from crossover.recurrence.newton import Tally
from crossover.recurrence.sequential import Cell, solve
from crossover.recurrence.trajectory import Manner
from crossover.sharding import Owned, Split, TensorSharding

DIRECTIONS = ("rnn", "reverse_rnn")
"""The modules of a mixer, by the way in which they read rows: forward, and backward."""
_MOST_NUMBERS = 32
"""Of a state that Newton's method solves with a dense Jacobian."""
OneWay = Callable[[nn.RNNBase, Tensor, State, Span], tuple[Tensor, State | None]]


@dataclass(frozen=True, kw_only=True)
class DenseSettings(RecurrentSettings, ABC):
    """`gates` is the number of gate blocks stacked in each weight matrix.

    `solver` is PyTorch's kernel, step by step, unless ``newton`` is asked for, which has a whole matrix for each
    step's Jacobian and is there to be measured: it needs so few hidden units that nobody would choose it.
    """

    gates: ClassVar[int]
    cell: ClassVar[type[GatedCell]]
    solvers_told: ClassVar[str] = (
        "sequential, in PyTorch's kernel of the device, exact; newton on request, for at most 32 numbers of state, "
        "to a tolerance"
    )

    solver: Literal["auto", "sequential", "newton"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver not in ("auto", "sequential", "newton"):
            raise ConfigError(f"{self.name} has no solver {self.solver!r}: use auto, sequential or newton")
        numbers = self.hidden * self.state_parts
        if self.solver == "newton" and numbers > _MOST_NUMBERS:
            raise ConfigError(
                f"{self.name} with solver=newton has a dense Jacobian of {numbers} x {numbers} at every step: at "
                f"most {_MOST_NUMBERS} are admissible, so use a smaller width, or solver=sequential"
            )

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """PyTorch's names and layout: the gates stacked on the first dim, two biases."""
        rows = self.gates * self.hidden
        shapes = {
            "weight_ih_l0": (rows, self.width),
            "weight_hh_l0": (rows, self.hidden),
            "bias_ih_l0": (rows,),
            "bias_hh_l0": (rows,),
        }
        names = DIRECTIONS[: self.directions]
        return {f"{direction}.{name}": shape for direction in names for name, shape in shapes.items()}

    def tensor_sharding(self) -> TensorSharding:
        """Units of every gate; h is put together at every step, what else the state holds stays where it is.

        Two ranks of a mixer that reads both ways take a direction each, and put together what they found once.
        """
        rows = self.stacked(0, self.gates)
        own = (self.stacked(1),) * (self.state_parts - 1)
        return TensorSharding(
            parameters=dict.fromkeys(self.parameters(), rows),
            state=(None, *own),
            stepwise=True,
            on_two=None if self.causal else self._a_direction_each(),
        )

    def _a_direction_each(self) -> TensorSharding:
        owned = {
            name: Owned(0, shape[:1], owner=DIRECTIONS.index(name.partition(".")[0]))
            for name, shape in self.parameters().items()
        }
        return TensorSharding(
            parameters=owned,
            joined=Split(-1, (self.units,)),
            state=(None,) * self.state_parts,
            by_direction=True,
        )

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Two products per gate: of the input, batched over time, and of the state, one step after the other.

        The first step's product has no gradient to a state that takes none.
        """
        steps, hidden, directions = shape.batch * shape.time, self.hidden, self.directions
        scales = ("batch", "time", "hidden")
        entering = Product(steps, self.width, self.gates * hidden, count=directions)
        recurrent = Product(shape.batch, hidden, self.gates * hidden, count=directions, serial=shape.time)
        unneeded = 0 if execution.state_gradient and self.causal else recurrent.flops // max(shape.time, 1)
        kept_input, kept_hidden = self.kept_elements(shape, fused=execution.fused)
        unwritten = self.unwritten_per_unit(shape) if execution.fused else 0.0
        return Cost.of(
            Term(
                name="input product",
                flops_forward=entering.flops,
                flops_backward=entering.flops * (2 if execution.input_gradient else 1),
                parameters=self.gates * hidden * (self.width + 2) * directions,
                activation_bytes=kept_input * directions * execution.element_bytes,
                whole_bytes=kept_input * directions * execution.element_bytes,
                scales_with=scales,
                products=(entering,),
            ),
            Term(
                name="recurrent product",
                flops_forward=recurrent.flops,
                flops_backward=2 * recurrent.flops - unneeded,
                parameters=self.gates * hidden * hidden * directions,
                activation_bytes=kept_hidden * directions * execution.element_bytes,
                unwritten_bytes=unwritten * self.hidden * directions * execution.element_bytes,
                state_bytes=self.state_bytes(shape.batch, execution.element_bytes),
                serial_steps=shape.time,
                scales_with=scales,
                products=(recurrent,),
            ),
        )

    def kept_elements(self, shape: Shape, *, fused: bool) -> tuple[float, float]:
        """Elements that one direction keeps for its backward: of the input, and of gates and states.

        By steps exactly; in the fused kernel as PyTorch 2.13 does on a CPU in float32.
        """
        steps = shape.batch * shape.time
        return steps * self.width, self.kept_per_unit(shape, fused=fused) * self.hidden

    @abstractmethod
    def kept_per_unit(self, shape: Shape, *, fused: bool) -> float:
        """Elements kept per hidden unit of one direction, over all rows and steps."""

    def unwritten_per_unit(self, shape: Shape) -> float:
        """Those of them that the fused kernel sets aside for its way back."""
        return 0.0


class DenseMixer(RecurrentMixer):
    """One layer of PyTorch's recurrent module per direction."""

    settings: DenseSettings
    module: ClassVar[type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]]

    def __init__(self, settings: DenseSettings) -> None:
        super().__init__(settings)
        self.rnn = self.module(settings.width, settings.hidden, batch_first=True)
        self.tally = Tally()
        """What Newton's method did, where it is asked for; whoever reads it starts another."""
        if not settings.causal:
            self.reverse_rnn = self.module(settings.width, settings.hidden, batch_first=True)
        self.add_rules({"weight_hh_l0": orthogonal_per_gate(settings.gates)})

    def add_rules(self, rules: dict[str, InitRule]) -> None:
        """Initial weights, the same in each direction."""
        for direction, _ in self.named_children():
            self.init_rules |= {f"{direction}.{name}": rule for name, rule in rules.items()}

    @staticmethod
    @abstractmethod
    def step(entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """The state after one step, unit by unit, from the products W x + b and U h + c; h is its first part."""

    def cell(self, rnn: nn.RNNBase) -> Cell:
        """One step of the definition; its input is the product W x + b, taken for all steps at once."""
        recurrent = product(rnn, "hh")

        def cell(entering_BG: Tensor, state: State) -> tuple[Tensor, State]:
            state = self.step(entering_BG, recurrent(state[0]), state)
            return state[0], state

        return cell

    def solve(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """PyTorch's fused kernel, which holds the input product too, so that `prepare` is the identity."""
        one_way = self._solve_by_newton if self.settings.solver == "newton" else solve_in_pieces
        return self.each_way(prepared_BTX, state, span, one_way)

    def solve_by_steps(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """The cell, step by step."""

        def one_way(rnn: nn.RNNBase, x_BTD: Tensor, state: State, span: Span) -> tuple[Tensor, State]:
            entering_BTG = product(rnn, "ih")(x_BTD)
            return solve(self.cell(rnn), entering_BTG, state, lengths_B=span.lengths_B, resets_BT=span.resets_BT)

        return self.each_way(prepared_BTX, state, span, one_way)

    def _solve_by_newton(
        self, rnn: nn.RNNBase, x_BTD: Tensor, state: State, span: Span
    ) -> tuple[Tensor, State | None]:
        """All steps at once: one system of all hidden units."""
        gates, cell = self.settings.gates, self.settings.cell(self.settings.hidden)
        entering_BTG, bias_Gk = product(rnn, "ih")(x_BTD), rnn.get_parameter("bias_hh_l0").view(gates, -1)
        added = gates - cell.apart
        entering_BTG = entering_BTG + F.pad(bias_Gk[:added].flatten(), (0, bias_Gk[added:].numel()))
        u_GkkN = rnn.get_parameter("weight_hh_l0").view(gates, cell.units, cell.units, 1)
        weights = [u_GkkN, bias_Gk[added:, :, None]] if cell.apart else [u_GkkN]
        h_BTH, last = solve_trajectory(
            cell, entering_BTG, state, weights, span, Manner(solver="newton", tally=self.tally)
        )
        return h_BTH, last

    def each_way(self, x_BTD: Tensor, state: State, span: Span, one_way: OneWay) -> tuple[Tensor, State | None]:
        """What `one_way` makes of each direction's weights and of the rows read that way, side by side."""
        if self.causal:
            return one_way(self.rnn, x_BTD, state, span)
        each = [self.in_direction(number, x_BTD, state, span, one_way) for number in range(self.settings.directions)]
        return torch.cat(each, dim=-1), None

    def in_direction(self, number: int, x_BTD: Tensor, state: State, span: Span, one_way: OneWay) -> Tensor:
        """What `one_way` makes of whole rows read forward (0) or backward (1), in the order of the rows."""
        span = replace(span, carry=False)
        if number == 0:
            return one_way(self.rnn, x_BTD, state, span)[0]
        state = tuple(torch.zeros_like(part) for part in state)
        back_BTH, _ = one_way(self.reverse_rnn, turn(x_BTD, span.lengths_B), state, turn_span(span))
        return turn(back_BTH, span.lengths_B)


def solve_in_pieces(rnn: nn.RNNBase, x_BTD: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
    """The fused kernel, cut at resets and at the rows' ends; in one piece where nobody asks for either.

    Without `span.carry` the state after rows of different lengths is None.
    """
    lengths_B, resets_BT, time = span.lengths_B, span.resets_BT, x_BTD.shape[1]
    ends = lengths_B if span.carry else None
    final, outputs = state, []
    for start, stop in pairwise(_cuts(time, ends, resets_BT)):
        if resets_BT is not None:
            state = tuple(part.masked_fill(resets_BT[:, start, None], 0) for part in state)
        output_BTH, state = _fused(rnn, x_BTD[:, start:stop], state)
        outputs.append(output_BTH)
        if ends is not None:
            ended_B1 = (ends == stop)[:, None]
            final = tuple(torch.where(ended_B1, new, old) for new, old in zip(state, final, strict=True))
    last = state if lengths_B is None else final if span.carry else None
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), last


def _cuts(time: int, ends_B: Tensor | None, resets_BT: Tensor | None) -> list[int]:
    cuts = {0, time}
    if ends_B is not None:
        cuts.update(ends_B.clamp(0, time).tolist())
    if resets_BT is not None:
        cuts.update(resets_BT.any(dim=0).nonzero().flatten().tolist())
    return sorted(cuts)


def _fused(rnn: nn.RNNBase, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
    layered = tuple(part[None].contiguous() for part in state)
    y_BTH, last = rnn(x_BTD, layered if len(layered) > 1 else layered[0])
    return y_BTH, tuple(part[0] for part in (last if isinstance(last, tuple) else (last,)))


def product(rnn: nn.RNNBase, side: Literal["ih", "hh"]) -> Callable[[Tensor], Tensor]:
    """The affine map of the input (``ih``) or of the state (``hh``) to all gates."""
    weight, bias = rnn.get_parameter(f"weight_{side}_l0"), rnn.get_parameter(f"bias_{side}_l0")
    return lambda x: nn.functional.linear(x, weight, bias)


def orthogonal_per_gate(gates: int, gain: float = 1.0) -> InitRule:
    """Each gate's recurrent block a random orthogonal matrix times `gain` (Saxe et al. 2013, arXiv 1312.6120)."""

    def fill(values: Tensor, generator: torch.Generator) -> None:
        for block in values.chunk(gates):
            nn.init.orthogonal_(block, gain, generator=generator)

    return fill


def gate_bias(gates: int, gate: int, value: float) -> InitRule:
    """Zeros, but for the bias of one of the stacked gates."""

    def fill(bias_G: Tensor, generator: torch.Generator) -> None:
        bias_G.zero_()
        bias_G.view(gates, -1)[gate] = value

    return fill
