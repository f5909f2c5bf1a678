"""Reading a frame: a small network of patches per frame, the same for every mixer; time is the mixers' own.

It is a convolution whose every layer is one matrix product. These products are long and very narrow, which bf16 makes
six times slower on a CPU (as it does PyTorch's own convolutions of this size), so that they stay in float32.
Shape suffixes: N frames, P values of a frame, F filters, H and W rows and columns, D width, L places of a frame, K
values of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import Execution, Product, Shape, Term, flops_of
from crossover.models.initialise import scaled_normal
from crossover.models.mixers.autocast import without_autocast
from crossover.models.ports import Frames

_PATCH = 4
"""Side of the patches that pixels are read in, two pixels apart, so that neighbours overlap by half."""
_MERGED = 2
"""Side of the patches that further layers merge; these do not overlap."""
_FILTERS = (16, 32, 64)
"""Of the first, the second and every further layer."""
_SMALLEST = 4
"""Frames are halved until a side is at most this long."""


@dataclass(frozen=True)
class Stage:
    """One layer: `entering` values of a patch to `filters`, at height x width places."""

    entering: int
    filters: int
    height: int
    width: int

    @property
    def values(self) -> int:
        """Values of a frame that it gives."""
        return self.filters * self.height * self.width


def stages(inputs: Frames) -> list[Stage]:
    """The layers that a frame passes; none for tiny frames."""
    found: list[Stage] = []
    entering, height, width = inputs.colours * _PATCH**2, inputs.height, inputs.width
    while min(height, width) > _SMALLEST:
        height, width = -(-height // 2), -(-width // 2)
        filters = _FILTERS[min(len(found), len(_FILTERS) - 1)]
        found.append(Stage(entering, filters, height, width))
        entering = filters * _MERGED**2
    return found


def flat_values(inputs: Frames) -> int:
    """Values of a frame after these layers: what the last, dense one takes."""
    passed = stages(inputs)
    return passed[-1].values if passed else inputs.channels


class FrameEncoder(nn.Module):
    """Frames [B, T, P], P = height x width x colours in this order, to x_BTD: patches with GELU, then dense."""

    def __init__(self, inputs: Frames, width: int) -> None:
        super().__init__()
        self.shape = (inputs.height, inputs.width, inputs.colours)
        self.stages = stages(inputs)
        self.patches = nn.ModuleList(nn.Linear(stage.entering, stage.filters) for stage in self.stages)
        self.project = nn.Linear(flat_values(inputs), width)
        # GELU halves the spread of what it is given; the gain keeps it level from one layer to the next.
        self.init_rules = {f"patches.{i}.weight": scaled_normal(2**0.5) for i in range(len(self.patches))}

    def forward(self, frames_BTP: Tensor) -> Tensor:
        """Every frame on its own."""
        batch, time = frames_BTP.shape[:2]
        x_NHWF = frames_BTP.reshape(batch * time, *self.shape)
        with without_autocast(frames_BTP.device):
            for layer, (stage, patch) in enumerate(zip(self.stages, self.patches, strict=True)):
                patches_NLK = merged(x_NHWF) if layer else overlapping(x_NHWF)
                x_NHWF = F.gelu(patch(patches_NLK)).reshape(-1, stage.height, stage.width, stage.filters)
        return self.project(x_NHWF.reshape(batch, time, self.project.in_features))


def overlapping(x_NHWF: Tensor) -> Tensor:
    """Patches of 4 x 4 every two pixels [N, L, K], zeros around the frame; a place per two rows and columns."""
    height, width = x_NHWF.shape[1:3]
    padded_NFHW = F.pad(x_NHWF.movedim(-1, 1), (1, 1 + width % 2, 1, 1 + height % 2))
    return F.unfold(padded_NFHW, _PATCH, stride=2).transpose(1, 2)


def merged(x_NHWF: Tensor) -> Tensor:
    """Patches of 2 x 2 side by side [N, L, K]; an odd row or column is met by zeros."""
    height, width, filters = x_NHWF.shape[1:]
    x_NHWF = F.pad(x_NHWF, (0, 0, 0, width % 2, 0, height % 2))
    rows, columns = -(-height // _MERGED), -(-width // _MERGED)
    split = x_NHWF.reshape(-1, rows, _MERGED, columns, _MERGED, filters).transpose(2, 3)
    return split.reshape(-1, rows * columns, _MERGED**2 * filters)


def frames_term(inputs: Frames, width: int, shape: Shape, execution: Execution) -> Term:
    """The cost of reading `shape`'s frames; its name is ``embedding``."""
    frames, passed, flat = shape.batch * shape.time, stages(inputs), flat_values(inputs)
    places = [Product(frames * stage.height * stage.width, stage.entering, stage.filters) for stage in passed]
    products = (*places, Product(frames, flat, width))
    # Each layer's patches and products stay for the backward pass, and what the dense layer takes of the last one.
    kept = width + sum(stage.height * stage.width * stage.entering + stage.values for stage in passed)
    kept += flat if passed else 0
    return Term(
        name="embedding",
        flops_forward=flops_of(products),
        # The first product needs no gradient to the pixels.
        flops_backward=2 * flops_of(products) - products[0].flops,
        parameters=sum((stage.entering + 1) * stage.filters for stage in passed) + (flat + 1) * width,
        activation_bytes=frames * kept * execution.element_bytes,
        scales_with=("batch", "time", "hidden"),
        products=products,
    )
