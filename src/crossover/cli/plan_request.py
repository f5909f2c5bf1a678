"""What ``crossover plan`` is asked for, as people write it: devices, links, sweeps, tokens."""

from __future__ import annotations

from collections.abc import Mapping

from crossover.errors import ConfigError


def check_said(given: Mapping[str, object], *, document: bool, kind: str) -> None:
    """Refuse, as a ConfigError, flags that would say nothing.

    Those are sentences beside a `document`, the price of no tokens, and of a pass of another `kind` what only a
    training has.
    """
    said = [flag for flag, value in given.items() if value]
    if document and said:
        raise ConfigError(f"--json prints the plan alone, without what {said[0]} says: leave one of them out")
    asked = [flag for flag in ("--why", "--tokens", "--launch") if given[flag]]
    if kind != "train" and asked:
        raise ConfigError(f"{asked[0]} is of a training, not of --pass {kind}: leave one of them out")
    if given["--price"] is not None and given["--tokens"] is None:
        raise ConfigError("--price is of a training whose length is not given: add --tokens, such as 300B")


def check_counts(given: Mapping[str, int | None]) -> None:
    """Raise a ConfigError for a flag whose number is below 1; None was not given."""
    for flag, value in given.items():
        if value is not None and value < 1:
            raise ConfigError(f"{flag} is {value}: give 1 or more")


def calibrated(devices: int) -> str:
    """The file of this machine as `devices` ranks share it; a ConfigError where it was not calibrated for so many."""
    from crossover.planning.here import calibrated_file

    file = calibrated_file(devices)
    if not file.is_file():
        raise ConfigError(
            f"--check sets steps of this machine beside their predictions, and it was not calibrated for {devices} "
            f"devices: run crossover calibrate --devices {devices} first, or name a machine by --hardware"
        )
    return str(file)


def parse_devices(text: str) -> tuple[int, int | None]:
    """All devices, and those of a host where they were given apart: 64, or 8x8."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdigit() and int(part) for part in parts):
        raise ConfigError(f"--devices {text!r} is no number of devices: write 64, or 8x8 for 8 hosts of 8")
    numbers = [int(part) for part in parts]
    return (numbers[0], None) if len(numbers) == 1 else (numbers[0] * numbers[1], numbers[1])


def parse_links(text: str) -> dict[str, float]:
    """Bytes a second by the name of a link: ``intra=900GB,inter=50GB``."""
    from crossover.cli.units import parse_bytes

    found = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"--link {text!r} has {part!r}: write NAME=BYTES a second, such as intra=900GB")
        found[name.strip()] = parse_bytes(value.removesuffix("/s"), "--link") or 0.0
    return found


def parse_sweep(text: str, devices: int, *, needed: bool) -> tuple[int, ...]:
    """Numbers of devices: those of ``devices=1..64``; by themselves, where `needed`, the powers of two."""
    from crossover.study.axis import parse_axis

    if not text:
        return tuple(1 << power for power in range(devices.bit_length())) if needed else ()
    _, numbers = parse_axis(text, ("devices",))
    return numbers


def parse_amount(text: str) -> float:
    """A number of tokens: ``300B``, ``2M`` or plain digits."""
    scale = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}.get(text[-1:].lower(), 1.0)
    digits = text[:-1] if scale > 1 else text
    try:
        amount = float(digits) * scale
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ConfigError(f"--tokens {text!r} is no number of tokens: write 300B, 2M or 5000000")
    return amount
