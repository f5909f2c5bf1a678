"""What the state carried from segment to segment is worth: perplexity with memory on against off, at equal FLOPs.

    CROSSOVER_DATA=… python benchmarks/memory_on_off.py

It is the experiment of claim C42 (`crossover.study.audit.experiments.carrying`) in small: segments of 32 characters
of tinyshakespeare, few steps, attention that reaches back 64 characters. Keeps its table in benchmarks/results.
"""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

from table import keep

from crossover.measure.numerics import Numerics
from crossover.study.audit.evidence import Bench, Curve
from crossover.study.audit.experiments.carrying import OFF, ON, CarryingSettings, measure_carrying
from crossover.study.store import Store

STEPS = 300
SETTINGS = CarryingSettings(
    task="language-modeling/tinyshakespeare",
    models=("transformer-xl[memory=64]", "lstm", "mingru"),
    block=32,
    contexts=(64, 256, 4096),
    width=64,
    budget=f"{STEPS}steps",
    seeds=2,
)


def row(name: str, memory: str, curves: dict[tuple[str, str, str], Curve]) -> str:
    """A model, trained with memory or without, by the context that it is scored with."""
    loss, position = (curves[name, measure, memory] for measure in ("loss", "loss by position"))
    cells = [name.partition("[")[0], memory.removeprefix("memory ")]
    cells += [f"{math.exp(value):.3f}" for value in loss.values]
    cells += [f"{math.exp(position.values[0]):.1f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train, score and keep the table."""
    with TemporaryDirectory() as folder:
        evidence = measure_carrying(SETTINGS, Bench(Numerics.default(), Store(Path(folder)), print))
    curves = {(c.name, c.measure, str(c.labels.get("memory"))): c for c in evidence.curves}
    contexts = ", ".join(str(context) for context in (SETTINGS.block, *SETTINGS.contexts))
    keep(
        "memory_on_off",
        "The carried state, on and off",
        [
            f"Perplexity per character on the test text of tinyshakespeare after {STEPS} steps of {SETTINGS.batch} "
            f"streams of {SETTINGS.block} characters (without memory as many more as cost the same FLOPs), mean of "
            f"{SETTINGS.seeds} seeds, where the state starts anew after every {contexts} characters; at last of a "
            "segment's first character, read as it was trained. Attention reaches back 64 characters a layer.",
            "",
            f"| model | trained with memory | {contexts.replace(', ', ' | ')} | first character |",
            "|---|---|" + "---|" * (len(SETTINGS.contexts) + 2),
            *(row(name, memory, curves) for name in SETTINGS.models for memory in (ON, OFF)),
        ],
    )


if __name__ == "__main__":
    main()
