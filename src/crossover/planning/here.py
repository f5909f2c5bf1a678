"""The machine that a run is on, as the planner knows it: what `crossover calibrate` wrote, or a device by name."""

from __future__ import annotations

from pathlib import Path

from crossover.data.catalogue import cache_folder
from crossover.errors import CrossoverError
from crossover.planning.machine import Machine, load_machine

_DEVICES = {
    "H200": "h200",
    "H100": "h100-sxm",
    "GB200": "gb200",
    "B200": "b200",
    "A100-SXM4-80": "a100-80",
    "A100-SXM4-40": "a100-40",
    "A40": "a40",
    "V100-SXM2-32": "v100-32",
    "V100-SXM2-16": "v100-16",
    "P100": "p100",
}
"""Machines by a part of the name that CUDA gives a device."""


def calibrated_file(devices: int) -> Path:
    """Where `crossover calibrate` keeps what it found of this machine, shared by so many ranks."""
    return cache_folder() / "machines" / f"here-{devices}.toml"


def calibrated_title(processor: str, threads: int) -> str:
    """What a machine of that file is called: another processor, or another share of it, is another machine."""
    return f"{processor}, {threads} threads a device"


def this_machine(processor: str, threads: int, devices: int) -> Machine | None:
    """A CPU that was calibrated for as many ranks as `devices`, each of so many threads; None where it was not.

    None as well where the file cannot be read, such as one of another release: a finished run is not lost for it.
    """
    file = calibrated_file(devices)
    if not file.is_file():
        return None
    try:
        machine = load_machine(file)
    except CrossoverError:
        return None
    return machine if machine.title == calibrated_title(processor, threads) else None


def known_device(name: str) -> Machine | None:
    """An accelerator by the name that CUDA gives it; None for one of which no file tells."""
    found = next((machine for part, machine in _DEVICES.items() if part in name), None)
    return load_machine(found) if found is not None else None
