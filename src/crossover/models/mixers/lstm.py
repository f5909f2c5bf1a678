"""Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossover.costs import Shape
from crossover.models.mixers.base import State
from crossover.models.mixers.dense import DenseMixer, DenseSettings, gate_bias
from crossover.recurrence.gated import LSTMCell


@dataclass(frozen=True, kw_only=True)
class LSTMSettings(DenseSettings):
    """`forget_bias` is the forget gate's bias at the start: 1 keeps the cell open (Jozefowicz et al. 2015)."""

    name: ClassVar[str] = "lstm"
    gates: ClassVar[int] = 4
    cell = LSTMCell
    state_parts: ClassVar[int] = 2
    formula: ClassVar[str] = (
        "i, f, o = sigmoid(W x_t + U h_{t-1} + b); g = tanh(…); c_t = f c_{t-1} + i g; h_t = o tanh(c_t)"
    )
    cost_law: ClassVar[str] = "8h(i+h) FLOPs a step and row, T steps in sequence, state 2h"
    source: ClassVar[str] = "Hochreiter and Schmidhuber 1997, Long short-term memory; Gers et al. 2000"

    forget_bias: float = 1.0

    def build(self) -> LSTMMixer:
        """The module."""
        return LSTMMixer(self)

    def kept_per_unit(self, shape: Shape, *, fused: bool) -> float:
        """By steps: four gates, tanh(c), and c and h before the step.

        Fused: the output and oneDNN's workspace, in which the widest leading dims are padded; about 15 elements.
        """
        steps = shape.batch * shape.time
        if not fused:
            return 7 * steps
        cell, gates = _leading(self.hidden), _leading(4 * self.hidden)
        return steps * (1 + (self._states + cell + gates) / self.hidden) + self.unwritten_per_unit(shape)

    def unwritten_per_unit(self, shape: Shape) -> float:
        """The gradients of states and gates; the forward pass writes the states, the cell and the gates."""
        return shape.batch * shape.time * (5 * self._states + 4 * self.hidden) / self.hidden

    @property
    def _states(self) -> int:
        return _leading(max(self.width, self.hidden))


class LSTMMixer(DenseMixer):
    """x_BTD -> y_BTD; state (h [B, hidden], c [B, hidden])."""

    settings: LSTMSettings
    module = nn.LSTM

    def __init__(self, settings: LSTMSettings) -> None:
        super().__init__(settings)
        self.add_rules({"bias_ih_l0": gate_bias(4, 1, settings.forget_bias)})

    @staticmethod
    def step(entering_BG: Tensor, recurrent_BG: Tensor, state: State) -> State:
        """Gates in PyTorch's order i, f, g, o."""
        i_BH, f_BH, g_BH, o_BH = (entering_BG + recurrent_BG).chunk(4, dim=-1)
        c_BH = torch.sigmoid(f_BH) * state[1] + torch.sigmoid(i_BH) * torch.tanh(g_BH)
        return torch.sigmoid(o_BH) * torch.tanh(c_BH), c_BH


def _leading(size: int) -> int:
    """oneDNN's leading dim for `size` float32 elements: whole cache lines, and no multiple of 1 KiB."""
    padded = -(-size // 16) * 16
    return padded + 16 if padded % 256 == 0 else padded
