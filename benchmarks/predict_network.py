"""Predicted beside measured training steps of two replicas whose cable lets so many Mbit/s through.

    sudo python benchmarks/predict_network.py

Two network namespaces joined by a cable of their own, shaped by tc; one rank with one thread on each. The ranks are
calibrated beforehand, joined by memory; of the cable the planner is told its rate alone. A step is that of
`crossover scale`: forward, a loss, backward, AdamW.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean

from table import keep

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
import two_hosts

from crossover.measure.calibrate import calibrate
from crossover.measure.numerics import Numerics
from crossover.parallel.layout import Layout
from crossover.planning.machine import Machine
from crossover.planning.predict import Planner
from crossover.study.scale import ScaleRequest

MODELS = ("lstm", "mingru", "transformer")
LENGTHS, BATCH, WIDTH, LAYERS = (64, 256), 32, 256, 4
MEGABITS, LAYOUT = (100, 1000), "data=2"
SECONDS = 240
BAR = 0.12


def predicted(machine: Machine, megabits: int) -> dict[tuple[str, int], float]:
    """Seconds of each model's step by length."""
    cable = replace(machine.links[0], bandwidth=megabits * 1e6 / 8)
    request = ScaleRequest(models=MODELS, axis="length", values=LENGTHS, batch=BATCH, width=WIDTH, layers=LAYERS)
    found = {}
    for name in MODELS:
        for length in LENGTHS:
            job = request.workload(name, "train", Numerics(threads=1), length).job()
            planner = Planner(job, replace(machine, links=(cable,)))
            found[name, length] = planner.predict(Layout.parse(LAYOUT)).step_seconds
    return found


def measured(megabits: int, folder: Path) -> dict[tuple[str, int], float]:
    """The same, measured by `crossover scale` on both hosts."""
    lengths = ",".join(map(str, LENGTHS))
    tokens = ["scale", "--models", ",".join(MODELS), "--axis", f"length={lengths}", "--batch", str(BATCH)]
    tokens += ["--width", str(WIDTH), "--layers", str(LAYERS), "--precision", "fp32", "--layout", LAYOUT]
    tokens += ["--time-limit", f"{SECONDS}s", "--out", str(folder / "study"), "--json"]
    with two_hosts.TwoHosts() as hosts:
        hosts.slow_down(megabits)
        study = hosts.document(tokens, folder, seconds=5 * SECONDS)
    return {
        (curve["model"], point["x"]): point["step_seconds"]["value"]
        for curve in study["scale"]["curves"]
        for point in curve["points"]
        if point["step_seconds"]
    }


def main() -> None:
    """Calibrate, predict, measure, print and keep the table."""
    if (reason := two_hosts.refusal()) is not None:
        raise SystemExit(f"two hosts cannot be made: {reason}")
    machine, how = calibrate(devices=2)
    lines = [
        f"{LAYOUT}, {LAYERS} blocks, the first model {WIDTH} wide, batch {BATCH}.",
        "",
        "| Mbit/s | model | steps | predicted ms | measured ms | error |",
        "|---|---|---|---|---|---|",
    ]
    errors = []
    for megabits in MEGABITS:
        told = predicted(machine, megabits)
        with tempfile.TemporaryDirectory() as folder:
            taken = measured(megabits, Path(folder))
        for (name, length), seconds in taken.items():
            error = told[name, length] / seconds - 1
            errors.append(abs(error))
            cells = [str(megabits), name, str(length), f"{told[name, length] * 1e3:.0f}", f"{seconds * 1e3:.0f}"]
            lines.append("| " + " | ".join([*cells, f"{error:+.0%}"]) + " |")
    verdict = "met" if mean(errors) <= BAR else "not met"
    lines += ["", f"{len(errors)} cells: mean error {mean(errors):.1%} (asked {BAR:.0%}: {verdict}). {how}"]
    keep("predict_network", "Predicted beside measured steps over a slow cable", lines)


if __name__ == "__main__":
    main()
