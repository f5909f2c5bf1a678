"""A card, settled again on this machine: confirmed, refuted, or out of its scope."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crossover.measure.numerics import available_devices
from crossover.study.audit.card import load_card
from crossover.study.audit.run import Tell, settle
from crossover.study.audit.words import english

Outcome = Literal["confirmed", "refuted", "out of scope"]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What came of a card: the verdict that it has and the one found here, each with its sentence as it is stored."""

    claim: str
    outcome: Outcome
    reason: str
    held: dict[str, Any]
    found: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "claim": self.claim,
            "outcome": self.outcome,
            "reason": self.reason,
            "held": self.held,
            "found": self.found,
        }


def verify_card(path: Path, folder: Path, *, command: str | None = None, tell: Tell | None = None) -> Verification:
    """Measure in `folder` what the card's claim asks for, by the same rule, and compare the verdicts.

    A card of a device that is not here, or that nothing is decided of here, is out of scope. A file that is no card
    of this version is a ConfigError.
    """
    value, claim = load_card(path)
    held = _verdict(value)
    named = value["machine"]["device"]
    device = named if named in ("cpu", "mps") else "cuda"
    if device not in available_devices():
        reason = f"it was measured on {named}, and there is no {device} here"
        return Verification(claim=claim.id, outcome="out of scope", reason=reason, held=held, found=None)
    document = settle({claim.id: claim}, folder, value["level"], device, "auto", command, tell)
    found = _verdict(document["claims"][0])
    outcome, reason = compare(told(held), told(found))
    return Verification(claim=claim.id, outcome=outcome, reason=reason, held=held, found=found)


def told(verdict: dict[str, Any]) -> str:
    """A verdict in words, with where it holds: the same word with another range is another verdict."""
    return " ".join(filter(None, (verdict["verdict"], english(verdict["where"] or ""))))


def compare(held: str, found: str) -> tuple[Outcome, str]:
    """What a verdict found here says of the one on a card; both as `told` has them."""
    if found == held:
        return "confirmed", f"both times: {held}"
    if found == "not decided":
        return "out of scope", f"the card says {held}, and here it is not decided"
    return "refuted", f"the card says {held}, and here it is: {found}"


def _verdict(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told.get(name) for name in ("verdict", "where", "sentence")}
