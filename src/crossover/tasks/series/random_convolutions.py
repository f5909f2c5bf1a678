"""Random convolutions: features of a series from many random dilated kernels, for a linear classifier.

After Dempster, Petitjean and Webb 2020, "ROCKET: exceptionally fast and accurate time series classification using
random convolutional kernels": two numbers per kernel, the share of positive outputs and the largest output.
Shape suffixes: N series, T steps, C channels, K kernels, L length of a kernel.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

LENGTHS = (7, 9, 11)
_CHUNK_ROWS = 256


@dataclass(frozen=True)
class Kernels:
    """Kernels of one length, dilation and padding: weights [K, C, L] and biases [K]."""

    weights_KCL: torch.Tensor
    biases_K: torch.Tensor
    dilation: int
    padding: int

    def features(self, series_NCT: torch.Tensor) -> torch.Tensor:
        """Share of positive outputs and largest output [N, 2 K] of each series."""
        outputs_NKT = F.conv1d(
            series_NCT, self.weights_KCL, self.biases_K, dilation=self.dilation, padding=self.padding
        )
        return torch.cat([(outputs_NKT > 0).float().mean(2), outputs_NKT.amax(2)], dim=1)


def draw_kernels(steps: int, channels: int, *, count: int, seed: int) -> list[Kernels]:
    """`count` kernels for series [T, C], drawn as in the paper, grouped by what one convolution can share.

    A kernel has a length of 7, 9 or 11 (shorter ones for shorter series), centred normal weights on a random subset
    of the channels, a bias from U(-1, 1), a dilation on a logarithmic scale up to the series' length, and padding
    with probability 1/2.
    """
    generator = np.random.default_rng(seed)
    lengths = [length for length in LENGTHS if length <= steps] or [steps]
    groups: dict[tuple[int, int, int], list[tuple[np.ndarray, float]]] = defaultdict(list)
    for _ in range(count):
        length = int(generator.choice(lengths))
        weights_CL = np.zeros((channels, length), dtype=np.float32)
        most = math.log2(min(channels, length) + 1)
        chosen = generator.choice(channels, size=int(2 ** generator.uniform(0, most)), replace=False)
        drawn_CL = generator.standard_normal((len(chosen), length))
        weights_CL[chosen] = drawn_CL - drawn_CL.mean(axis=1, keepdims=True)
        bias = generator.uniform(-1, 1)
        dilation = int(2 ** generator.uniform(0, math.log2(max((steps - 1) / max(length - 1, 1), 1))))
        padding = (length - 1) * dilation // 2 if generator.integers(2) else 0
        groups[length, dilation, padding].append((weights_CL, bias))
    return [
        Kernels(
            torch.from_numpy(np.stack([weights for weights, _ in drawn])),
            torch.tensor([bias for _, bias in drawn], dtype=torch.float32),
            dilation,
            padding,
        )
        for (_, dilation, padding), drawn in sorted(groups.items())
    ]


def convolution_features(series_NTC: np.ndarray, kernels: list[Kernels]) -> np.ndarray:
    """Features [N, 2 x kernels], float32, of series of one length."""
    series_NCT = torch.from_numpy(np.ascontiguousarray(series_NTC.swapaxes(1, 2), dtype=np.float32))
    with torch.inference_mode():
        chunks = [
            torch.cat([group.features(chunk_NCT) for group in kernels], dim=1)
            for chunk_NCT in series_NCT.split(_CHUNK_ROWS)
        ]
    return torch.cat(chunks).numpy()


def resample(rows: list[np.ndarray], steps: int) -> np.ndarray:
    """Series [T_i, C] of unequal lengths to one array [N, steps, C], linearly interpolated."""
    resampled_NTC = np.empty((len(rows), steps, rows[0].shape[1]), dtype=np.float32)
    for n, row_TC in enumerate(rows):
        if len(row_TC) == steps:
            resampled_NTC[n] = row_TC
            continue
        position_T = np.linspace(0, len(row_TC) - 1, steps)
        before_T = np.floor(position_T).astype(int)
        after_T = np.minimum(before_T + 1, len(row_TC) - 1)
        share_T1 = (position_T - before_T)[:, None]
        resampled_NTC[n] = row_TC[before_T] * (1 - share_T1) + row_TC[after_T] * share_T1
    return resampled_NTC
