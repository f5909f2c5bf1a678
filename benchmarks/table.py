"""What every speed benchmark prints and keeps: the table, with the date, the machine and the commit above it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import torch

from crossover.measure.numerics import processor
from crossover.train.record import commit

RESULTS = Path(__file__).parent / "results"


def keep(name: str, title: str, lines: Iterable[str], *, measured: bool = True, card: str = "") -> None:
    """Print the table and write it to ``results/NAME-CAPABILITY.md``, or ``NAME.md`` where nothing was measured here.

    What was measured on a GPU is kept by the name of the `card`.

    The processor's vector instructions stand in the file's name: with AVX-512 bf16 is what a CPU trains fastest in,
    with AVX2 there is none, so figures of the two stand beside each other.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    where = card or f"{processor()} ({capability}), {torch.get_num_threads()} threads"
    machine = f"{where}, torch {torch.__version__}, "
    text = "\n".join(
        [
            f"# {title}",
            "",
            f"{date.today()}, {machine if measured else ''}commit {(commit() or 'unknown')[:10]}; "
            f"`python benchmarks/{name}.py{'' if measured else ' PUBLISHED'}`",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    suffix = f"-{(card or capability).lower().replace(' ', '-')}" if measured else ""
    (RESULTS / f"{name}{suffix}.md").write_text(text, encoding="utf-8")
