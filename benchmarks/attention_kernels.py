"""Where the fused attention kernel and the written-out one cross in training on this machine.

    python benchmarks/attention_kernels.py

Outputs and gradients of both are compared before a time counts; the two are timed in turn, forward and backward.
Prints a Markdown table of medians and keeps it in benchmarks/results.
"""

from __future__ import annotations

import time
from statistics import median

import torch
import torch.nn.functional as F
from table import keep

from crossover.measure import allocator
from crossover.models.mixers.attend import explicit_attention

SHAPES = ((64, 19), (32, 64), (32, 128), (16, 256), (8, 512), (4, 1024), (4, 2048))
ROUNDS = 15
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


def gradients(kernel: str, qkv: list[torch.Tensor], upstream: torch.Tensor) -> list[torch.Tensor]:
    """Output and gradients of one forward and backward."""
    if kernel == "fused":
        y = F.scaled_dot_product_attention(*qkv, is_causal=True)
    else:
        y = explicit_attention(*qkv, None, causal=True)
    return [y.detach(), *torch.autograd.grad(y, qkv, upstream)]


def compare(batch: int, steps: int, size: int, dtype: torch.dtype, heads: int = 4) -> str:
    """One row of the table."""
    torch.manual_seed(0)
    drawn = [torch.randn(batch, steps, heads, size).to(dtype) for _ in range(4)]
    qkv = [x.transpose(1, 2).detach().requires_grad_() for x in drawn[:3]]
    upstream = drawn[3].transpose(1, 2)
    fused, explicit = (
        torch.cat([x.float().flatten() for x in gradients(k, qkv, upstream)]) for k in ("fused", "out")
    )
    error = float((fused - explicit).norm() / fused.norm())
    if error > TOLERANCE[dtype]:
        raise SystemExit(f"the kernels differ by {error:.1e} at T={steps}, {dtype}: no time is taken")
    taken: dict[str, list[float]] = {"fused": [], "out": []}
    for round_index in range(ROUNDS):
        for kernel, seconds in taken.items():
            started = time.perf_counter()
            gradients(kernel, qkv, upstream)
            if round_index >= 3:
                seconds.append(time.perf_counter() - started)
    ratios = sorted(a / b for a, b in zip(taken["fused"], taken["out"], strict=True))
    milliseconds = [median(seconds) * 1e3 for seconds in taken.values()]
    name = str(dtype).removeprefix("torch.")
    return (
        f"| {name} | {batch} | {steps} | {size} | {milliseconds[0]:.1f} | {milliseconds[1]:.1f} "
        f"| {median(ratios):.2f} | {error:.0e} |"
    )


def main() -> None:
    """Print and keep the table."""
    allocator.apply("retain")
    lines = [
        "| dtype | batch | T | head size | fused ms | written out ms | fused / written out | error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for dtype in (torch.float32, torch.bfloat16):
        for batch, steps in SHAPES:
            lines += [compare(batch, steps, size, dtype) for size in (16, 64)]
    keep("attention_kernels", "Attention kernels", lines)


if __name__ == "__main__":
    main()
