"""Time to one accuracy of the sentiment task on one rank and on two, each with one thread.

    python benchmarks/sentiment_ranks.py

`crossover train sentiment/headlines` under `single` and `data=2`, the same global batch, seed by seed in turn. The
accuracy to be reached is, of each pair of runs, the lower one of their best on validation, so that both reach it;
seconds are those of training, read off the validation curve.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import keep

from crossover.measure.statistics import median_interval

SEEDS = range(5)
MODELS = ("lstm", "transformer")
TRAIN = [
    "train",
    "sentiment/headlines",
    "--budget",
    "400steps",
    "--set",
    "train.evaluations=40",
    "--precision",
    "fp32",
]
LAYOUTS = {"single": "1", "data=2": "2"}
"""With the threads of all ranks together."""


def trained(model: str, layout: str, seed: int, folder: Path) -> dict[str, Any]:
    """The record of a run."""
    tokens = [*TRAIN[:2], model, *TRAIN[2:], "--layout", layout, "--seed", str(seed), "--out", str(folder), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": LAYOUTS[layout]}
    done = subprocess.run(
        [sys.executable, "-m", "crossover", *tokens], capture_output=True, text=True, check=True, env=environment
    )
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def seconds_to(accuracy: float, record: dict[str, Any]) -> float:
    """Seconds of training until the first validation that is as accurate."""
    return float(next(point["seconds"] for point in record["curve"] if point["validation"] >= accuracy))


def main() -> None:
    """Train, print and keep the table."""
    lines = [
        f"{' '.join(['crossover', *TRAIN])}, {len(SEEDS)} seeds; medians with the range.",
        "",
        "| model | accuracy | one rank, s | two ranks, s | times as soon | a step as fast | test: one, two |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        pairs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                pairs.append([trained(model, layout, seed, Path(folder) / layout) for layout in LAYOUTS])
        targets = [min(run["validation"] for run in pair) for pair in pairs]
        one, two = (
            [seconds_to(target, pair[place]) for target, pair in zip(targets, pairs, strict=True)] for place in (0, 1)
        )
        steps = [pair[0]["step_seconds"]["value"] / pair[1]["step_seconds"]["value"] for pair in pairs]
        scores = [sum(pair[place]["score"]["value"] for pair in pairs) / len(pairs) for place in (0, 1)]
        cells = [
            model, _told(targets, 3), _told(one, 1), _told(two, 1),
            _told([a / b for a, b in zip(one, two, strict=True)], 2), _told(steps, 2),
            f"{scores[0]:.3f}, {scores[1]:.3f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
        sys.stderr.write(lines[-1] + "\n")
    keep("sentiment_ranks", "Time to one accuracy on one rank and on two", lines)


def _told(values: list[float], digits: int) -> str:
    found = median_interval(values)
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


if __name__ == "__main__":
    main()
