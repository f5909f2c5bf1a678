"""Every model under every layout against one device: the largest distance in losses, gradients and weights.

    python benchmarks/exactness.py

The full product of what `tests/distributed` draws a covering set from: three steps in float64 with SGD and AdamW,
gradients accumulated once and three times, on two ranks and on four; a distance is that of a tensor's norm, relative
to it or to a thousandth of the whole. A layout that a model or a task does not admit is left out with a dash. Some
minutes on two cores; nothing is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from table import keep

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "distributed"))
import training_cases
from training_cases import Training

from crossover.data.options import DataOptions
from crossover.errors import LayoutError
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.tasks import TASKS
from crossover.testing.spawn import RankPool

LIMIT = 1e-9
RECALL = (
    *("elman", "lstm", "gru", "mingru", "minlstm", "linear-attention", "convolution", "transformer"),
    *(
        "transformer-original",
        "gpt[tie_embeddings=false]",
        "llama-like",
        "window-transformer",
        "transformer-xl",
        "lstm+attention",
    ),
)
MODELS = {
    "recall": RECALL,
    "sentiment/headlines": ("lstm", "gru", "mingru", "transformer", "bert"),
    "translation/phrases": ("gnmt", "transformer", "seq2seq"),
}
LAYOUTS = (
    *("data=2", "data=2,shard_parameters=true", "pipeline=2,microbatches=2", "pipeline=2,chunks=3", "tensor=2"),
    *("sequence=2", "sequence=2,sequence_method=ring", "data=2,recompute=blocks", "data=2,tensor=2"),
    *(
        "data=2,sequence=2",
        "data=2,pipeline=2,microbatches=2",
        "pipeline=2,tensor=2,microbatches=2",
        "tensor=2,sequence=2",
    ),
    *("data=4", "tensor=4", "sequence=4"),
)
BATCH = 8


def farthest(pools: dict[int, RankPool], task: str, model: str, layout: str) -> tuple[float, int] | None:
    """The largest distance over optimisers and accumulation, and the number of runs; None if it is not admitted."""
    own = Layout.parse(layout)
    spec = TASKS.get(task)(DataOptions()).spec
    settings = replace(parse_model(model), width=16, layers=2)
    try:
        own.check(own.devices, settings, spec)
    except LayoutError:
        return None
    found, runs = 0.0, 0
    for optimizer, accumulate in product(("sgd", "adamw"), (1, 3)):
        case = Training(task, model, layout, optimizer, accumulate=accumulate, batch=BATCH)
        for distances in pools[own.devices].run(training_cases.apart, case):
            found = max(found, *distances.values())
        runs += 1
    return found, runs


def rows(pools: dict[int, RankPool]) -> Iterator[tuple[list[str], float, int]]:
    """A line per model, with its largest distance and the number of its runs."""
    for task, models in MODELS.items():
        for model in models:
            cells, worst, count = [task, model], 0.0, 0
            for layout in LAYOUTS:
                told = farthest(pools, task, model, layout)
                cells.append("–" if told is None else f"{told[0]:.0e}")
                if told is not None:
                    worst, count = max(worst, told[0]), count + told[1]
            sys.stderr.write(" ".join(cells) + "\n")
            yield cells, worst, count


def main() -> None:
    """Compare, print and keep the table; a distance above the limit ends with an error."""
    with RankPool(2) as two, RankPool(4) as four:
        found = list(rows({2: two, 4: four}))
    worst, runs = max(worst for _cells, worst, _count in found), sum(count for _cells, _worst, count in found)
    lines = [
        f"{runs} runs on 2 and 4 ranks; the largest distance is {worst:.0e}, where {LIMIT:.0e} is admitted.",
        "",
        "| task | model | " + " | ".join(f"`{layout}`" for layout in LAYOUTS) + " |",
        "|" + "---|" * (len(LAYOUTS) + 2),
        *("| " + " | ".join(cells) + " |" for cells, _worst, _count in found),
    ]
    keep("exactness", "Layouts against one device", lines)
    if worst > LIMIT:
        raise SystemExit(f"the largest distance is {worst:.1e}")


if __name__ == "__main__":
    main()
