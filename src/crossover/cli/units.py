"""Amounts as people write them: ``10ms``, ``15m``, ``200MB``."""

from __future__ import annotations

import re

from crossover.errors import ConfigError

_AMOUNT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zA-Zµ]+)\s*", re.IGNORECASE)
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


def parse_seconds(text: str | None, flag: str) -> float | None:
    """``10ms`` in seconds; None stays None. Anything else is a ConfigError."""
    return _parse(text, flag, _SECONDS, "10ms, 1.5s, 15m or 2h")


def parse_bytes(text: str | None, flag: str) -> float | None:
    """``200MB`` in bytes; None stays None. Anything else is a ConfigError."""
    return _parse(text, flag, _BYTES, "200MB or 1.5GiB")


def _parse(text: str | None, flag: str, units: dict[str, float], examples: str) -> float | None:
    if text is None:
        return None
    found = _AMOUNT.fullmatch(text)
    if not found or found[2].lower() not in units:
        raise ConfigError(f"{flag} {text!r} is not an amount: write a number and a unit, such as {examples}")
    amount = float(found[1]) * units[found[2].lower()]
    if amount <= 0:
        raise ConfigError(f"{flag} {text!r} is zero: give a positive amount, such as {examples}")
    return amount
