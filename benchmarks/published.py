"""Measurements that others have published, as rows of two tables that this project does not hold itself."""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crossover.planning.communication import Operation
from crossover.planning.recurrent import Kernel, Pass

Row = Mapping[str, str]

_GATES = {"LSTM": 4, "GRU": 3, "vanilla RNN": 1}
_PASSES: dict[str, Pass] = {
    "kernel_forward": "forward",
    "kernel_backward_inputs": "backward",
    "kernel_backward_weights": "weights",
}
DEVICES = {
    ("V100", "fp16 in/fp32 acc"): ("v100-16", "fp16"),
    ("V100", "fp32"): ("v100-16", "fp32"),
    ("P100", "fp32"): ("p100", "fp32"),
    ("TitanX Pascal", "fp32"): ("titan-x-pascal", "fp32"),
    ("TitanXp", "fp32"): ("titan-xp", "fp32"),
    ("GTX1080Ti", "fp32"): ("gtx-1080-ti", "fp32"),
}
"""Our machine and number format, by the table's."""


def folder() -> Path:
    """The folder of the tables, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("published", type=Path, help="the folder with measured_training.csv")
    return parser.parse_args().published


def training(published: Path) -> list[dict[str, str]]:
    """The rows of measured_training.csv."""
    with (published / "measured_training.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def kernels(rows: list[dict[str, str]]) -> dict[tuple[str, str], list[tuple[Row, Kernel]]]:
    """The recurrent kernels of DeepBench, by our machine and number format."""
    found: dict[tuple[str, str], list[tuple[Row, Kernel]]] = {key: [] for key in DEVICES.values()}
    for row in rows:
        if "DeepBench" not in row["source"] or row["metric"] not in _PASSES:
            continue
        kernel = Kernel(
            gates=next(gates for name, gates in _GATES.items() if name in row["model_family"]),
            hidden=int(row["hidden"]),
            batch=int(row["micro_batch"]),
            time=int(row["seq"]),
            kind=_PASSES[row["metric"]],
            seconds=float(row["value"]) * 1e-3,
        )
        found[DEVICES[row["gpu"], row["precision"]]].append((row, kernel))
    return found


def held_back(row: Row) -> bool:
    """Whether a row is one of the half that nothing is fitted to: by a hash of what it says."""
    return hashlib.sha256("|".join(row.values()).encode()).digest()[0] % 2 == 0


@dataclass(frozen=True)
class Message:
    """One timed message: `ranks` devices, of which `together` stand in one host."""

    operation: Operation
    ranks: int
    together: int
    payload: float
    seconds: float


_NETWORKS = {
    "A100 (DGX)": "a100-40",
    "H100 (DGX)": "h100-sxm",
    "P100": "p100",
    "TitanX Pascal": "titan-x-pascal",
    "GTX1080Ti": "gtx-1080-ti",
}


def messages(rows: list[dict[str, str]]) -> dict[str, list[tuple[Row, Message]]]:
    """Collectives of one library by our machine: of vidur, and of DeepBench where NCCL was what they give."""
    found: dict[str, list[tuple[Row, Message]]] = {name: [] for name in _NETWORKS.values()}
    for row in rows:
        name, ranks, seconds = _NETWORKS.get(row["gpu"]), row["n_gpus"], float(row["value"] or 0) * 1e-3
        if name is None:
            continue
        if "vidur" in row["source"]:
            size, together = (int(part) for part in re.findall(r"(?:column|per_node)=(\d+)", row["note"]))
            operation: Operation = "send" if row["metric"] == "send_recv_time" else "all-reduce"
        elif row["metric"] == "allreduce_time" and "NCCL" in row["note"]:
            size, hosts = (int(part) for part in re.findall(r"\((\d+) bytes\); nodes=(\d+)", row["note"])[0])
            operation, together = "all-reduce", int(ranks) // hosts
        else:
            continue
        found[name].append((row, Message(operation, int(ranks), together, size, seconds)))
    return found
