"""Training speed against the same sizes written with stock PyTorch layers.

    python benchmarks/train_speed.py

Ours runs with precision=auto on all cores; stock nn.LSTM and nn.TransformerEncoder run in fp32 with the platform's
defaults, and again under the same allocator settings. Each is a process of its own; the processes take turns, and the
ratio is taken round by round. Before any time counts, ours in fp32 gives the stock model's outputs with the stock
model's weights (LSTM), or its own definition's (Transformer). What the ratios could be at most stands below the
table: those of a step that is nothing but its arithmetic, at the speed of the fastest matrix product here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from in_turn import STOCK_TOO, Child, measured_in_turn, serve

if TYPE_CHECKING:
    from crossover.measure.workload import Workload

ROUNDS, WARM_UP, ROUND_SECONDS = 5, 3, 2.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes of a model and its batch; `bars` are the ratios to reach where bf16 has kernels."""

    family: str
    layers: int = 4
    width: int = 256
    heads: int = 4
    batch: int = 32
    time: int = 128
    vocabulary: int = 8000
    bars: tuple[float, float] | None = None

    @property
    def ours(self) -> str:
        """The name of our model."""
        if self.family == "lstm":
            return f"lstm-classic[layers={self.layers},width={self.width},dropout=0.0]"
        sizes = f"layers={self.layers},width={self.width},heads={self.heads}"
        return f"transformer[{sizes},dropout=0.0,positions=none]"

    def workload(self) -> Workload:
        """A training step of our model under the numerics chosen for this machine."""
        from crossover.measure.numerics import choose
        from crossover.measure.workload import Workload
        from crossover.models.ports import PerStep, Tokens
        from crossover.models.presets import parse_model

        return Workload(
            model=parse_model(self.ours),
            inputs=Tokens(vocabulary=self.vocabulary),
            outputs=PerStep(size=self.vocabulary),
            batch=self.batch,
            time=self.time,
            numerics=choose("auto", "cpu"),
        )


CASES = {
    "lstm": Case(family="lstm", bars=(2.7, 1.8)),
    "transformer": Case(family="transformer", bars=(2.4, 1.8)),
    "small character transformer": Case(family="transformer", width=128, batch=12, time=64, vocabulary=65),
}


def stock(case: Case) -> Callable[[], float]:
    """One training step of the stock model in fp32."""
    import torch
    from torch import nn

    class Stock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(case.vocabulary, case.width)
            if case.family == "lstm":
                self.body: nn.Module = nn.LSTM(case.width, case.width, case.layers, batch_first=True)
            else:
                layer = nn.TransformerEncoderLayer(
                    case.width,
                    case.heads,
                    4 * case.width,
                    dropout=0.0,
                    activation="gelu",
                    batch_first=True,
                    norm_first=True,
                )
                self.body = nn.TransformerEncoder(layer, case.layers, enable_nested_tensor=False)
            self.head = nn.Linear(case.width, case.vocabulary)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.embed(tokens)
            if case.family == "lstm":
                return self.head(self.body(x)[0])
            mask = nn.Transformer.generate_square_subsequent_mask(case.time)
            return self.head(self.body(x, mask=mask, is_causal=True))

    torch.manual_seed(0)
    model = Stock()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(case.vocabulary, (case.batch, case.time))

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(case: Case) -> Callable[[], float]:
    """One training step of our model."""
    call = case.workload().prepare()
    return lambda: call().item()


def peak_flops(size: int = 1024, tries: int = 30) -> float:
    """FLOP/s of the fastest of several square products under the numerics chosen for this machine."""
    import torch

    from crossover.measure.numerics import choose

    a, b = torch.randn(size, size), torch.randn(size, size)
    taken = []
    with torch.no_grad(), choose("auto", "cpu").autocast():
        for _ in range(tries):
            started = time.perf_counter()
            a @ b
            taken.append(time.perf_counter() - started)
    return 2 * size**3 / min(taken)


def verify_lstm() -> float:
    """Largest difference between the stock LSTM's outputs and ours with its weights, in fp32."""
    import torch

    from crossover.models.model import build_model
    from crossover.models.ports import PerStep, Tokens
    from crossover.models.presets import parse_model

    torch.manual_seed(0)
    case = CASES["lstm"]
    reference = torch.nn.LSTM(case.width, case.width, case.layers, batch_first=True)
    ports = Tokens(vocabulary=case.vocabulary), PerStep(size=case.vocabulary)
    model = build_model(parse_model(case.ours), *ports, causal=True, seed=0)
    for layer, mixer in enumerate(model.backbone.mixers()):
        own = dict(mixer.named_parameters())
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            target = next(value for key, value in own.items() if kind in key)
            target.data.copy_(getattr(reference, f"{kind}_l{layer}"))
    x = torch.randn(2, case.time, case.width)
    with torch.no_grad():
        return float((model.backbone(x)[0] - reference(x)[0]).abs().max())


def verify_transformer() -> float:
    """Largest difference between our fast path's outputs and its definition's, in fp32."""
    import torch

    from crossover.models.initialise import initialise
    from crossover.models.mixers.attention import AttentionSettings

    case = CASES["transformer"]
    mixer = AttentionSettings(width=case.width, heads=case.heads).build()
    initialise(mixer, 0)
    x = torch.randn(2, case.time, case.width)
    with torch.no_grad():
        return float((mixer(x)[0] - mixer.definition(x)[0]).abs().max())


def seconds(kind: str, name: str) -> Callable[[], float]:
    """Takes steps for about `ROUND_SECONDS`; returns the seconds of one."""
    step = (ours if kind == "ours" else stock)(CASES[name])
    first = [step() for _ in range(WARM_UP)]
    if not all(loss == loss and abs(loss) < 1e4 for loss in first):
        raise SystemExit(f"{kind} {name}: losses {first} are not finite")
    started = time.perf_counter()
    step()
    steps = max(4, round(ROUND_SECONDS / (time.perf_counter() - started)))

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - started) / steps

    return measure


def rounds(name: str) -> dict[str, list[float]]:
    """Seconds of a step of each kind, measured in turn."""
    children = {label: Child([*child.arguments, name], child.environment) for label, child in STOCK_TOO.items()}
    return measured_in_turn(__file__, children, rounds=ROUNDS)


def row(name: str, case: Case, taken: dict[str, list[float]]) -> str:
    """One line of the table: speeds, and the ratios taken round by round."""
    cells = [name, f"{case.layers} x {case.width}, {case.batch} x {case.time}, {case.vocabulary:,}"]
    cells += [f"{case.batch * case.time / median(seconds):,.0f}" for seconds in taken.values()]
    for index, label in enumerate(("stock", "stock, same allocator")):
        ratio = median(b / a for a, b in zip(taken["ours"], taken[label], strict=True))
        cells += [f"{ratio:.2f}", f"{case.bars[index]}" if case.bars else ""]
    return "| " + " | ".join(cells) + " |"


def limit(name: str, case: Case, taken: dict[str, list[float]], peak: float) -> str:
    """What the ratios of `row` would be if our step were its arithmetic alone, at `peak` FLOP/s."""
    cost = case.workload().cost()
    # What a causal kernel leaves out of the forward pass it leaves out of the backward pass twice.
    flops = cost.flops_forward + cost.flops_backward - 3 * cost.flops_skipped
    stock, same = (median(taken[label]) * peak / flops for label in ("stock", "stock, same allocator"))
    return (
        f"- {name}: {flops / 1e9:,.1f} GFLOP a step, {flops / peak * 1e3:,.0f} ms at {peak / 1e9:,.0f} GFLOP/s: "
        f"at most {stock:.2f}, same allocator {same:.2f}"
    )


def main() -> None:
    """Verify, measure, print and keep the table."""
    from table import keep

    from crossover.measure.numerics import choose

    error = max(verify_lstm(), verify_transformer())
    if error > 2e-5:
        raise SystemExit(f"outputs differ by {error} from the reference; no time is taken")
    peak = peak_flops()
    taken = {name: rounds(name) for name in CASES}
    lines = [
        f"Tokens/s, medians of {ROUNDS} rounds.",
        "",
        "| model | layers x width, batch, vocabulary | ours | stock | stock, same allocator | ratio | bar "
        "| ratio, same allocator | bar |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(name, case, taken[name]) for name, case in CASES.items()),
        "",
        "The ratios if a step of ours were its arithmetic alone, at the speed of the fastest matrix product here:",
        "",
        *(limit(name, case, taken[name], peak) for name, case in CASES.items()),
        "",
        f"Ours: {choose('auto', 'cpu').describe()}. Largest difference of outputs from the reference: {error:.0e}.",
        "The bars are for processors with kernels for bf16 (AVX-512); without them both sides compute in fp32.",
    ]
    keep("train_speed", "Training speed against stock PyTorch layers", lines)


if __name__ == "__main__":
    serve(seconds(*sys.argv[1:])) if len(sys.argv) > 1 else main()
