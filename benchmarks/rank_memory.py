"""Peak memory of a rank where time is split over two, against that of one rank with whole rows.

    python benchmarks/rank_memory.py

Four blocks of width 256 over rows of 8,192 steps, batch 4, without embedding and output layer. Every figure is the
median over three times new processes: how far a rank grows in memory over two training steps. Time is also split
with keys and values sent round a ring, and blocks are computed again. glibc keeps to itself what is freed of blocks
below 32 MB, which here are those of two ranks and not those of one: it is told to map both.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import torch.distributed as dist
from table import keep

from crossover.measure.allocator import give_back
from crossover.measure.numerics import Numerics
from crossover.measure.resident import count_anew, peak_resident_bytes, resident_bytes
from crossover.measure.spread import prepare_spread
from crossover.measure.workload import Workload
from crossover.models.ports import Continuous, PerStep
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import make_mesh
from crossover.testing.spawn import RankPool

TIME, BATCH, STEPS, REPEATS = 8192, 4, 2, 3
SIZES = "[layers=4,width=256,dropout=0.0]"
BAR = 0.6
CASES = [
    ("lstm", "sequence=2"),
    ("mingru", "sequence=2"),
    ("mingru", "recompute=blocks"),
    ("transformer", "sequence=2"),
    ("transformer", "sequence=2,sequence_method=ring"),
]


def workload(model: str, batch: int, time: int, *, threads: int = 1) -> Workload:
    """Four blocks over such rows, from and to one number a step."""
    settings = parse_model(model + SIZES)
    return Workload(
        model=replace(settings, max_length=max(settings.max_length, time)),
        inputs=Continuous(channels=1),
        outputs=PerStep(size=1),
        batch=batch,
        time=time,
        numerics=Numerics(threads=threads),
    )


def grown(model: str, layout: str, batch: int, time: int) -> int:
    """Bytes by which this rank's resident memory grows at the most."""
    give_back()
    own = Layout.parse(layout)
    step = prepare_spread(workload(model, batch, time), own, make_mesh(own))
    count_anew()
    before = resident_bytes()
    for _ in range(STEPS):
        step()
    dist.barrier()
    return peak_resident_bytes() - before


def peak(model: str, layout: str, batch: int = BATCH, time: int = TIME, repeats: int = REPEATS) -> float:
    """That of the rank with the most; a short step beforehand brings the libraries' own pages in."""
    found = []
    for _ in range(repeats):
        with RankPool(Layout.parse(layout).devices, seconds=900) as pool:
            pool.run(grown, model, layout, batch, 64)
            found.append(max(pool.run(grown, model, layout, batch, time)))
    return median(found)


def main() -> None:
    """Measure, print and keep the table."""
    lines = [
        "| model | layout | one rank, MB | a rank, MB | share | bar | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    whole: dict[str, float] = {}
    for model, layout in CASES:
        if model not in whole:
            whole[model] = peak(model, "single")
        each = peak(model, layout)
        share = each / whole[model]
        verdict = "none" if "sequence" not in layout else "met" if share <= BAR else "not met"
        cells = [model, layout, f"{whole[model] / 1e6:.0f}", f"{each / 1e6:.0f}", f"{share:.2f}", f"{BAR}", verdict]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    keep("rank_memory", "Peak memory of a rank", lines)


if __name__ == "__main__":
    main()
