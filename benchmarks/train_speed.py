"""Training speed against the same sizes written with stock PyTorch layers.

    python benchmarks/train_speed.py

Four layers, width 256, batch 32 x 128, vocabulary 8,000, all cores. Ours runs with precision=auto; stock nn.LSTM and
nn.TransformerEncoder run in fp32 with the platform's defaults, and again under the same allocator settings. Each is a
process of its own; the processes take turns, and the ratio is taken round by round. Before any time counts, ours in
fp32 gives the stock model's loss with the stock model's weights (LSTM), or its own definition's (Transformer).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

LAYERS, WIDTH, HEADS, BATCH, TIME, VOCABULARY = 4, 256, 4, 32, 128, 8000
ROUNDS, STEPS, WARM_UP = 5, 4, 3
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
BARS = {"lstm": (2.7, 1.8), "transformer": (2.4, 1.8)}
OURS = {
    "lstm": f"lstm-classic[layers={LAYERS},width={WIDTH},dropout=0.0]",
    "transformer": f"transformer[layers={LAYERS},width={WIDTH},dropout=0.0,positions=none,heads={HEADS}]",
}


def stock(name: str) -> Callable[[], float]:
    """One training step of the stock model in fp32."""
    import torch
    from torch import nn

    class Stock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, WIDTH)
            if name == "lstm":
                self.body: nn.Module = nn.LSTM(WIDTH, WIDTH, LAYERS, batch_first=True)
            else:
                layer = nn.TransformerEncoderLayer(
                    WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
                )
                self.body = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, VOCABULARY)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.embed(tokens)
            if name == "lstm":
                return self.head(self.body(x)[0])
            mask = nn.Transformer.generate_square_subsequent_mask(TIME)
            return self.head(self.body(x, mask=mask, is_causal=True))

    torch.manual_seed(0)
    model = Stock()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(VOCABULARY, (BATCH, TIME))

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def ours(name: str) -> Callable[[], float]:
    """One training step of our model under the numerics chosen for this machine."""
    from crossover.measure.numerics import choose
    from crossover.measure.workload import Workload
    from crossover.models.ports import PerStep, Tokens
    from crossover.models.presets import parse_model

    workload = Workload(
        model=parse_model(OURS[name]),
        inputs=Tokens(vocabulary=VOCABULARY),
        outputs=PerStep(size=VOCABULARY),
        batch=BATCH,
        time=TIME,
        numerics=choose("auto", "cpu"),
    )
    sys.stderr.write(workload.numerics.describe() + "\n")
    call = workload.prepare()
    return lambda: float(call())


def verify_lstm() -> float:
    """Largest difference between the stock LSTM's outputs and ours with its weights, in fp32."""
    import torch

    from crossover.models.model import build_model
    from crossover.models.ports import PerStep, Tokens
    from crossover.models.presets import parse_model

    torch.manual_seed(0)
    reference = torch.nn.LSTM(WIDTH, WIDTH, LAYERS, batch_first=True)
    ports = Tokens(vocabulary=VOCABULARY), PerStep(size=VOCABULARY)
    model = build_model(parse_model(OURS["lstm"]), *ports, causal=True, seed=0)
    for layer, mixer in enumerate(model.backbone.mixers()):
        own = dict(mixer.named_parameters())
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            target = next(value for key, value in own.items() if kind in key)
            target.data.copy_(getattr(reference, f"{kind}_l{layer}"))
    x = torch.randn(2, TIME, WIDTH)
    with torch.no_grad():
        return float((model.backbone(x)[0] - reference(x)[0]).abs().max())


def verify_transformer() -> float:
    """Largest difference between our fast path's outputs and its definition's, in fp32."""
    import torch

    from crossover.models.initialise import initialise
    from crossover.models.mixers.attention import AttentionSettings

    mixer = AttentionSettings(width=WIDTH, heads=HEADS).build()
    initialise(mixer, 0)
    x = torch.randn(2, TIME, WIDTH)
    with torch.no_grad():
        return float((mixer(x)[0] - mixer.definition(x)[0]).abs().max())


def serve(kind: str, name: str) -> None:
    """Child process: for every line of input take some steps and print their seconds."""
    step = (ours if kind == "ours" else stock)(name)
    first = [step() for _ in range(WARM_UP)]
    if not all(loss == loss and abs(loss) < 1e4 for loss in first):
        raise SystemExit(f"{kind} {name}: losses {first} are not finite")
    print(json.dumps(first), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(STEPS):
            step()
        print(json.dumps((time.perf_counter() - started) / STEPS), flush=True)


def rounds(name: str) -> dict[str, list[float]]:
    """Seconds of a step of each kind, measured in turn."""
    kinds = {"ours": ("ours", {}), "stock": ("stock", {}), "stock, same allocator": ("stock", ALLOCATOR)}
    children = {}
    for label, (kind, extra) in kinds.items():
        children[label] = subprocess.Popen(
            [sys.executable, __file__, kind, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **extra},
        )
        children[label].stdout.readline()
    taken: dict[str, list[float]] = {label: [] for label in kinds}
    for _ in range(ROUNDS):
        for label, child in children.items():
            child.stdin.write("\n")
            child.stdin.flush()
            taken[label].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.stdin.close()
        child.wait()
    return taken


def main() -> None:
    """Verify, measure, print and keep the table."""
    from crossover.measure.numerics import processor
    from crossover.train.record import commit

    errors = {"lstm": verify_lstm(), "transformer": verify_transformer()}
    if max(errors.values()) > 2e-5:
        raise SystemExit(f"outputs differ from the reference: {errors}; no time is taken")
    lines = [
        f"# Training speed: {date.today()}, {processor()}, {os.cpu_count()} cores, commit {(commit() or '')[:10]}",
        "",
        f"{LAYERS} layers, width {WIDTH}, batch {BATCH} x {TIME}, vocabulary {VOCABULARY}; {ROUNDS} rounds, medians.",
        "",
        "| model | ours tok/s | stock | stock, same allocator | ratio | bar | ratio, same allocator | bar |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, bars in BARS.items():
        taken = rounds(name)
        speeds = {label: BATCH * TIME / median(seconds) for label, seconds in taken.items()}
        ratios = [
            median(b / a for a, b in zip(taken["ours"], taken[label], strict=True))
            for label in ("stock", "stock, same allocator")
        ]
        cells = [name, *(f"{speed:,.0f}" for speed in speeds.values())]
        cells += [f"{ratios[0]:.2f}", f"{bars[0]}", f"{ratios[1]:.2f}", f"{bars[1]}"]
        lines.append("| " + " | ".join(cells) + " |")
    text = "\n".join(lines) + f"\n\nLargest output difference before timing: {errors}\n"
    print(text)
    kept = Path(__file__).parent / "results" / "train_speed.md"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    serve(*sys.argv[1:]) if len(sys.argv) > 1 else main()
