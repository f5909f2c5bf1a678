"""Training speed of minGRU blocks against attention blocks of the same parameters, over the length.

    python benchmarks/mingru_vs_attention.py

Four pre-norm blocks of width 256 (attention matched in parameters), without embedding and output layer, the precision
chosen for this machine, causal fused attention. Forward, backward and AdamW, timed in turn after an A-A pair; the
scan is compared with the sequential definition before any time counts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from table import keep

from crossover.measure.clock import time_in_turn
from crossover.measure.numerics import Numerics, choose
from crossover.measure.statistics import fit_exponent
from crossover.models.backbones import Backbone
from crossover.models.counting import count_parameters
from crossover.models.initialise import initialise
from crossover.models.matching import match_parameters
from crossover.models.mixers.base import Span
from crossover.models.mixers.mingru import MinGRUSettings
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings

WIDTH, LAYERS = 256, 4
POINTS = ((512, 8), (1024, 8), (2048, 8), (4096, 8), (16384, 2))
BARS = {4096: 2.0, 16384: 5.0}
EXPONENT_LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
PORTS = Tokens(vocabulary=256), PerStep(size=256)


def step_of(settings: ModelSettings, batch: int, steps: int, numerics: Numerics) -> Callable[[], float]:
    """One training step of the blocks alone, on fixed random inputs."""
    backbone = Backbone(settings, causal=True)
    initialise(backbone, 0)
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=1e-4, fused=True)
    x_BTD = torch.randn(batch, steps, settings.width)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with numerics.autocast():
            y_BTD, _ = backbone(x_BTD, None, Span(carry=False))
        loss = y_BTD.float().square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def verify(steps: int = 4096) -> float:
    """Largest relative difference between scan and sequential definition, outputs and input gradient, fp32."""
    mixer = MinGRUSettings(width=WIDTH).build()
    initialise(mixer, 0)
    results = []
    for compute in (mixer.forward, mixer.definition):
        x_BTD = torch.randn(1, steps, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()
        y_BTD, _ = compute(x_BTD)
        results.append((y_BTD.detach(), torch.autograd.grad(y_BTD.square().sum(), x_BTD)[0]))
    return max(float((a - b).norm() / b.norm()) for a, b in zip(*results, strict=True))


def main() -> None:
    """Verify, measure, print and keep the table."""
    error = verify()
    if error > 1e-4:
        raise SystemExit(f"the scan differs from its definition by {error:.1e}: no time is taken")
    numerics = choose("auto", "cpu")
    mingru = parse_model(f"mingru[layers={LAYERS},width={WIDTH},dropout=0.0]")
    target = count_parameters(mingru, *PORTS, causal=True).without_embedding
    attention = match_parameters(
        parse_model(f"transformer[layers={LAYERS},width={WIDTH},dropout=0.0]"), *PORTS, causal=True, target=target
    )
    own = count_parameters(attention, *PORTS, causal=True).without_embedding
    lines = [
        f"{numerics.describe()}. {LAYERS} blocks; minGRU width {mingru.width}, {target:,} parameters; attention "
        f"width {attention.width}, {own:,}. Scan against definition: {error:.0e}.",
        "",
        "| T | batch | minGRU tok/s | attention tok/s | ratio (95 %) | bar | A-A |",
        "|---|---|---|---|---|---|---|",
    ]
    for steps, batch in POINTS:
        calls = {
            "mingru": step_of(mingru, batch, steps, numerics),
            "attention": step_of(attention, batch, steps, numerics),
        }
        turns = time_in_turn(calls, rounds=7, warmup=1, time_limit=90.0)
        ratio = turns.ratio("attention", "mingru")
        speeds = [batch * steps / turns.timings[name].median for name in calls]
        lines.append(
            f"| {steps} | {batch} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {ratio.value:.2f} ({ratio.low:.2f} to "
            f"{ratio.high:.2f}) | {BARS.get(steps, '')} | {turns.pair_difference:.0%} |"
        )
        print(lines[-1], flush=True)
    curve = {str(steps): step_of(mingru, 2, steps, numerics) for steps in EXPONENT_LENGTHS}
    turns = time_in_turn(curve, rounds=7, warmup=1, time_limit=120.0)
    exponent = fit_exponent(EXPONENT_LENGTHS, [turns.timings[str(steps)].median for steps in EXPONENT_LENGTHS])
    lines += [
        "",
        f"Exponent of minGRU's step time in T, {EXPONENT_LENGTHS[0]} to {EXPONENT_LENGTHS[-1]}, batch 2: "
        f"{exponent.value:.2f} ({exponent.low:.2f} to {exponent.high:.2f}); bar 1.1.",
    ]
    keep("mingru_vs_attention", "Training speed of minGRU against causal fused attention", lines)


if __name__ == "__main__":
    main()
