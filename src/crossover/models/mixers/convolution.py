"""Gated convolution along time; its state is the last inputs.

A depthwise convolution followed by a pointwise one (Chollet 2017, arXiv 1610.02357) with a gated linear unit (Dauphin
et al. 2017, "Language Modeling with Gated Convolutional Networks", arXiv 1612.08083, equation 1). J: taps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import Cost, Execution, Shape, Streamed, Term
from crossover.errors import ConfigError
from crossover.models.mixers.base import Mixer, MixerSettings, Span, State
from crossover.models.mixers.spans import hide, last_steps, no_state, real_resets, refuse_state, segments
from crossover.models.mixers.terms import cost_of, projection
from crossover.sharding import Sharding, Split, TensorSharding


@dataclass(frozen=True, kw_only=True)
class ConvolutionSettings(MixerSettings):
    """Each channel over its last `kernel` inputs, the step's own included; centred on the step if not causal."""

    name: ClassVar[str] = "convolution"
    family: ClassVar[str] = "other"
    formula: ClassVar[str] = "c_t = sum_j w_j x_{t-j} + b, y_t = (V c_t + v) * sigmoid(U c_t + u)"
    cost_law: ClassVar[str] = "O(T d^2 + T k d) work, 1 serial step, a state of (k - 1) d"
    source: ClassVar[str] = "Dauphin et al. 2017, arXiv 1612.08083"

    kernel: int = 4

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"{self.name} has width {self.width}: use at least 1")
        if self.kernel < 1:
            raise ConfigError(f"{self.name}: kernel={self.kernel} must be at least 1, the step itself")

    @property
    def before(self) -> int:
        """Number of inputs that a step sees before its own."""
        return self.kernel - 1 if self.causal else self.kernel // 2

    @property
    def after(self) -> int:
        """Number of inputs that a step sees after its own."""
        return self.kernel - 1 - self.before

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """The taps of every channel, and the two halves, value and gate, of the pointwise matrix."""
        return {
            "depthwise.weight": (self.width, 1, self.kernel),
            "depthwise.bias": (self.width,),
            "pointwise.weight": (2 * self.width, self.width),
            "pointwise.bias": (2 * self.width,),
        }

    def sharding(self) -> Sharding:
        """Channels split over `tensor`; the last inputs are handed on over `sequence`."""
        channels, last = Split(0, (self.width,)), Split(-1, (self.width,))
        tensor = TensorSharding(
            parameters={"depthwise.weight": channels, "depthwise.bias": channels, "pointwise.weight": last},
            takes=last,
            summed=("pointwise",),
            state=(last,),
        )
        refusal = self.unless_causal("looks both ways")
        return Sharding(divisible={"width": self.width}, tensor=tensor, state="hand-on", refusal=refusal)

    def cost(self, shape: Shape, execution: Execution) -> Cost:
        """Depthwise taps, pointwise matrix and gate."""
        tokens, elements = shape.batch * shape.time, execution.element_bytes
        taps = 2 * tokens * self.width * self.kernel
        around = shape.batch * (shape.time + self.kernel - 1)
        windows = around if execution.fused else tokens * self.kernel
        depthwise = Term(
            name="depthwise",
            flops_forward=taps,
            flops_backward=taps * (2 if execution.input_gradient else 1),
            parameters=self.width * (self.kernel + 1),
            activation_bytes=windows * self.width * elements,
            state_bytes=shape.batch * (self.kernel - 1) * self.width * elements if self.causal else 0,
            serial_steps=1,
            scales_with=("batch", "time", "hidden"),
            streamed_forward=Streamed(4, 10 * tokens * self.width * elements),
            streamed_backward=Streamed(3, 8 * tokens * self.width * elements),
        )
        pointwise = projection("pointwise", shape, execution, self.width, 2 * self.width, bias=True, split="depth")
        gate = Term(
            name="gate",
            activation_bytes=2 * tokens * self.width * elements,
            scales_with=("batch", "time", "hidden"),
            streamed_forward=Streamed(1, 3 * tokens * self.width * elements),
            streamed_backward=Streamed(1, 5 * tokens * self.width * elements),
        )
        return cost_of([depthwise, pointwise, gate], shape, execution, width=self.width)

    def build(self) -> Convolution:
        """The module."""
        return Convolution(self)


ConvolutionSolve = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x_BSD with the steps around the chunk, weight_D1J, bias_D) -> c_BTD."""


def fused_taps(x_BSD: Tensor, weight_D1J: Tensor, bias_D: Tensor) -> Tensor:
    """PyTorch's depthwise convolution."""
    return F.conv1d(x_BSD.transpose(1, 2), weight_D1J, bias_D, groups=weight_D1J.shape[0]).transpose(1, 2)


def explicit_taps(x_BSD: Tensor, weight_D1J: Tensor, bias_D: Tensor) -> Tensor:
    """Every step's window of inputs times the taps."""
    return window_taps(x_BSD.unfold(1, weight_D1J.shape[2], 1), weight_D1J, bias_D)


def window_taps(windows_BTDJ: Tensor, weight_D1J: Tensor, bias_D: Tensor) -> Tensor:
    """c_t = sum_j w_j x_{t-j} + b from the inputs that each step sees."""
    windows_DRJ = windows_BTDJ.permute(2, 0, 1, 3).flatten(1, 2)
    c_DR = (windows_DRJ @ weight_D1J.transpose(1, 2))[..., 0]
    return c_DR.T.unflatten(0, windows_BTDJ.shape[:2]) + bias_D


class Convolution(Mixer):
    """x_BTD -> y_BTD by a gated convolution.

    State: the last ``kernel - 1`` inputs [B, kernel - 1, D], zero where there were none, the latest last.
    """

    settings: ConvolutionSettings
    solve: ConvolutionSolve

    def __init__(self, settings: ConvolutionSettings) -> None:
        super().__init__(settings)
        self.depthwise = nn.Conv1d(settings.width, settings.width, settings.kernel, groups=settings.width)
        self.pointwise = nn.Linear(settings.width, 2 * settings.width)
        self.solve = fused_taps

    def initial_state(
        self,
        batch: int,
        *,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Zeros; `capacity` changes nothing, since the state does not grow."""
        if not self.causal:
            raise no_state(self.settings)
        weight = self.depthwise.weight
        shape = (batch, self.settings.before, weight.shape[0])
        return (torch.zeros(shape, device=device or weight.device, dtype=dtype or weight.dtype),)

    def forward(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """See `Mixer.forward`; chunks with resets take the definition's windows."""
        return self._mix(x_BTD, state, span or Span(), self.solve)

    def definition(
        self, x_BTD: Tensor, state: State | None = None, span: Span | None = None
    ) -> tuple[Tensor, State | None]:
        """The same with every step's window written out."""
        return self._mix(x_BTD, state, span or Span(), explicit_taps)

    def _mix(
        self, x_BTD: Tensor, state: State | None, span: Span, solve: ConvolutionSolve
    ) -> tuple[Tensor, State | None]:
        if not self.causal:
            refuse_state(self.settings, state)
        mask_BT = span.mask_BT(x_BTD.shape[1])
        resets_BT = real_resets(span, x_BTD.shape[1])
        x_BSD = self.prepare(hide(x_BTD, mask_BT), state)
        if resets_BT is None:
            c_BTD = solve(x_BSD, self.depthwise.weight, self.depthwise.get_parameter("bias"))
        else:
            c_BTD = self._taps_within_segments(x_BSD, resets_BT)
        after = self._carry(x_BSD, resets_BT, span) if self.causal and span.carry else None
        return self.finish(c_BTD, mask_BT), after

    def prepare(self, x_BTD: Tensor, state: State | None) -> Tensor:
        """The chunk with the inputs around it: those in the state, or zeros."""
        before, after = self.settings.before, self.settings.after
        if state is None:
            return F.pad(x_BTD, (0, 0, before, after))
        return torch.cat([state[0].to(x_BTD.dtype), x_BTD], dim=1)

    def finish(self, c_BTD: Tensor, mask_BT: Tensor | None) -> Tensor:
        """The gated pointwise part; zero after a row's end."""
        return hide(F.glu(self.pointwise(c_BTD), dim=-1), mask_BT)

    def _taps_within_segments(self, x_BSD: Tensor, resets_BT: Tensor) -> Tensor:
        segment_BT = segments(resets_BT, x_BSD)
        segment_BS = self._around(segment_BT)
        windows_BTDJ = x_BSD.unfold(1, self.settings.kernel, 1)
        same_BTJ = segment_BS.unfold(1, self.settings.kernel, 1) == segment_BT[..., None]
        windows_BTDJ = windows_BTDJ.masked_fill(~same_BTJ[:, :, None], 0.0)
        return window_taps(windows_BTDJ, self.depthwise.weight, self.depthwise.get_parameter("bias"))

    def _around(self, segment_BT: Tensor) -> Tensor:
        """Segments with the steps around the chunk: those before it belong to the first, those after it are zero."""
        return F.pad(segment_BT, (self.settings.before, self.settings.after))

    def _carry(self, x_BSD: Tensor, resets_BT: Tensor | None, span: Span) -> State:
        latest_BWD = last_steps(x_BSD, span.lengths_B, self.settings.before, 1)
        if resets_BT is None:
            return (latest_BWD,)
        segment_BT = segments(resets_BT, x_BSD)
        segment_BW = last_steps(self._around(segment_BT), span.lengths_B, self.settings.before, 1)
        return (hide(latest_BWD, segment_BW == segment_BT[:, -1:]),)
