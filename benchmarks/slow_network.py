"""How soon the same validation loss is reached by two hosts whose cable lets 100 Mbit/s through.

    sudo python benchmarks/slow_network.py

Two network namespaces joined by a cable of their own, shaped by tc; one rank with one thread on each. Gradients are
sent whole at every step, in bf16, as the factors of PowerSGD, or replicas train by themselves and are averaged now
and then. The loss to be reached is the one that plain gradients end with; each run's seconds to it are read off its
validation curve, training time alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from table import keep

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
import two_hosts

from crossover.study.audit.experiments.device_seconds import lowest_loss, seconds_to

MEGABITS = 100
SECONDS = 150
BAR = 3.0
LAYOUTS = {
    "whole gradients": "data=2",
    "gradients in bf16": "data=2,gradients=bf16",
    "PowerSGD": "data=2,gradients=powersgd",
    "averaged every 16 steps": "data=2,synchronise=16",
}
TRAIN = ["train", "language-modeling/python-docs", "gpt[layers=4,width=256]", "--precision", "fp32", "--batch", "16"]
PATIENT = ["--budget", f"{SECONDS}s", "--set", "train.evaluations=30", "--set", "train.checkpoint_seconds=3600"]


def trained(layout: str, folder: Path) -> dict[str, Any]:
    """The record of a run on both hosts."""
    tokens = [*TRAIN, *PATIENT, "--layout", layout, "--out", str(folder / "run"), "--json"]
    with two_hosts.TwoHosts() as hosts:
        hosts.slow_down(MEGABITS)
        return hosts.document(tokens, folder, seconds=20 * SECONDS)


def main() -> None:
    """Train, print and keep the table."""
    if (reason := two_hosts.refusal()) is not None:
        raise SystemExit(f"two hosts cannot be made: {reason}")
    records = {}
    for name, layout in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            records[name] = trained(layout, Path(folder))
        sys.stderr.write(f"{name}: {records[name]['steps']} steps, loss {records[name]['curve'][-1]['loss']:.3f}\n")
    target = lowest_loss(records["whole gradients"]["curve"])
    plain = seconds_to(target, records["whole gradients"]["curve"])
    lines = [
        f"{' '.join(TRAIN[1:])}, {SECONDS} s of training each, {MEGABITS} Mbit/s; the loss to be reached is "
        f"{target:.3f} nats a character.",
        "",
        "| gradients | steps | bytes a step and rank | last loss | seconds to the loss | sooner | bar | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, record in records.items():
        there = lowest_loss(record["curve"]) <= target
        reached = seconds_to(target, record["curve"]) if there else None
        sooner = None if reached is None else plain / reached
        sent = sum(entry["bytes"] for entry in record["traffic"] if entry["axis"] == "replicas")
        verdict = "met" if (sooner or 0.0) >= BAR else "not met"
        cells = [
            name, str(record["steps"]), f"{sent / 1e6:.2f} MB", f"{record['curve'][-1]['loss']:.3f}",
            "never" if reached is None else f"{reached:.0f}", f"{sooner:.1f}" if sooner else "",
            *(("", "") if name == "whole gradients" else (str(BAR), verdict)),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    keep("slow_network", "Two hosts with a slow cable", lines)


if __name__ == "__main__":
    main()
