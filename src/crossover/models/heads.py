"""Heads: from the last x_BTD to a task's outputs, per row or per step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossover.errors import ConfigError
from crossover.models.ports import Outputs, PerRow


class StepHead(nn.Module):
    """x_BTD -> [B, T, size]."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, size)

    def forward(self, x_BTD: Tensor, lengths_B: Tensor | None) -> Tensor:
        """Every step on its own."""
        return self.project(x_BTD)


class RowHead(nn.Module):
    """x_BTD -> [B, size] from the mean, the maximum or the last of a row's real steps, or from all of them."""

    def __init__(self, width: int, outputs: PerRow) -> None:
        super().__init__()
        self.pool = outputs.pool
        self.steps = outputs.steps
        if outputs.pool == "flatten" and outputs.steps is None:
            raise ConfigError("pool='flatten' needs the number of steps of every row: set PerRow.steps")
        self.project = nn.Linear(row_features(width, outputs), outputs.size)

    def forward(self, x_BTD: Tensor, lengths_B: Tensor | None) -> Tensor:
        """Pool over real steps, then project; a row without steps pools to zero."""
        return self.project(self._pool(x_BTD, lengths_B))

    def _pool(self, x_BTD: Tensor, lengths_B: Tensor | None) -> Tensor:
        time = x_BTD.shape[1]
        if self.pool == "flatten":
            if time != self.steps:
                raise ConfigError(f"the model takes rows of exactly {self.steps} steps, and was given {time}")
            return x_BTD.flatten(1)
        if lengths_B is None:
            if self.pool == "last":
                return x_BTD[:, -1]
            return x_BTD.mean(1) if self.pool == "mean" else x_BTD.amax(1)
        if self.pool == "last":
            last_B = (lengths_B - 1).clamp(min=0)
            picked_BD = x_BTD.gather(1, last_B[:, None, None].expand(-1, 1, x_BTD.shape[2])).squeeze(1)
            return picked_BD * (lengths_B > 0)[:, None].to(picked_BD.dtype)
        real_BT1 = (torch.arange(time, device=x_BTD.device) < lengths_B[:, None])[..., None]
        if self.pool == "mean":
            return (x_BTD * real_BT1).sum(1) / lengths_B.clamp(min=1)[:, None].to(x_BTD.dtype)
        highest_BD = x_BTD.masked_fill(~real_BT1, torch.finfo(x_BTD.dtype).min).amax(1)
        return highest_BD * (lengths_B > 0)[:, None].to(highest_BD.dtype)


def row_features(width: int, outputs: PerRow) -> int:
    """Input width of a row head's projection."""
    return width * (outputs.steps or 1) if outputs.pool == "flatten" else width


def make_head(width: int, outputs: Outputs) -> nn.Module:
    """The head for a task's outputs."""
    return RowHead(width, outputs) if isinstance(outputs, PerRow) else StepHead(width, outputs.size)
