"""Predicted beside published training steps: error, bias, worst row and rank quality, source by source.

Nothing is fitted here. Rows of one model, length, machine, number of devices and precision are options: which of them
is fastest is what a planner is asked. `python benchmarks/predict_training.py PUBLISHED`, the folder of
measured_training.csv.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import mean, median

from choosing import Seconds, quality
from published import folder, training
from published_case import Case
from published_training import cases
from table import keep

from crossover.planning.predict import Prediction


@dataclass(frozen=True)
class Compared:
    """A case and what was predicted of it."""

    case: Case
    found: Prediction

    @property
    def error(self) -> float:
        """Signed, as a share of what was measured: negative where the prediction is too fast."""
        return self.found.step_seconds / self.case.measured - 1

    @property
    def within(self) -> bool:
        """Whether the 80 % interval holds what was measured."""
        low, high = self.found.interval
        return low <= self.case.measured <= high


def compared(rows: list[dict[str, str]]) -> tuple[dict[str, list[Compared]], dict[str, int]]:
    """Every case by source, and the rows that are none by their reason."""
    read = cases(rows)
    by_source: defaultdict[str, list[Compared]] = defaultdict(list)
    for case in read.found:
        by_source[case.source].append(Compared(case, case.predicted()))
    return dict(by_source), dict(read.left_out)


def options(own: list[Compared]) -> list[list[Seconds]]:
    """Predicted and measured seconds of a token and device, by what is asked."""
    groups: defaultdict[tuple[object, ...], list[Seconds]] = defaultdict(list)
    for each in own:
        job, devices = each.case.job, each.case.layout.devices
        share = devices / (job.rows * job.time)
        asked = (job.model.name, job.time, each.case.machine, devices, job.precision)
        groups[asked].append((each.found.step_seconds * share, each.case.measured * share))
    return list(groups.values())


def summary(name: str, own: list[Compared]) -> list[str]:
    """One line of the table."""
    errors = [each.error for each in own]
    worst = max(own, key=lambda each: abs(each.error))
    widths = [(each.found.interval[1] - each.found.interval[0]) / each.found.step_seconds for each in own]
    return [
        name,
        str(len(own)),
        f"{mean(abs(error) for error in errors):.1%}",
        f"{median(abs(error) for error in errors):.1%}",
        f"{mean(errors):+.1%}",
        f"{worst.error:+.0%}: {worst.case.label}",
        f"{mean(each.within for each in own):.0%}",
        f"{mean(widths):.0%}",
        quality(options(own)),
    ]


@dataclass(frozen=True)
class Scaling:
    """How much of N times one device's throughput N devices reach, as published and as predicted."""

    label: str
    published: float
    predicted: float

    @classmethod
    def of(cls, one: Compared, many: Compared) -> Scaling:
        """From the steps of one device and of many."""
        devices, rows = many.case.layout.devices, many.case.job.rows / one.case.job.rows
        published = rows * one.case.measured / many.case.measured / devices
        return cls(many.case.label, published, rows * one.found.step_seconds / many.found.step_seconds / devices)


def scaling(own: list[Compared]) -> list[Scaling]:
    """Every case of several devices against the one of a single device that is labelled alike."""

    def alike(each: Compared) -> tuple[str, str]:
        before, _, precision = each.case.label.rpartition(", ")
        return before.rpartition(" x ")[0], precision

    single = {alike(each): each for each in own if each.case.layout.devices == 1}
    several = [each for each in own if each.case.layout.devices > 1 and alike(each) in single]
    return [Scaling.of(single[alike(each)], each) for each in several]


def scaling_lines(own: list[Compared]) -> list[str]:
    """The table of efficiencies."""
    found = scaling(own)
    apart = [abs(each.predicted - each.published) for each in found]
    lines = [
        "",
        "Scaling efficiency of replicas: the throughput of N devices over N times that of one.",
        "",
        "| row | published | predicted | points apart |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {each.label} | {each.published:.2f} | {each.predicted:.2f} | "
        f"{100 * (each.predicted - each.published):+.0f} |"
        for each in found
    ]
    return [*lines, "", f"Mean {100 * mean(apart):.1f} points apart, at the most {100 * max(apart):.0f}."]


def main() -> None:
    """Predict, print and keep the tables."""
    by_source, left_out = compared(training(folder()))
    by_machine: defaultdict[str, list[Compared]] = defaultdict(list)
    for source, own in by_source.items():
        for each in own:
            by_machine[f"{source}, {each.case.machine}"].append(each)
    rows = [summary(name, own) for name, own in by_machine.items()]
    rows.append(summary("all", [each for own in by_source.values() for each in own]))
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += scaling_lines([each for own in by_source.values() for each in own])
    lines += [
        "",
        "GNMT and Transformer-big: batches are drawn by published laws of sentences' lengths and made as their "
        "programs make them (published_batches.py); updates, copies into messages and sums of gradients are those "
        "of their programs. With the mean length 10 % off, its spread .5 or .7 for .6, a variance of 5.6 or 6.8 for "
        "7.3, or 4.5 or 5.5 letters a piece, errors lie between 11 and 13 %, efficiencies between 3.9 and 5.5 "
        "points. What is not said: GNMT's decoder blocks behind the first read the context besides (7 % of its "
        "products), and an A100's recurrences are scaled from a V100's.",
        "",
        "Not explained: why llm-foundry's rows on H100s, of CUDA 11.8, and Llama 3.1 405B, on H100s that were held "
        "to 500 W and of which no products were measured, took longer than predicted.",
    ]
    lines += ["", *(f"- left out: {count} rows, {reason}" for reason, count in sorted(left_out.items()))]
    keep("predict_training", "Predicted beside published training steps", lines, measured=False)


HEADINGS = (
    "source",
    "rows",
    "mean error",
    "median error",
    "bias",
    "worst row",
    "in the 80 % interval",
    "width of the interval",
    "the option predicted to be fastest",
)


if __name__ == "__main__":
    main()
