"""Times of collectives predicted by the planner's law of messages, against NCCL's on five kinds of machine.

    python benchmarks/predict_collectives.py PUBLISHED

Bandwidth and latency of every tier are found from half of a machine's rows, by a hash of the row, and predict the
other half; then the constants that stand in the machine's file predict all rows. Messages of less than 1 MB are
counted apart: there the rows of one table differ by a factor of six among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, median

import numpy as np
import published
from published import Message
from scipy.optimize import least_squares
from table import keep

from crossover.planning.communication import Group, message_seconds
from crossover.planning.machine import Link, Machine, load_machine

TITLE = "Collectives of five kinds of machine, predicted"
LARGE = 1e6


def predicted(machine: Machine, message: Message) -> float:
    """Seconds of a message; its ranks stand side by side, as many of them in a host as it says."""
    nearest = machine.links[-2] if len(machine.links) > 1 else machine.links[0]
    stride = max(1, nearest.devices // message.together) if message.together < message.ranks else 1
    return message_seconds(machine, message.operation, message.payload, Group(message.ranks, stride))


def fitted(machine: Machine, messages: Sequence[Message]) -> Machine:
    """The machine with tiers that suit `messages` best: least logarithms of predicted over measured, robustly."""

    def with_tiers(logs: np.ndarray) -> Machine:
        pairs = np.exp(logs).reshape(-1, 2)
        links = [
            replace(link, bandwidth=float(bandwidth), latency=float(latency))
            for link, (bandwidth, latency) in zip(machine.links, pairs, strict=True)
        ]
        return replace(machine, links=tuple(links))

    def apart(logs: np.ndarray) -> np.ndarray:
        tried = with_tiers(logs)
        return np.array([np.log(predicted(tried, message) / message.seconds) for message in messages])

    start = np.log([[link.bandwidth, link.latency] for link in machine.links]).ravel()
    return with_tiers(least_squares(apart, start, loss="soft_l1", f_scale=0.1).x)


def lines_of(name: str, how: str, machine: Machine, messages: Sequence[Message]) -> list[str]:
    """A line for large messages, and one for small ones."""
    found = []
    for what, chosen in (
        ("1 MB and more", [message for message in messages if message.payload >= LARGE]),
        ("less", [message for message in messages if message.payload < LARGE]),
    ):
        if not chosen:
            continue
        errors = [predicted(machine, message) / message.seconds - 1 for message in chosen]
        absolute = [abs(error) for error in errors]
        figures = f"{median(absolute):.3f} | {mean(absolute):.3f} | {mean(errors):+.3f} | {max(errors, key=abs):+.2f}"
        found.append(f"| {name} | {how} | {what} | {len(chosen)} | {figures} |")
    return found


def told(link: Link) -> str:
    """A tier's constants."""
    return f"{link.name} {link.bandwidth / 1e9:.3g} GB/s, {link.latency * 1e6:.3g} us"


def main() -> None:
    """Fit, predict, print and keep the table."""
    lines = [
        "| machine | constants | messages | rows | median error | mean error | bias | worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    tiers = []
    for name, pairs in published.messages(published.training(published.folder())).items():
        machine, everything = load_machine(name), [message for _, message in pairs]
        half = fitted(machine, [message for row, message in pairs if not published.held_back(row)])
        other = [message for row, message in pairs if published.held_back(row)]
        lines += lines_of(name, "of its other half", half, other)
        lines += lines_of(name, "of its file", machine, everything)
        whole = fitted(machine, everything)
        tiers.append(f"- {name}, all rows: " + "; ".join(told(link) for link in whole.links))
    keep("predict_collectives", TITLE, [*lines, "", *tiers], measured=False)


if __name__ == "__main__":
    main()
