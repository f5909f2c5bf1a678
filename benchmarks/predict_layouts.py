"""Which of two layouts is faster: predicted, and measured by Megatron's own functional tests.

    python benchmarks/predict_layouts.py PUBLISHED

PUBLISHED is the folder of measured_layout_cases.csv. Pairs have the same model, batch, devices, number format and
flags, and differ in tensor, pipeline and data; those count whose times differ by more than 15 %. Beside the planner
stands the rule "fewer tensor, then fewer pipeline ranks". The models are small, and bound by the start of kernels (a
step takes 3 to 40 times as long as predicted), so that messages are taken to be waited for, as they are started: this
is a check that nothing broke, and no proof. Models with experts, and rows split in time, are left out.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import median

from published import Row, folder
from published_training import IN_PRODUCTS, MEGATRON
from table import keep

from crossover.models.ports import PerStep, Tokens
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.planning.job import Job, Stored
from crossover.planning.machine import load_machine
from crossover.planning.practice import Practice
from crossover.planning.predict import Planner

APART = 1.15
_VOCABULARY = 51_200
_MACHINES = {
    "A100": "a100-80",
    "a100": "a100-80",
    "H100": "h100-sxm",
    "h100": "h100-sxm",
    "GB200": "gb200",
    "gb200": "gb200",
}
_STORED = Stored(weight=2, gradient=4, optimizer=12, gathered=2, sent=4)
_OWN = ("tp", "pp", "dp", "n_gpus", "value", "source", "model_family", "note", "metric", "unit", "params")
"""What two rows of a pair may differ in, or what says nothing of them."""


_OF_A_LAYOUT = re.compile(r"(--)?num-layers-per-virtual-pipeline-stage(=\d+)?|sequence-parallel| +")
"""Flags that some degrees ask for, and others have no use for."""


@dataclass(frozen=True)
class Measured:
    """A layout with the median of its rows; `virtual` is the number of blocks of a virtual stage (0: none)."""

    tensor: int
    pipeline: int
    data: int
    virtual: int
    seconds: float


@dataclass
class Group:
    """Layouts that were measured on the same terms; `row` is one of their rows."""

    row: Row
    seconds: defaultdict[tuple[int, int, int, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def measured(self) -> list[Measured]:
        """Every layout once."""
        return [Measured(*place, median(values)) for place, values in self.seconds.items()]


def rows_of(published: Path) -> list[dict[str, str]]:
    """The rows of measured_layout_cases.csv."""
    with (published / "measured_layout_cases.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def groups(rows: Iterable[Row]) -> list[Group]:
    """Dense models on the same terms."""
    found: dict[tuple[str, ...], Group] = {}
    for row in rows:
        flags = _flags(row)
        if row["metric"] != "step_time_median" or not row["n_gpus"] or not row["dp"]:
            continue
        if "num-experts" in flags or "CP=1" not in row["note"] or "t5" in row["model_family"]:
            continue
        kind = row["model_family"].split("/")[0]
        terms = (
            kind,
            _OF_A_LAYOUT.sub("", flags),
            row["n_gpus"],
            *(value for name, value in row.items() if name not in _OWN),
        )
        group = found.setdefault(terms, Group(row))
        virtual = re.search(r"--num-layers-per-virtual-pipeline-stage=(\d+)", flags)
        layers = int(virtual[1]) if virtual else 0
        group.seconds[int(row["tp"]), int(row["pp"]), int(row["dp"]), layers].append(float(row["value"]))
    return list(found.values())


def _flags(row: Row) -> str:
    return next((part.strip() for part in row["note"].split(";") if part.strip().startswith("opts:")), "")


def predicted(group: Group, layout: Measured) -> float:
    """Seconds of a step."""
    row = group.row
    layers, width = int(row["layers"]), int(row["hidden"])
    model = ModelSettings(
        name="megatron",
        mixers=("attention",),
        layers=layers,
        width=width,
        dropout=0.1,
        positions="learned",
        causal="bert" not in row["model_family"],
        tie_embeddings=True,
        max_length=int(row["seq"]),
        mixer={"attention": {"heads": int(row["heads"])}},
    )
    job = Job(
        model=model,
        inputs=Tokens(vocabulary=_VOCABULARY),
        outputs=PerStep(size=_VOCABULARY),
        rows=int(row["global_batch"]),
        time=int(row["seq"]),
        precision=row["precision"].split("-")[0],
        stored=_STORED,
    )
    slices = int(row["global_batch"]) // (int(row["micro_batch"]) * layout.data)
    piped = layout.pipeline > 1
    own = Layout(
        data=layout.data,
        tensor=layout.tensor,
        pipeline=layout.pipeline,
        microbatches=slices if piped else 1,
        accumulate=1 if piped else slices,
        interleave=layers // (layout.pipeline * layout.virtual) if piped and layout.virtual else 1,
    )
    machine = next(name for part, name in _MACHINES.items() if part in row["gpu"])
    program = Practice(accumulated=IN_PRODUCTS)
    return Planner(job, load_machine(machine), order=MEGATRON, practice=program).predict(own).step_seconds


def main() -> None:
    """Compare every pair, print and keep the table."""
    pairs = right = by_rule = rule_wrong = right_there = 0
    for group in groups(rows_of(folder())):
        layouts = group.measured()
        told = {layout: predicted(group, layout) for layout in layouts} if len(layouts) > 1 else {}
        for one, other in combinations(layouts, 2):
            fast, slow = sorted((one, other), key=lambda layout: layout.seconds)
            if slow.seconds / fast.seconds <= APART:
                continue
            pairs += 1
            named = told[fast] < told[slow]
            ruled = (fast.tensor, fast.pipeline) < (slow.tensor, slow.pipeline)
            right, by_rule = right + named, by_rule + ruled
            rule_wrong, right_there = rule_wrong + (not ruled), right_there + (named and not ruled)
    lines = [
        "| which is faster | right | of |",
        "|---|---|---|",
        f"| the planner | {right} ({right / pairs:.1%}) | {pairs} |",
        f"| fewer tensor, then fewer pipeline ranks | {by_rule} ({by_rule / pairs:.1%}) | {pairs} |",
        f"| the planner, where that rule is wrong | {right_there} | {rule_wrong} |",
    ]
    keep("predict_layouts", "Which of two layouts is faster, predicted and measured", lines, measured=False)


if __name__ == "__main__":
    main()
