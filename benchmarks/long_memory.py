"""Peak memory of training over rows of 65,536 steps, whole and with chunks in time computed again.

    python benchmarks/long_memory.py

Four blocks of width 256, batch 1, without embedding and output layer. Every figure is how far a new process grows in
memory over two training steps. The gradients of both ways are compared first, in float32, over the same rows.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from rank_memory import peak, workload
from table import keep
from torch import Tensor

from crossover.measure.clock import seconds_of
from crossover.models.mixers.base import Span
from crossover.models.model import SequenceModel, build_model
from crossover.parallel.recompute import recompute_chunks

BATCH, TIME, CHUNKS = 1, 65_536, 32
MODELS = ("mingru", "minlstm", "linear-attention", "diagonal-gru", "diagonal-lstm")
BAR, CLOSE = 2e9, 1e-4


def backward(model: SequenceModel, x_BTC: Tensor) -> None:
    """Gradients of every output's square."""
    model.zero_grad()
    model(x_BTC, span=Span(carry=False))[0].square().mean().backward()


def compared(name: str) -> tuple[float, float]:
    """The farthest that a gradient is from that of whole rows, by its norm, and the seconds of chunks over those."""
    asked = workload(name, BATCH, TIME)
    model = build_model(asked.model, asked.inputs, asked.outputs, causal=True, seed=0)
    again = deepcopy(model)
    recompute_chunks(again, CHUNKS)
    x_BTC = torch.randn(BATCH, TIME, 1, generator=torch.Generator().manual_seed(0))
    seconds = [seconds_of(lambda each=each: backward(each, x_BTC)) for each in (model, again)]  # type: ignore[misc]
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    whole = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    apart = [
        (found.grad - own.grad).norm() / max(own.grad.norm(), 1e-3 * whole)
        for own, found in pairs
        if own.grad is not None and found.grad is not None
    ]
    return float(max(apart)), seconds[1] / seconds[0]


def main() -> None:
    """Compare, measure, print and keep the table."""
    lines = [
        f"| model | gradients apart | time of {CHUNKS} chunks over whole rows | whole rows, MB | chunks, MB | bar |",
        "|---|---|---|---|---|---|",
    ]
    for name in MODELS:
        apart, slower = compared(name)
        if not apart <= CLOSE:
            raise SystemExit(f"{name}: gradients are {apart:.1e} apart, allowed {CLOSE:.0e}")
        layouts = ("single", f"recompute=chunks,chunks={CHUNKS}")
        whole, chunks = (peak(name, layout, BATCH, TIME, repeats=1) for layout in layouts)
        cells = [name, f"{apart:.0e}", f"{slower:.2f}", f"{whole / 1e6:.0f}", f"{chunks / 1e6:.0f}"]
        lines.append("| " + " | ".join([*cells, "met" if chunks <= BAR else "not met"]) + " |")
        print(lines[-1], flush=True)
    keep("long_memory", f"Memory of training over {TIME:,} steps", lines)


if __name__ == "__main__":
    main()
