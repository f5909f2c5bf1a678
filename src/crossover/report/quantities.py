"""Numbers for people: a few significant digits and a unit that fits. The same in every language."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NOT_MEASURED = "n/a"
MINUS = "\N{MINUS SIGN}"

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def score(value: float | None) -> str:
    """A quality figure: three decimals below ten, fewer above, significant digits where it is tiny."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    size = abs(value)
    if 0 < size < 0.01:
        text = f"{value:.2g}" if size < 0.0005 else f"{value:.4f}"
    else:
        text = f"{value:.{3 if size < 10 else 2 if size < 100 else 1}f}"
    return text.replace("-", MINUS)


def interval(value: Mapping[str, Any] | float | None) -> tuple[str, str]:
    """A value and its 95 % bounds as two texts, the second empty where there are none."""
    if value is None:
        return NOT_MEASURED, ""
    if not isinstance(value, Mapping):
        return score(float(value)), ""
    low, high = value.get("low"), value.get("high")
    bounds = f"{score(low)} – {score(high)}" if low is not None and high is not None else ""
    return score(value["value"]), bounds


def with_bounds(value: Mapping[str, Any] | float | None) -> str:
    """``0.912 (0.901 – 0.923)``."""
    middle, bounds = interval(value)
    return f"{middle} ({bounds})" if bounds else middle


def value_of(value: Mapping[str, Any] | float | None) -> float | None:
    """The middle of an interval, or the plain number itself."""
    return value["value"] if isinstance(value, Mapping) else value


def seconds(value: float | None) -> str:
    """A duration: ``12.3 ms``, ``1.24 s``, ``2 min 05 s``."""
    if value is None:
        return NOT_MEASURED
    if value >= 3600:
        return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"
    if value >= 100:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{_digits(value / factor)} {unit}"
    return f"{_digits(value / 1e-9)} ns" if value > 0 else "0 s"


def size(value: float | None) -> str:
    """Bytes: ``12.3 MB`` (a megabyte is a million bytes)."""
    return _scaled(value, "B")


def operations(value: float | None) -> str:
    """Floating-point operations: ``1.24 GFLOP``."""
    return _scaled(value, "FLOP")


def count(value: float | None) -> str:
    """A count, shortened: ``48.1 k``, ``1.24 M``."""
    return _scaled(value, "").strip()


def whole(value: float | None) -> str:
    """A count in full: ``12,345``."""
    return NOT_MEASURED if value is None else f"{round(value):,}"


def share(value: float | None) -> str:
    """A share in per cent: ``41 %``."""
    return NOT_MEASURED if value is None else f"{_digits(100 * value)} %"


def plain(value: float | int | None) -> str:
    """A setting or an axis value as one would type it: ``0.003``, ``2,048``."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,}" if isinstance(value, int) else f"{int(value):,}" if value.is_integer() else f"{value:.3g}"


def _scaled(value: float | None, unit: str) -> str:
    if value is None:
        return NOT_MEASURED
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{_digits(value / factor) if factor > 1 else f'{value:.3g}'} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
