"""What the numerics policy is measured on: one training step of a Transformer block and of an LSTM layer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, nn

Result = list[tuple[Tensor, list[Tensor]]]
"""Loss and gradients of each part."""


class Probe:
    """Two parts, each a layer with a small head: a Transformer block and an LSTM layer.

    Small, but its products have the shapes of real layers: 8 x 128 tokens, width 256, feed-forward 1,024. Built the
    same every time, without touching the process's random state.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            block = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, activation="gelu", batch_first=True)
            self.layers = [block.to(device), nn.LSTM(256, 256, batch_first=True).to(device)]
            self.heads = [nn.Linear(256, 512).to(device) for _ in self.layers]
            self.x_BTD = torch.randn(8, 128, 256).to(device)
            self.target_N = torch.randint(512, (8 * 128,)).to(device)

    def step(self, autocast: Callable[[], AbstractContextManager[Any]]) -> Result:
        """Forward and backward of both parts under `autocast`."""
        results = []
        for layer, head in zip(self.layers, self.heads, strict=True):
            with autocast():
                y = layer(self.x_BTD)
                logits_BTV = head(y[0] if isinstance(y, tuple) else y)
            loss = nn.functional.cross_entropy(logits_BTV.float().flatten(0, 1), self.target_N)
            gradients = torch.autograd.grad(loss, [*layer.parameters(), *head.parameters()])
            results.append((loss.detach(), list(gradients)))
        return results

    def wait(self) -> None:
        """Return when the device has finished."""
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()


def computable(autocast: Callable[[], AbstractContextManager[Any]], device: str) -> bool:
    """Whether every kernel of the probe exists here: PyTorch's LSTM has none for bf16 on a CPU without AVX-512."""
    layer, x_BTD = nn.LSTM(8, 8, batch_first=True).to(device), torch.zeros(1, 2, 8, device=device)
    try:
        with autocast():
            layer(x_BTD)[0].float().sum().backward()
    except RuntimeError:
        return False
    return True


def errors_against(reference: Result, result: Result) -> tuple[float, float]:
    """Relative errors of the loss and of the gradient (by norm), the larger of the two parts.

    Infinite where a value is not finite.
    """
    losses, gradients = [], []
    for (loss_r, gradients_r), (loss, gradients_c) in zip(reference, result, strict=True):
        whole_r, whole = (
            torch.cat([g.flatten() for g in part]).cpu().double() for part in (gradients_r, gradients_c)
        )
        losses.append(abs(float((loss - loss_r) / loss_r)))
        gradients.append(float((whole - whole_r).norm() / whole_r.norm()))
    finite = all(isfinite(error) for error in (*losses, *gradients))
    return (max(losses), max(gradients)) if finite else (inf, inf)
