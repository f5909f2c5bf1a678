"""How alike two pictures look: structural similarity (SSIM).

Wang, Bovik, Sheikh and Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity":
a Gaussian window of 11 x 11 with deviation 1.5, K1 = 0.01, K2 = 0.03, and the mean over all places where the window
lies inside the picture. Shape suffixes: N pictures, H and W rows and columns.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 11
_DEVIATION = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(ours_NHW: Tensor, theirs_NHW: Tensor) -> Tensor:
    """SSIM [N] of pictures with values from 0 to 1; smaller ones than the window get a smaller, odd window."""
    height, width = ours_NHW.shape[-2:]
    size = min(WINDOW, height - 1 + height % 2, width - 1 + width % 2)
    at = torch.arange(size, dtype=torch.float64, device=ours_NHW.device) - size // 2
    weights = torch.exp(-at.square() / (2 * _DEVIATION**2))
    weights = weights / weights.sum()

    def blur(x_NHW: Tensor) -> Tensor:
        rows = F.conv2d(x_NHW[:, None], weights.reshape(1, 1, size, 1))
        return F.conv2d(rows, weights.reshape(1, 1, 1, size))[:, 0]

    ours, theirs = ours_NHW.double(), theirs_NHW.double()
    mean_a, mean_b = blur(ours), blur(theirs)
    variance_a, variance_b = blur(ours.square()) - mean_a**2, blur(theirs.square()) - mean_b**2
    covariance = blur(ours * theirs) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return (luminance * structure).mean((1, 2))
