"""The mixer: the only part of a model in which the families differ.

Every mixer is the same function, ``y_1..y_T, s_T = mixer(x_1..x_T, s_0)``, with the state explicit.
Shape suffixes: B batch, T time, D width, H heads, K size of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Shape
from crossover.errors import ConfigError
from crossover.sharding import Sharding

State = tuple[Tensor, ...]
"""A mixer's state: tensors whose first dim is the batch."""

InitRule = Callable[[Tensor, torch.Generator], Any]
"""Fills a parameter in place from a generator; see `crossover.models.initialise`."""


@dataclass(frozen=True)
class Span:
    """Which part of each row is real, and where it stands.

    `lengths_B` is the valid prefix of each row in this chunk (0 is allowed); outputs after it are zero, and the
    state stays what it was at its end. `resets_BT`, boolean, marks steps before which the state starts anew from
    zero. `offset` is the absolute position of the first step: one for all rows, or a tensor [B].
    `carry=False` says that nobody will read the state after this chunk, so a mixer may return None for it.
    """

    lengths_B: Tensor | None = None
    resets_BT: Tensor | None = None
    offset: int | Tensor = 0
    carry: bool = True

    def mask_BT(self, time: int) -> Tensor | None:
        """True where a step is real; None when every step is."""
        if self.lengths_B is None:
            return None
        return torch.arange(time, device=self.lengths_B.device) < self.lengths_B[:, None]

    def cut(self, start: int, steps: int) -> Span:
        """The span of `steps` steps from `start` on, as a chunk of their own."""
        lengths_B = None if self.lengths_B is None else (self.lengths_B - start).clamp(0, steps)
        resets_BT = None if self.resets_BT is None else self.resets_BT[:, start : start + steps]
        return Span(lengths_B, resets_BT, self.offset + start, self.carry)


@dataclass(frozen=True, kw_only=True)
class MixerSettings:
    """What a mixer is, without its weights: counted by the planner, built by `build`.

    `width` is D. `causal=False` lets a step see the whole row (a bidirectional recurrence splits its hidden units
    over the two directions). Subclasses set the class variables: `family` is recurrent, attention or other;
    `state_grows` says that the state holds every step, so that it cannot be carried through a text without end.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    formula: ClassVar[str]
    cost_law: ClassVar[str]
    source: ClassVar[str]
    solvers_told: ClassVar[str] = "all steps at once, exact, on any device"
    """How its steps are found, on which devices, and how exactly."""
    state_grows: ClassVar[bool] = False

    width: int
    causal: bool = True

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, exactly as `build()` creates them."""
        raise ConfigError(
            f"mixer {self.name!r} does not count its parameters: define {type(self).__name__}.parameters"
        )

    def sharding(self) -> Sharding:
        """How the parameters split over `tensor`, and how the state travels over `sequence`."""
        raise ConfigError(f"mixer {self.name!r} has no sharding: define {type(self).__name__}.sharding")

    def unless_causal(self, why: str) -> str:
        """The refusal to split rows in time for a mixer that sees all of them; "" where it is causal."""
        return "" if self.causal else f"{self.name} with causal=False {why}, so a row cannot be split in time"

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Named terms of the work, for `shape`."""
        raise ConfigError(f"mixer {self.name!r} has no cost: define {type(self).__name__}.cost")

    def build(self) -> Mixer:
        """The module, on one device, with weights not yet initialised."""
        raise ConfigError(f"mixer {self.name!r} cannot be built: define {type(self).__name__}.build")

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        total = 0
        for shape in self.parameters().values():
            size = 1
            for dim in shape:
                size *= dim
            total += size
        return total


class Mixer(nn.Module):
    """Mixes information along time: x_BTD -> y_BTD, with the state carried.

    A mixer computes ``finish(solve(prepare(x), state))``. `solve` is an attribute, so that another solver, or a
    parallel one, can take its place; `definition` computes the same from readable, unfused steps and is what every
    fast path is tested against. `init_rules` maps a parameter's name (relative to the mixer) to the rule that
    fills it; a parameter without a rule takes the default of `crossover.models.initialise`.
    """

    settings: MixerSettings
    causal: bool
    init_rules: dict[str, InitRule]

    def __init__(self, settings: MixerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.causal = settings.causal
        self.init_rules = {}

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """The state before the first step; `capacity` pre-allocates a cache that grows (keys and values)."""
        raise ConfigError(f"mixer {self.settings.name!r} has no state: define {type(self).__name__}.initial_state")

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """Mix x_BTD along time from `state` (None: the initial state); returns y_BTD and the state after it.

        A mixer that is not causal takes whole rows only: a state is a ConfigError, and None is returned for it.
        """
        raise ConfigError(f"mixer {self.settings.name!r} computes nothing: define {type(self).__name__}.forward")

    def definition(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """The same function in readable steps; mixers whose `forward` is already that keep this default."""
        return self.forward(x_BTD, state, span)
