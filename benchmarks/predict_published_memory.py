"""Predicted beside published memory of a device while it trains: weights and optimiser, activations, or the peak.

    python benchmarks/predict_published_memory.py PUBLISHED

PUBLISHED is the folder of measured_training.csv. Nothing is fitted. What a program keeps that this one does not is
said as a `Practice` (published_training.py); rows that were compiled count where blocks are computed again, which
leaves what a compiler saves in one block only.
"""

from __future__ import annotations

from itertools import groupby
from statistics import mean

from published import folder, training
from published_case import Case
from published_training import MEMORY, cases
from table import keep

GIB = 2**30


def predicted(case: Case) -> float:
    """Bytes of what the case tells."""
    parts = case.predicted().memory.to_json()
    return sum(parts[name] for name in MEMORY[case.metric])


def main() -> None:
    """Predict, print and keep the table."""
    read = cases(training(folder()), tuple(MEMORY))
    lines = [
        "| source | step | steps in a row | computed again | what | predicted GiB | published GiB | error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    errors: list[tuple[str, float]] = []
    for case in read.found:
        found = predicted(case)
        error = found / case.measured - 1
        errors.append((case.source, error))
        told = case.metric.removesuffix("_memory_per_gpu").replace("_", ", ")
        sizes = f"{found / GIB:.1f} | {case.measured / GIB:.1f} | {error:+.1%}"
        again = ", ".join(case.practice.again) or case.layout.recompute
        lines.append(f"| {case.source} | {case.label} | {case.job.time:,} | {again} | {told} | {sizes} |")
    lines += ["", "| source | figures | mean error | bias | worst |", "|---|---|---|---|---|"]
    for source, each in groupby(sorted(errors), key=lambda pair: pair[0]):
        own = [error for _, error in each]
        worst = max(own, key=abs)
        lines.append(f"| {source} | {len(own)} | {mean(map(abs, own)):.1%} | {mean(own):+.1%} | {worst:+.0%} |")
    lines += ["", *(f"- left out: {count} figures, {reason}" for reason, count in sorted(read.left_out.items()))]
    keep("predict_published_memory", "Predicted beside published memory of a device", lines, measured=False)


if __name__ == "__main__":
    main()
