"""Sharding, a value: how a mixer splits over `tensor`, and how its state travels over `sequence`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """What a mixer admits.

    `divisible` names the sizes that a tensor degree must divide (``{"heads": 8, "width": 256}``). `state` says
    what crosses ranks when time is split: the state is handed on (``"hand-on"``), chunk summaries are combined
    (``"scan"``), or keys and values are gathered (``"gather"``); ``"none"`` refuses, for the reason in `refusal`.
    """

    divisible: Mapping[str, int] = field(default_factory=dict)
    state: Literal["hand-on", "scan", "gather", "none"] = "hand-on"
    refusal: str = ""
