"""The product rate of this machine: what a utilisation is a share of where no hardware file gives a peak."""

from __future__ import annotations

from functools import cache, partial

import torch

from crossover.measure.clock import seconds_of
from crossover.measure.numerics import Numerics

_SIZES = {"cpu": (512, 1024, 1536), "cuda": (4096, 8192), "mps": (2048, 4096)}
_REPEATS = 5


def product_rate(numerics: Numerics) -> float:
    """FLOP/s of the fastest of a few square matrix products under this policy, which must be in force."""
    return _measured(numerics.device, numerics.precision, numerics.matmul, numerics.threads)


@cache
def _measured(device: str, precision: str, matmul: str, threads: int) -> float:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    best = 0.0
    for size in _SIZES[torch.device(device).type]:
        left = torch.randn(size, size, device=device).to(dtype)
        right = torch.randn(size, size, device=device).to(dtype)
        out = torch.empty(size, size, device=device, dtype=dtype)
        torch.mm(left, right, out=out)
        product = partial(torch.mm, left, right, out=out)
        seconds = min(seconds_of(product, device) for _ in range(_REPEATS))
        best = max(best, 2 * size**3 / seconds)
    return best
