"""Recurrences on a GPU: the diagonal scan beside a copy, Newton's method beside cuDNN, packages where they install.

    pip install pararnn-torch flash-linear-attention  # as far as they install
    python benchmarks/recurrences_gpu.py [--rehearse]

Everything is verified first: what is off by more than 1e-4 of its norm gets no time. Forward and backward of one
layer of width 256 are timed in turn; below the lengths stands where the two cross. `--rehearse` goes through all of
it on the CPU over short rows, and keeps nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import exp, log

import torch
from table import keep
from torch import Tensor, nn

from crossover.measure.clock import timings_in_turn
from crossover.models.initialise import initialise
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Span
from crossover.recurrence import scan

WIDTH, ROUNDS, SECONDS = 256, 9, 20.0
BATCHES, LENGTHS = (1, 8, 64), (128, 512, 2048, 8192, 32768, 65536)
SCANNED = ((8, 4096), (8, 65536), (64, 16384))
"""Rows and steps of the scan that stands beside a copy."""
BAR = 0.8
"""What is asked of the scan, as a share of the copy's bytes a second."""
TOLERANCE = 1e-4
CELLS = {"diagonal-gru": nn.GRU, "diagonal-lstm": nn.LSTM}
REHEARSED = (1, 2), (128, 256), ((2, 256),)

Step = Callable[[], object]


def apart(found: Tensor, expected: Tensor) -> float:
    """How far two tensors differ, relative to the norm of the second."""
    return float((found - expected).norm() / expected.norm())


def drawn(device: str, *shape: int) -> Tensor:
    """Uniform numbers, the same on every device."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)


def verified(device: str) -> str:
    """The scan and Newton's method on the device against their definitions, in float32."""
    a, b = drawn(device, 2, 500, WIDTH), drawn(device, 2, 500, WIDTH) - 0.5
    h, steps = torch.zeros_like(b[:, 0]), []
    for t in range(a.shape[1]):
        h = a[:, t] * h + b[:, t]
        steps.append(h)
    found = {"scan": apart(scan(a, b), torch.stack(steps, dim=1))}
    for name in CELLS:
        mixer = layer(name, device)
        with torch.no_grad():
            found[name] = apart(mixer(b, None, Span(carry=False))[0], mixer.definition(b)[0])
    if max(found.values()) > TOLERANCE:
        raise SystemExit(f"outputs differ from the definitions by {found}: no time is taken")
    return (
        "Outputs against the definitions: " + ", ".join(f"{name} {value:.0e}" for name, value in found.items()) + "."
    )


def layer(name: str, device: str) -> nn.Module:
    """One of our mixers, solved by Newton's method, with its initial weights."""
    mixer = MIXERS.get(name)(width=WIDTH, solver="newton").build()
    initialise(mixer, 0)
    return mixer.to(device)


def step_of(module: nn.Module, call: Callable[[Tensor], Tensor], x_BTD: Tensor) -> Step:
    """Forward and backward, for the input and every parameter."""
    sources = [x_BTD, *module.parameters()]
    return lambda: torch.autograd.grad(call(x_BTD).sum(), sources, allow_unused=True)


def timed(steps: Mapping[str, Step], device: str) -> dict[str, float]:
    """The median seconds of each, in turn."""
    taken = timings_in_turn(steps, rounds=ROUNDS, device=device, time_limit=SECONDS)
    return {name: timing.median for name, timing in taken.items()}


def scans(shapes: Sequence[tuple[int, int]], device: str) -> list[str]:
    """The bytes a second of the scan's three passes beside those of a copy's two, and of a package's scan."""
    lines = ["", f"| rows | steps | scan | copy | share (asked {BAR}) | fla |", "|---|---|---|---|---|---|"]
    for rows, time in shapes:
        a, b = drawn(device, rows, time, WIDTH), drawn(device, rows, time, WIDTH)
        out, moved = torch.empty_like(b), 4.0 * b.numel()
        peers = scan_of_fla(a, b)
        seconds = timed({"scan": partial(scan, a, b), "copy": partial(out.copy_, b), **peers}, device)
        ours, copied = 3 * moved / seconds["scan"], 2 * moved / seconds["copy"]
        theirs = f"{3 * moved / seconds['fla'] / 1e9:,.0f} GB/s" if peers else "not installed, or other outputs"
        told = (f"{rate / 1e9:,.0f} GB/s" for rate in (ours, copied))
        lines.append(f"| {rows} | {time} | {' | '.join(told)} | {ours / copied:.2f} | {theirs} |")
    return lines


def scan_of_fla(a: Tensor, b: Tensor) -> dict[str, Step]:
    """The scan of flash-linear-attention's HGRN, where it installs and finds what ours finds."""
    try:
        from fla.ops.hgrn import chunk_hgrn
    except ImportError:
        return {}
    logarithm = a.log()

    def run() -> Tensor:
        h: Tensor = chunk_hgrn(b, logarithm)[0]
        return h

    return {"fla": run} if apart(run(), scan(a, b)) <= TOLERANCE else {}


def cells(batches: Sequence[int], lengths: Sequence[int], device: str) -> list[str]:
    """Seconds by Newton's method and by PyTorch's kernel, over the length, and where they cross."""
    head = "| cell | rows | steps | Newton ms | PyTorch's kernel ms | times as fast | pararnn ms |"
    lines = ["", head, "|---|---|---|---|---|---|---|"]
    for name, kernel in CELLS.items():
        for rows in batches:
            ratios: dict[int, float] = {}
            for time in lengths:
                try:
                    seconds = timed(contenders(name, kernel, rows, time, device), device)
                except torch.OutOfMemoryError:
                    lines.append(f"| {name} | {rows} | {time} | out of memory | | | |")
                    break
                ratios[time] = seconds["kernel"] / seconds["newton"]
                theirs = f"{1e3 * seconds['pararnn']:.2f}" if "pararnn" in seconds else ""
                lines.append(
                    f"| {name} | {rows} | {time} | {1e3 * seconds['newton']:.2f} | {1e3 * seconds['kernel']:.2f} | "
                    f"{ratios[time]:.2f} | {theirs} |"
                )
            lines.append(f"| {name} | {rows} | {crossed(ratios)} | | | | |")
    return lines


def contenders(name: str, kernel: type[nn.RNNBase], rows: int, time: int, device: str) -> dict[str, Step]:
    """The steps that are timed against one another."""
    x_BTD = (drawn(device, rows, time, WIDTH) - 0.5).requires_grad_()
    mixer, stock = layer(name, device), kernel(WIDTH, WIDTH, batch_first=True).to(device)
    found = {
        "newton": step_of(mixer, lambda x: mixer(x, None, Span(carry=False))[0], x_BTD),
        "kernel": step_of(stock, lambda x: stock(x)[0], x_BTD),
    }
    try:
        from pararnn import ParaGRU, ParaLSTM, ParaRNN
    except ImportError:
        return found
    theirs = ParaRNN((ParaGRU if name == "diagonal-gru" else ParaLSTM)(WIDTH, WIDTH)).train().to(device)
    return {**found, "pararnn": step_of(theirs, theirs, x_BTD)}


def crossed(ratios: Mapping[int, float]) -> str:
    """Where the ratio passes 1 for the first time, between two lengths on logarithmic scales."""
    lengths = list(ratios)
    for before, after in pairwise(lengths):
        if ratios[before] < 1 <= ratios[after]:
            share = -log(ratios[before]) / (log(ratios[after]) - log(ratios[before]))
            return f"they cross at {exp(log(before) + share * log(after / before)):,.0f}"
    return "Newton throughout" if ratios and min(ratios.values()) >= 1 else "the kernel throughout"


def main() -> None:
    """Verify, measure, print and keep the tables."""
    rehearsed = "--rehearse" in sys.argv[1:]
    if not rehearsed and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here: run this where torch.cuda.is_available(), or give --rehearse")
    device = "cpu" if rehearsed else "cuda"
    batches, lengths, scanned = REHEARSED if rehearsed else (BATCHES, LENGTHS, SCANNED)
    lines = [verified(device), *scans(scanned, device), *cells(batches, lengths, device)]
    if rehearsed:
        print("\n".join(lines))
    else:
        keep("recurrences_gpu", "Recurrences on a GPU", lines, card=torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
