"""Recurrences solved in our ways against PyTorch's kernels and published packages, forward and backward on a CPU.

    pip install minGRU-pytorch pararnn-torch
    python benchmarks/recurrences.py

Batch 8, width 256. Each contender has a process of its own, all with matmul precision "medium" and the same
allocator; they are timed in turn after their outputs were compared with the definition, and with one another where
they are the same function (`diagonal-gru` and ParaGRU). Beside the seconds stand those of the products of our mixer
alone, below which no way to solve its recurrence can come, how many times as fast that would be, and what the
processes grew by.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from statistics import median

import torch
from in_turn import ALLOCATOR, Child, measured_in_turn, serve
from table import keep
from torch import Tensor, nn

from crossover.measure.clock import seconds_of
from crossover.measure.solvers import solver_seconds
from crossover.measure.statistics import fit_exponent, median_interval
from crossover.models.initialise import initialise
from crossover.models.mixers import MIXERS
from crossover.models.mixers.base import Mixer, Span
from crossover.recurrence import scan

BATCH, WIDTH, ROUNDS = 8, 256, 7
LENGTHS = (512, 4096)
GROWTH = (1024, 4096, 16384, 65536)
OURS = ("mingru", "diagonal-gru", "diagonal-lstm")
GROUPS = {
    "blocked scan": ("scan", ("associative-scan",)),
    "mingru": ("mingru", ("nn.LSTM", "minGRU-pytorch")),
    "diagonal-gru": ("diagonal-gru", ("ParaGRU", "nn.GRU")),
    "diagonal-lstm": ("diagonal-lstm", ("ParaLSTM", "nn.LSTM")),
}
BARS = {
    ("scan", "associative-scan"): 5,
    ("mingru", "nn.LSTM"): 4,
    ("mingru", "minGRU-pytorch"): 5,
    ("diagonal-gru", "ParaGRU"): 6,
    ("diagonal-lstm", "ParaLSTM"): 6,
}
"""What is asked at T = 4,096: so many times as fast."""
PRODUCTS = "products of "
"""Before a mixer's name: its projection alone."""
HEADINGS = (
    "",
    "T",
    "ours",
    "other",
    "times as fast (95 %)",
    "asked",
    "products of ours alone",
    "which would be",
    "MB, ours and other",
)


def ours(name: str) -> Mixer:
    """One of our mixers with its initial weights."""
    mixer = MIXERS.get(name)(width=WIDTH).build()
    initialise(mixer, 0)
    return mixer


def forward_of(name: str, time: int) -> tuple[Callable[[Tensor], Tensor], list[nn.Parameter]]:
    """From [B, T, D] to outputs, and the parameters whose gradients are taken."""
    if name in OURS:
        mixer = ours(name)
        if name != "mingru":
            found = solver_seconds(mixer.settings, batch=BATCH, time=time)
            mixer.fastest = min(found, key=found.__getitem__)
        return lambda x: mixer(x, None, Span(carry=False))[0], list(mixer.parameters())
    if name.startswith(PRODUCTS):
        projection = ours(name.removeprefix(PRODUCTS)).projection
        return projection, list(projection.parameters())
    if name in ("nn.LSTM", "nn.GRU"):
        layer = (nn.LSTM if name == "nn.LSTM" else nn.GRU)(WIDTH, WIDTH, batch_first=True)
        return lambda x: layer(x)[0], list(layer.parameters())
    if name == "minGRU-pytorch":
        from minGRU_pytorch import minGRU

        layer = minGRU(WIDTH)
        return layer, list(layer.parameters())
    from pararnn import ParaGRU, ParaLSTM, ParaRNN

    layer = ParaRNN((ParaGRU if name == "ParaGRU" else ParaLSTM)(WIDTH, WIDTH)).train()
    return layer, list(layer.parameters())


def scans(name: str, time: int) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """h_t = a_t h_{t-1} + b_t from drawn a in (0, 1) and b, by our scan or PyTorch's generic one."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(BATCH, time, WIDTH, generator=generator).requires_grad_() for _ in range(2))
    if name == "scan":
        return lambda: scan(a, b), [a, b]
    from torch._higher_order_ops.associative_scan import associative_scan

    def together(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return left[0] * right[0], right[0] * left[1] + right[1]

    return lambda: associative_scan(together, (a, b), dim=1, combine_mode="generic")[1], [a, b]


def measure_of(name: str, time: int) -> Callable[[], tuple[float, float]]:
    """In the child: seconds of a forward and a backward pass, and the bytes that the process has grown by."""
    torch.set_float32_matmul_precision("medium")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if name in ("scan", "associative-scan"):
        call, sources = scans(name, time)
    else:
        forward, parameters = forward_of(name, time)
        x_BTD = torch.randn(BATCH, time, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()
        call, sources = (lambda: forward(x_BTD)), [x_BTD, *parameters]

    def step() -> None:
        torch.autograd.grad(call().sum(), sources, allow_unused=True)

    step()

    def measure() -> tuple[float, float]:
        seconds = seconds_of(step)
        return seconds, 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    return measure


def verify() -> str:
    """Our mixers against their definitions, and ParaGRU against ours with the same weights: how far apart."""
    x_BTD = torch.randn(2, 512, WIDTH, generator=torch.Generator().manual_seed(1))
    apart = 0.0
    with torch.no_grad():
        for name in OURS:
            mixer = ours(name)
            expected = mixer.definition(x_BTD)[0]
            apart = max(apart, float((mixer(x_BTD)[0] - expected).norm() / expected.norm()))
        from pararnn import ParaGRU, ParaRNN

        cell, mixer = ParaGRU(WIDTH, WIDTH), ours("diagonal-gru")
        # Theirs has the gates z, r, n and keeps where z is 0; ours r, z, n and keeps where z is 1.
        for parameter, sign, gate in (("a_r", 1, 0), ("a_z", -1, 1), ("a_n", 1, 2)):
            mixer.recurrent.view(3, -1)[gate] = sign * getattr(cell, parameter).clamp(-0.5, 0.5)
        rows = cell.W_x.weight.view(3, WIDTH, WIDTH)
        mixer.projection.weight.view(3, WIDTH, WIDTH).copy_(torch.stack([rows[1], -rows[0], rows[2]]))
        mixer.projection.bias.zero_()
        theirs = ParaRNN(cell, solver="sequential")(x_BTD)
        apart_theirs = float((mixer(x_BTD)[0] - theirs).norm() / theirs.norm())
    if max(apart, apart_theirs) > 1e-4:
        raise SystemExit(f"outputs differ by {apart:.1e} and {apart_theirs:.1e}: no time is taken")
    return f"Outputs against the definitions: {apart:.0e}; ParaGRU against diagonal-gru: {apart_theirs:.0e}."


def main() -> None:
    """Verify, measure, print and keep the tables."""
    script = __file__
    lines = [verify(), "", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    for time in LENGTHS:
        for label, (mine, others) in GROUPS.items():
            alone = [PRODUCTS + mine] if mine in OURS else []
            names = (mine, *others, *alone)
            children = {name: Child([name, str(time)], ALLOCATOR) for name in names}
            taken = measured_in_turn(script, children, rounds=ROUNDS)
            for other in others:
                pairs = zip(taken[mine], taken[other], strict=True)
                ratio = median_interval([theirs[0] / own[0] for own, theirs in pairs])
                seconds = [median(value[0] for value in taken[name]) for name in (mine, other)]
                grown = [max(value[1] for value in taken[name]) / 1e6 for name in (mine, other)]
                asked = BARS.get((mine, other), "") if time == LENGTHS[-1] else ""
                least = [median(value[0] for value in taken[name]) for name in alone]
                floor = [f"{least[0]:.3f} s", f"{seconds[1] / least[0]:.2f}"] if least else ["", ""]
                lines.append(
                    f"| {label} | {time} | {seconds[0]:.3f} s | {other} {seconds[1]:.3f} s | {ratio.value:.2f} "
                    f"({ratio.low:.2f} to {ratio.high:.2f}) | {asked} | {floor[0]} | {floor[1]} | "
                    f"{grown[0]:,.0f}, {grown[1]:,.0f} |"
                )
                print(lines[-1], flush=True)
    children = {str(time): Child(["scan", str(time)], ALLOCATOR) for time in GROWTH}
    taken = measured_in_turn(script, children, rounds=ROUNDS)
    exponent = fit_exponent(GROWTH, [median(value[0] for value in taken[str(time)]) for time in GROWTH])
    told = ", ".join(f"{median(value[0] for value in taken[str(time)]):.3f} s at {time}" for time in GROWTH)
    lines += [
        "",
        f"The scan's time grows with exponent {exponent.value:.2f} ({exponent.low:.2f} to {exponent.high:.2f}); "
        f"asked: at most 1.05. {told}.",
    ]
    keep("recurrences", "Recurrences, forward and backward, against kernels and packages", lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(measure_of(sys.argv[1], int(sys.argv[2])))
    else:
        main()
