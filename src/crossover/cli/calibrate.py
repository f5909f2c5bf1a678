"""``crossover calibrate``: measure this machine, so that the planner knows it."""

from __future__ import annotations

from pathlib import Path

from crossover.cli.flags import COMMON, Common
from crossover.cli.output import print_document, print_text


def calibrate(*, out: Path | None = None, devices: int = 1, common: Common = COMMON) -> int:
    """Measure products, memory, recurrences and messages here, and write them as a machine for the planner.

    Parameters
    ----------
    out
        The file to write (by itself one in the cache folder, which runs on this machine are predicted from).
    devices
        How many ranks share this machine: each has its part of the cores.
    """
    from crossover.config import to_toml
    from crossover.errors import ConfigError
    from crossover.files import make_folder, write_file
    from crossover.measure.calibrate import calibrate as measure
    from crossover.measure.calibrate import to_mapping
    from crossover.planning.here import calibrated_file

    if devices < 1:
        raise ConfigError(f"--devices is {devices}: give the number of ranks that share this machine, 1 or more")
    if out is None:
        out = calibrated_file(devices)
        make_folder(out.parent)
    if out.suffix != ".toml":
        raise ConfigError(f"--out {out} is no TOML file: give a name that ends in .toml")
    machine, source = measure(devices=devices)
    document = to_mapping(machine, source)
    write_file(out, to_toml(document))
    if common.json:
        print_document({"file": str(out), **document})
        return 0
    print_text(f"{machine.title}, {source}")
    for precision, rate in machine.rates.items():
        print_text(f"{precision}: {rate.achievable / 1e9:.0f} GFLOP/s")
    print_text(
        f"memory: {machine.memory_bandwidth / 1e9:.1f} GB/s; a kernel starts in {machine.launch_seconds:.1e} s"
    )
    for link in machine.links:
        print_text(f"{link.name}: {link.bandwidth / 1e9:.2f} GB/s, {link.latency:.1e} s a message")
    print_text(f"written to {out}")
    return 0
