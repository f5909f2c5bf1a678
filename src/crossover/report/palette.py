"""One look per model, the same in every chart: the family gives the hue, the model its shade, symbol and dash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crossover.report.blocks import Style
from crossover.report.messages import Message, _

FAMILIES: dict[str, Message] = {
    "recurrent": _("recurrent"),
    "attention": _("attention"),
    "hybrid": _("hybrid"),
    "other": _("other"),
    "baseline": _("baseline"),
    "published": _("published"),
}
SHADES = 4
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_DASHES = ("solid", "dash", "dot", "dashdot")


def family_name(family: str) -> Message | str:
    """The word for a family."""
    return FAMILIES.get(family, family)


def palette(study: Mapping[str, Any]) -> dict[str, Style]:
    """The style of every model named in `study`, in order of appearance."""
    return styles([*_models(study.get("table") or []), *_models(_curves(study))])


def styles(models: Iterable[tuple[str, str]]) -> dict[str, Style]:
    """A style for each (model, family); within a family no two are alike."""
    chosen: dict[str, Style] = {}
    used: dict[str, int] = {}
    for model, family in models:
        if model in chosen:
            continue
        hue = family if family in FAMILIES else "other"
        nth = used.get(hue, 0)
        used[hue] = nth + 1
        chosen[model] = Style(f"{hue}-{nth % SHADES + 1}", _SYMBOLS[nth % len(_SYMBOLS)], _DASHES[nth % len(_DASHES)])
    return chosen


def _models(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(row["model"], row.get("family") or "other") for row in rows]


def _curves(study: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    scale = study.get("scale")
    return scale["curves"] if scale else []
