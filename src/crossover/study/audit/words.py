"""Sentences as data: an English template and its values, which a report says in any language.

`study` comes before `report`, so a sentence is stored as ``{"message", "values"}`` and translated when it is read.
`_` marks templates for extraction, as in `crossover.report.messages`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

Said = str | dict[str, Any]
_COMMA = re.compile(r",(?!\d{3})")
"""A comma, other than that of thousands."""


def _(text: str, /, **values: Said) -> dict[str, Any]:
    """A sentence whose ``{name}`` stand for `values`."""
    return {"message": text, "values": values}


def sentences(items: Iterable[Said]) -> Said:
    """Several sentences after one another; "" for none."""
    return _joined(items, "{sentence} {next}", "sentence")


def listing(items: Iterable[Said]) -> Said:
    """Several things after one another, commas between them, or semicolons if one has commas itself; "" for none."""
    told = list(items)
    plain = not any(_COMMA.search(english(item)) for item in told)
    pattern = _("{first}, {next}") if plain else _("{first}; {next}")
    return _joined(told, pattern["message"], "first")


def number(value: float) -> str:
    """A figure with three significant digits, or a whole number in full."""
    if abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"


def power_of_ten(exponent: float) -> str:
    """``1e-30``: a number known by its decimal logarithm, also where it is too small for a float."""
    whole = int(exponent // 1)
    return f"{10 ** (exponent - whole):.0f}e{whole:+d}" if abs(exponent) >= 4 else number(10.0**exponent)


def english(said: Said) -> str:
    """The sentence in English."""
    if isinstance(said, str):
        return said
    text = str(said["message"])
    values: Mapping[str, Said] = said.get("values", {})
    for name, value in values.items():
        text = text.replace("{" + name + "}", english(value))
    return text


def _joined(items: Iterable[Said], pattern: str, before: str) -> Said:
    told = list(items)
    if not told:
        return ""
    return reduce(lambda one, other: {"message": pattern, "values": {before: one, "next": other}}, told)
