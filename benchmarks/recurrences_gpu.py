"""Recurrences on a GPU: the diagonal scan beside a copy, Newton's method beside cuDNN, packages where they install.

    pip install pararnn-torch flash-linear-attention  # as far as they install
    python benchmarks/recurrences_gpu.py [--rehearse]

Verified first, on the device: the scan and Newton's method against their definitions, in outputs and in the gradient
of the input, and fla's scan against ours; what is off by more than 1e-4 of its norm gets no time. PyTorch's dense
layers and pararnn's cells have weights of their own (`recurrences.py` compares ParaGRU with ours). The scan is timed
forward, a layer of width 256 forward and backward, in turn; below the lengths stands where the two cross.
`--rehearse` goes through all of it on the CPU over short rows, and keeps nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from table import keep
from torch import Tensor, nn

from crossover.measure.clock import Timing, timings_in_turn
from crossover.models.initialise import initialise
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Mixer, Span
from crossover.recurrence import scan
from crossover.study.crossing import find_crossings

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
    """The scan and Newton's method on the device against their definitions, outputs and gradients, in float32."""
    a, b = drawn(device, 2, 500, WIDTH), drawn(device, 2, 500, WIDTH) - 0.5
    found = {"scan": farthest(partial(scan, a), partial(steps_of, a), b)}
    for name in CELLS:
        mixer = layer(name, device)
        found[name] = farthest(partial(solved, mixer), lambda x_BTD, mixer=mixer: mixer.definition(x_BTD)[0], b)
    if max(found.values()) > TOLERANCE:
        raise SystemExit(f"outputs or gradients differ from the definitions by {found}: no time is taken")
    told = ", ".join(f"{name} {value:.0e}" for name, value in found.items())
    return f"Outputs and gradients against the definitions: {told}."


def solved(mixer: Mixer, x_BTD: Tensor) -> Tensor:
    """The mixer's outputs, by its own solver."""
    return mixer(x_BTD, None, Span(carry=False))[0]


def farthest(call: Callable[[Tensor], Tensor], definition: Callable[[Tensor], Tensor], x_BTD: Tensor) -> float:
    """How far apart two functions are at `x_BTD`, in outputs or in the gradient."""
    x_BTD = x_BTD.detach().requires_grad_()
    outputs = [function(x_BTD) for function in (call, definition)]
    gradients = [torch.autograd.grad(y_BTD.square().sum(), x_BTD)[0] for y_BTD in outputs]
    return max(apart(*outputs), apart(*gradients))


def steps_of(a_BTD: Tensor, b_BTD: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t, one step after the other."""
    h_BD, steps = torch.zeros_like(b_BTD[:, 0]), []
    for t in range(a_BTD.shape[1]):
        h_BD = a_BTD[:, t] * h_BD + b_BTD[:, t]
        steps.append(h_BD)
    return torch.stack(steps, dim=1)


def layer(name: str, device: str) -> Mixer:
    """One of our mixers, solved by Newton's method, with its initial weights."""
    mixer = MIXERS.get(name)(width=WIDTH, solver="newton").build()
    initialise(mixer, 0)
    return mixer.to(device)


def step_of(module: nn.Module, call: Callable[[Tensor], Tensor], x_BTD: Tensor) -> Step:
    """Forward and backward, for the input and every parameter."""
    sources = [x_BTD, *module.parameters()]
    return lambda: torch.autograd.grad(call(x_BTD).sum(), sources, allow_unused=True)


def timed(steps: Mapping[str, Step], device: str) -> dict[str, Timing]:
    """The seconds of each, in turn."""
    return timings_in_turn(steps, rounds=ROUNDS, device=device, time_limit=SECONDS)


def scans(shapes: Sequence[tuple[int, int]], device: str) -> list[str]:
    """The bytes a second of the scan's three passes beside those of a copy's two, and of a package's scan."""
    lines = ["", f"| rows | steps | scan | copy | share (asked {BAR}) | fla |", "|---|---|---|---|---|---|"]
    for rows, time in shapes:
        a, b = drawn(device, rows, time, WIDTH), drawn(device, rows, time, WIDTH)
        out, moved = torch.empty_like(b), 4.0 * b.numel()
        peers = scan_of_fla(a, b)
        seconds = timed({"scan": partial(scan, a, b), "copy": partial(out.copy_, b), **peers}, device)
        ours, copied = 3 * moved / seconds["scan"].median, 2 * moved / seconds["copy"].median
        theirs = (
            f"{3 * moved / seconds['fla'].median / 1e9:,.0f} GB/s" if peers else "not installed, or other outputs"
        )
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
            taken: dict[str, dict[float, Sequence[float]]] = {"newton": {}, "kernel": {}}
            for time in lengths:
                try:
                    seconds = timed(contenders(name, kernel, rows, time, device), device)
                except torch.OutOfMemoryError:
                    lines.append(f"| {name} | {rows} | {time} | out of memory | | | |")
                    break
                for way, found in taken.items():
                    found[time] = seconds[way].seconds
                newton, stock = (1e3 * seconds[way].median for way in taken)
                theirs = f"{1e3 * seconds['pararnn'].median:.2f}" if "pararnn" in seconds else ""
                lines.append(
                    f"| {name} | {rows} | {time} | {newton:.2f} | {stock:.2f} | {stock / newton:.2f} | {theirs} |"
                )
            lines.append(f"| {name} | {rows} | {crossed(**taken)} | | | | |")
    return lines


def contenders(name: str, kernel: type[nn.RNNBase], rows: int, time: int, device: str) -> dict[str, Step]:
    """The steps that are timed against one another."""
    x_BTD = (drawn(device, rows, time, WIDTH) - 0.5).requires_grad_()
    mixer, stock = layer(name, device), kernel(WIDTH, WIDTH, batch_first=True).to(device)
    found = {
        "newton": step_of(mixer, partial(solved, mixer), x_BTD),
        "kernel": step_of(stock, lambda x: stock(x)[0], x_BTD),
    }
    try:
        from pararnn import ParaGRU, ParaLSTM, ParaRNN
    except ImportError:
        return found
    theirs = ParaRNN((ParaGRU if name == "diagonal-gru" else ParaLSTM)(WIDTH, WIDTH)).train().to(device)
    return {**found, "pararnn": step_of(theirs, theirs, x_BTD)}


def crossed(newton: Mapping[float, Sequence[float]], kernel: Mapping[float, Sequence[float]]) -> str:
    """Where the two cross, with the interval, as `crossover scale` finds it."""
    if len(newton) < 2:
        return "too few lengths to cross"
    places = [found.at for found in find_crossings(newton, kernel) if found.at is not None]
    told = ", ".join(f"{at.value:,.0f} ({at.low:,.0f} to {at.high:,.0f})" for at in places)
    return f"they cross at {told}" if told else "they do not cross"


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
