"""Reading a frame: a small convolution per frame, the same for every mixer; time is the mixers' own.

Shape suffixes: B rows, T frames, P values of a frame, F filters, H and W rows and columns of pixels, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import Execution, Shape, Term
from crossover.models.initialise import scaled_normal
from crossover.models.ports import Frames

KERNEL = 3
FILTERS = (16, 32, 64)
"""Of the first, the second and every further convolution."""
_SMALLEST = 4
"""Frames are halved until a side is at most this long."""


@dataclass(frozen=True)
class Stage:
    """One convolution: 3 x 3, stride 2, padding 1."""

    entering: int
    filters: int
    height: int
    width: int

    @property
    def weights(self) -> int:
        """Entries of its weight."""
        return self.filters * self.entering * KERNEL * KERNEL


def stages(inputs: Frames) -> list[Stage]:
    """The convolutions that a frame passes; `height` and `width` are of what each gives. None for tiny frames."""
    found: list[Stage] = []
    entering, height, width = inputs.colours, inputs.height, inputs.width
    while min(height, width) > _SMALLEST:
        height, width = -(-height // 2), -(-width // 2)
        filters = FILTERS[min(len(found), len(FILTERS) - 1)]
        found.append(Stage(entering, filters, height, width))
        entering = filters
    return found


def flat_values(inputs: Frames) -> int:
    """Values of a frame after its convolutions: what the last, dense layer takes."""
    passed = stages(inputs)
    return prod((passed[-1].filters, passed[-1].height, passed[-1].width)) if passed else inputs.channels


class FrameEncoder(nn.Module):
    """Frames [B, T, P], P = height x width x colours in this order, to x_BTD: convolutions with GELU, then dense."""

    def __init__(self, inputs: Frames, width: int) -> None:
        super().__init__()
        self.shape = (inputs.height, inputs.width, inputs.colours)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(stage.entering, stage.filters, KERNEL, stride=2, padding=1) for stage in stages(inputs)
        )
        self.project = nn.Linear(flat_values(inputs), width)
        # GELU halves the spread of what it is given; the gain keeps it level from one convolution to the next.
        self.init_rules = {f"convolutions.{i}.weight": scaled_normal(2**0.5) for i in range(len(self.convolutions))}

    def forward(self, frames_BTP: Tensor) -> Tensor:
        """Every frame on its own."""
        batch, time = frames_BTP.shape[:2]
        x_NFHW = frames_BTP.reshape(batch * time, *self.shape).movedim(-1, 1)
        for convolution in self.convolutions:
            x_NFHW = F.gelu(convolution(x_NFHW))
        return self.project(x_NFHW.reshape(batch, time, -1))


def frames_term(inputs: Frames, width: int, shape: Shape, execution: Execution) -> Term:
    """The cost of reading `shape`'s frames; its name is ``embedding``."""
    frames, passed, flat = shape.batch * shape.time, stages(inputs), flat_values(inputs)
    dense = 2 * frames * flat * width
    products = [2 * frames * stage.weights * stage.height * stage.width for stage in passed]
    # The first product that the pixels enter needs no gradient to them.
    backward = 2 * sum(products) + 2 * dense - (products[0] if passed else dense)
    # Each convolution's output stays for GELU, and GELU's for the next product.
    kept = width + 2 * sum(stage.filters * stage.height * stage.width for stage in passed)
    return Term(
        name="embedding",
        flops_forward=sum(products) + dense,
        flops_backward=backward,
        parameters=sum(stage.weights + stage.filters for stage in passed) + (flat + 1) * width,
        activation_bytes=frames * kept * execution.element_bytes,
        scales_with=("batch", "time", "hidden"),
    )
