"""A card: one claim with its verdict and all that is needed to settle it again, elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crossover.config import build
from crossover.errors import ConfigError
from crossover.models.presets import family_of, parse_model
from crossover.study.audit.claim import Claim
from crossover.study.audit.evidence import Curve, Evidence
from crossover.study.audit.experiments import EXPERIMENTS
from crossover.study.audit.rules import Finding
from crossover.study.audit.words import _, listing, sentences

VERSION = 1
_ASKED = ("version", "id", "verdict", "sentence", "level", "claim", "rule_hash", "machine")
"""What a card must have."""
_CARDS_OWN = ("version", "claim", "rule_hash")
"""What stands on a card alone."""


def card(told: Mapping[str, Any], claim: Claim) -> dict[str, Any]:
    """What was found of a claim, with the claim itself and the hash of what decides it."""
    return {"version": VERSION, **told, "claim": asdict(claim), "rule_hash": rule_hash(claim, told["level"])}


def told_on(card: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a card tells of its claim, as ``study.json`` lists it; `path` is the card's."""
    return {name: value for name, value in card.items() if name not in _CARDS_OWN} | {"card": str(path)}


def rule_hash(claim: Claim, level: str) -> str:
    """Of all that decides beforehand: the rule, its parameters, the experiments and their settings at a level.

    Defaults count as well, so that another version that measures otherwise has another hash.
    """
    decides = {
        "rule": claim.rule,
        "parameters": asdict(claim.rule_parameters()),
        "experiments": {name: asdict(claim.settings(name, level)) for name in claim.experiments},
    }
    return hashlib.sha256(json.dumps(given(decides), sort_keys=True).encode()).hexdigest()


def given(value: Any) -> Any:
    """Settings without what is left empty in them: a field that is new leaves earlier cards and evidence valid."""
    if isinstance(value, dict):
        return {key: given(item) for key, item in value.items() if item not in ("", (), {})}
    return [given(item) for item in value] if isinstance(value, list | tuple) else value


def load_card(path: Path) -> tuple[dict[str, Any], Claim]:
    """A card that `crossover audit` wrote, and its claim; anything else, or another version's, is a ConfigError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no card ({error}): give a file from an audit's folder cards") from None
    missing = [name for name in _ASKED if not isinstance(value, dict) or name not in value]
    if missing:
        raise ConfigError(f"{path} lacks {missing[0]!r}, so it is no card: give a file from an audit's folder cards")
    if value["version"] != VERSION:
        raise ConfigError(
            f"{path} is a card of version {value['version']}, this is version {VERSION}: settle the claim again with "
            f"crossover audit {value['id']}"
        )
    claim = build(Claim, value["claim"], path=f"{path.name}.claim")
    claim.check(value["level"])
    if rule_hash(claim, value["level"]) != value["rule_hash"]:
        raise ConfigError(
            f"{path} was decided by another rule or other settings than its claim has in this version of Crossover: "
            f"settle it again with crossover audit {value['id']}"
        )
    return value, claim


def tell_claim(
    claim: Claim,
    finding: Finding,
    evidence: Mapping[str, Evidence],
    *,
    command: str,
    level: str,
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """The claim with its verdict, as ``study.json`` and its card hold it."""
    scope = listing(found.scope for found in evidence.values() if found.scope)
    foretold = [line for found in evidence.values() for line in found.foretold]
    return {
        "id": claim.id,
        "statement": claim.statement,
        "verdict": finding.verdict,
        "where": finding.where,
        "scope": scope,
        "sentence": sentences([finding.sentence, *([_("Scope: {scope}.", scope=scope)] if scope else [])]),
        "figures": [*finding.figures, *foretold],
        "figure": _figure(finding.drawn, claim),
        "how": [line for found in evidence.values() for line in found.how],
        "measured": any(interval.low < interval.high for curve in finding.drawn for interval in curve.y),
        "command": command,
        "level": level,
        "machine": dict(machine),
    }


def _figure(curves: Sequence[Curve], claim: Claim) -> dict[str, Any] | None:
    """The curves that decided, over every x that one of them has; None where there are none."""
    if not curves:
        return None
    measure = curves[0].measure
    axes = next(
        found.measures[measure] for found in map(EXPERIMENTS.get, claim.experiments) if measure in found.measures
    )
    points = dict.fromkeys(value for curve in curves for value in curve.x)
    x = list(points) if any(isinstance(point, str) for point in points) else sorted(points)
    return {
        "x": x,
        "series": [_series(curve, x) for curve in curves if curve.measure == measure],
        "x_title": axes.x,
        "y_title": axes.y,
        "log_x": axes.log_x,
        "log_y": axes.log_y,
    }


def _series(curve: Curve, x: Sequence[float | str]) -> dict[str, Any]:
    at = dict(zip(curve.x, curve.y, strict=True))
    found = [at.get(value) for value in x]
    return {
        "name": curve.title,
        "family": "baseline" if curve.labels.get("baseline") else family_of(parse_model(curve.name)),
        "y": [interval and interval.value for interval in found],
        "low": [interval and interval.low for interval in found],
        "high": [interval and interval.high for interval in found],
    }
