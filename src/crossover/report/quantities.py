"""Numbers for people: a few significant digits and a unit that fits. The same in every language."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

NOT_MEASURED = "n/a"
MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_TICK_PREFIXES = (*_PREFIXES, (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def score(value: float | None, *, beside: float = 0.0) -> str:
    """A quality figure: three decimals below ten, fewer above, two significant digits where it is tiny.

    `beside` is the size of a figure that it stands next to and takes the number of decimals from, if larger.
    """
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    size = max(abs(value), beside)
    if 0 < size < 0.0005:
        text = f"{value:.2g}"
    else:
        text = f"{value:.{4 if 0 < size < 0.01 else 3 if size < 10 else 2 if size < 100 else 1}f}"
    if float(text) == 0:
        text = text.lstrip("-")  # rounded to nothing: a sign would claim a direction
    return text.replace("-", MINUS)


def interval(value: Mapping[str, Any] | float | None) -> tuple[str, str]:
    """A value and its 95 % bounds as two texts, the second empty where there are none."""
    if value is None:
        return NOT_MEASURED, ""
    if not isinstance(value, Mapping):
        return score(float(value)), ""
    middle, low, high = value["value"], value.get("low"), value.get("high")
    if low is None or high is None:
        return score(middle), ""
    widest = max(abs(low), abs(high))
    return score(middle, beside=widest), between(score(low, beside=widest), score(high, beside=widest))


def between(low: str, high: str) -> str:
    """``0.90–0.92``; with spaces where a minus or a unit stands in it."""
    spaced = any(mark in low + high for mark in (MINUS, NBSP))
    return f"{low}{NBSP}–{NBSP}{high}" if spaced else f"{low}–{high}"


def with_bounds(value: Mapping[str, Any] | float | None) -> str:
    """``0.912 (0.901–0.923)``."""
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
        return f"{int(value // 3600)}{NBSP}h {int(value % 3600 // 60):02d}{NBSP}min"
    if value >= 100:
        return f"{int(value // 60)}{NBSP}min {int(value % 60):02d}{NBSP}s"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{_digits(value / factor)}{NBSP}{unit}"
    return f"{_digits(value / 1e-9)}{NBSP}ns" if value > 0 else f"0{NBSP}s"


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
    return NOT_MEASURED if value is None else f"{_digits(100 * value)}{NBSP}%"


def budget(value: str) -> str:
    """A budget as it is typed, with a space before its unit: ``60 s``, ``500 steps``."""
    return re.sub(r"^([\d.eE+]*\d)([A-Za-z]+)$", rf"\1{NBSP}\2", value.strip())


def tick(value: float, unit: str) -> str:
    """A round figure with as few digits as it takes: ``20 ms``, ``5 k``."""
    if not unit and value < 1:
        return f"{value:.4g}"
    factor, prefix = next((p for p in _TICK_PREFIXES if value >= p[0] * 0.999), _TICK_PREFIXES[-1])
    return f"{value / factor:.4g}{NBSP if prefix or unit else ''}{prefix}{unit}"


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
            return f"{_digits(value / factor) if factor > 1 else f'{value:.3g}'}{NBSP}{prefix}{unit}"
    return f"{value:.3g}{NBSP}{unit}"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
