"""Processes that are measured in turn: each is ready before the first counts, and one works at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
"""Settings of glibc under which large tensors are not mapped and unmapped at every step."""


@dataclass(frozen=True)
class Child:
    """A process: what the script is called with, and variables beside those of this process."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


STOCK_TOO = {"ours": Child(["ours"]), "stock": Child(["stock"]), "stock, same allocator": Child(["stock"], ALLOCATOR)}
"""Ours under its own policy, the stock model with the platform's defaults, and again with our allocator."""


def serve(measure: Callable[[], float]) -> None:
    """In the child: say that it is ready, then print one figure for every line of input."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


def measured_in_turn(script: str, children: Mapping[str, Child], *, rounds: int) -> dict[str, list[float]]:
    """The figures of each child, round by round; a child that does not get ready ends the benchmark."""
    taken: dict[str, list[float]] = {label: [] for label in children}
    with ExitStack() as stack:
        running = {}
        for label, child in children.items():
            process = subprocess.Popen(
                [sys.executable, script, *child.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **child.environment},
            )
            running[label] = stack.enter_context(process)
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"{label} ({' '.join(child.arguments)}) did not start")
        for _ in range(rounds):
            for label, process in running.items():
                process.stdin.write("\n")
                process.stdin.flush()
                taken[label].append(json.loads(process.stdout.readline()))
        for process in running.values():
            process.stdin.close()
    return taken
