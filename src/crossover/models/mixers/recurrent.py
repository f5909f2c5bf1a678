"""What every recurrent mixer shares: hidden units over one or two directions, the carried state, ragged rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from crossover.errors import ConfigError
from crossover.models.mixers.base import InitRule, Mixer, MixerSettings, Span, State
from crossover.sharding import Sharding, Split, TensorSharding

Solver = Callable[[Tensor, State, Span], tuple[Tensor, State | None]]
"""From the prepared input [B, T, X] and the state before it to the hidden units [B, T, units] and the state after."""


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings(MixerSettings):
    """Hidden units are split evenly over the directions: forward, and backward where the mixer is not causal."""

    family: ClassVar[str] = "recurrent"
    state_parts: ClassVar[int] = 1
    """Number of tensors [B, hidden] in the state."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"{self.name} has width {self.width}: use at least 1")
        if self.units % self.directions:
            raise ConfigError(
                f"{self.name} with causal=False splits its {self.units} hidden units over two directions: "
                "use an even number"
            )

    @property
    def units(self) -> int:
        """Hidden units of both directions together."""
        return self.width

    @property
    def directions(self) -> int:
        """1 where causal, else 2."""
        return 1 if self.causal else 2

    @property
    def hidden(self) -> int:
        """Hidden units of one direction."""
        return self.units // self.directions

    def sharding(self) -> Sharding:
        """Hidden units split within each gate; rows split in time only where one direction is enough."""
        return Sharding(
            divisible={"hidden": self.hidden},
            tensor=self.tensor_sharding(),
            refusal=self.unless_causal("starts from both ends of a row"),
        )

    def tensor_sharding(self) -> TensorSharding | None:
        """How the hidden units split over ranks; None: not at all."""
        return None

    def stacked(self, dim: int, gates: int = 1) -> Split:
        """A dim on which `gates` blocks of one direction's hidden units are stacked."""
        return Split(dim, (self.hidden,) * gates)

    def state_bytes(self, batch: int, element_bytes: int) -> int:
        """Bytes of the carried state: it does not grow with time. Both directions need whole rows and carry none."""
        return batch * self.hidden * self.state_parts * element_bytes if self.causal else 0


class RecurrentMixer(Mixer, ABC):
    """``finish(solve(prepare(x), state))``, whole rows or chunk by chunk, rows of any length.

    Subclasses give `solve`, the fast solver, and `solve_by_steps`, the definition. What a solver returns after a
    row's end is dropped here, and what x holds there never enters: it is set to zero first.
    """

    settings: RecurrentSettings

    def __init__(self, settings: RecurrentSettings) -> None:
        super().__init__(settings)
        self.state_sizes = (settings.hidden,) * settings.state_parts
        """Units in each tensor of the state: fewer where the module holds a share of them."""

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Zeros [B, hidden]; `capacity` changes nothing, since the state does not grow."""
        if not self.causal:
            raise ConfigError(f"{self.settings.name} with causal=False carries no state: give it whole rows")
        return tuple(torch.zeros(batch, size, device=device, dtype=dtype) for size in self.state_sizes)

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """See `Mixer.forward`; the state after a chunk is [B, hidden] per part, at each row's own end."""
        return self._mix(x_BTD, state, span or Span(), self.solve)

    def definition(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """The same, one readable step after the other."""
        return self._mix(x_BTD, state, span or Span(), self.solve_by_steps)

    def prepare(self, x_BTD: Tensor) -> Tensor:
        """What is computed for all steps at once before the recurrence; the identity by default."""
        return x_BTD

    @abstractmethod
    def solve(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """The recurrence over all steps; an attribute, so that another solver can take its place."""

    @abstractmethod
    def solve_by_steps(self, prepared_BTX: Tensor, state: State, span: Span) -> tuple[Tensor, State | None]:
        """The recurrence by its definition."""

    def finish(self, h_BTH: Tensor) -> Tensor:
        """From hidden units to the output; the identity by default."""
        return h_BTH

    def _mix(self, x_BTD: Tensor, state: State | None, span: Span, solve: Solver) -> tuple[Tensor, State | None]:
        batch, time, _ = x_BTD.shape
        if state is not None and not self.causal:
            raise ConfigError(f"{self.settings.name} with causal=False takes whole rows: leave the state out")
        if state is None:
            state = tuple(x_BTD.new_zeros(batch, size) for size in self.state_sizes)
        if time == 0:
            return x_BTD, state if self.causal else None
        mask_BT = span.mask_BT(time)
        if mask_BT is not None:
            x_BTD = x_BTD.masked_fill(~mask_BT[..., None], 0)
        h_BTH, last = solve(self.prepare(x_BTD), state, span)
        y_BTD = self.finish(h_BTH)
        if mask_BT is not None:
            y_BTD = y_BTD.masked_fill(~mask_BT[..., None], 0)
        return y_BTD, last if self.causal else None


def turn(x_BTX: Tensor, lengths_B: Tensor | None) -> Tensor:
    """Each row's real steps in reverse order, what comes after them in place; its own inverse."""
    if lengths_B is None:
        return x_BTX.flip(1)
    batch, time = x_BTX.shape[:2]
    step_T = torch.arange(time, device=x_BTX.device)
    source_BT = torch.where(step_T < lengths_B[:, None], lengths_B[:, None] - 1 - step_T, step_T)
    row_B1 = torch.arange(batch, device=x_BTX.device)[:, None] * time
    return x_BTX.flatten(0, 1).index_select(0, (row_B1 + source_BT).flatten()).unflatten(0, (batch, time))


def resets_from_behind(resets_BT: Tensor | None) -> Tensor | None:
    """A reset lies between a step and the one before it: read backwards, it comes before that earlier step."""
    if resets_BT is None:
        return None
    return torch.cat([resets_BT[:, 1:], torch.zeros_like(resets_BT[:, :1])], dim=1)


def turn_span(span: Span) -> Span:
    """`span` for rows that went through `turn`."""
    behind_BT = resets_from_behind(span.resets_BT)
    return replace(span, resets_BT=None if behind_BT is None else turn(behind_BT, span.lengths_B))


def biases_per_gate(directions: int, values: tuple[float, ...]) -> InitRule:
    """The same bias for every unit of a gate, in each direction."""

    def fill(bias_G: Tensor, generator: torch.Generator) -> None:
        for gates_G in bias_G.chunk(directions):
            for gate_H, value in zip(gates_G.chunk(len(values)), values, strict=True):
                gate_H.fill_(value)

    return fill
