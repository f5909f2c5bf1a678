"""Losses that are still where they were computed: reading one waits for the device, so some are read at a time."""

from __future__ import annotations

import torch
from torch import Tensor

_DEVICE_STRIDE = 10
"""Steps between two looks at the losses on an accelerator; on a CPU nothing is waited for."""


class UnreadLosses:
    """This rank's shares of the losses of the last steps, with the step and its learning rate."""

    def __init__(self, device: torch.device) -> None:
        self._every = 1 if device.type == "cpu" else _DEVICE_STRIDE
        self._kept: list[tuple[int, float, Tensor]] = []

    def add(self, step: int, rate: float, loss: Tensor) -> None:
        """One more."""
        self._kept.append((step, rate, loss))

    def due(self) -> list[float]:
        """All of them once there are enough to be looked at; until then none."""
        return self.all() if len(self._kept) >= self._every else []

    def all(self) -> list[float]:
        """All of them, in the order of the steps; waits for the device."""
        return torch.stack([loss for _, _, loss in self._kept]).tolist() if self._kept else []

    def settle(self, losses: list[float]) -> list[tuple[int, float, float]]:
        """`losses`, those of all ranks for what `all` gave, with their steps and rates; nothing is unread then."""
        found = [(step, rate, loss) for (step, rate, _), loss in zip(self._kept, losses, strict=True)]
        self._kept.clear()
        return found
