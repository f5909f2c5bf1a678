"""An audit: every claim's experiments are carried out, each once, and its rule gives the verdict."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from crossover.files import write_json
from crossover.measure.numerics import Numerics, check_device, choose
from crossover.study.audit.card import card, given, tell_claim, told_on
from crossover.study.audit.claim import Claim, find_claims
from crossover.study.audit.evidence import Bench, Evidence
from crossover.study.audit.experiments import EXPERIMENTS
from crossover.study.audit.rules import RULES, Observed
from crossover.study.machine import machine
from crossover.study.store import Store
from crossover.train.record import finite

Tell = Callable[[str], None]


def run_audit(
    names: Sequence[str],
    folder: Path,
    *,
    level: str = "quick",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    command: str | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Settle the named claims (all built-in ones if none is named) in `folder`; returns the study's document.

    What an earlier call in the same folder measured is read back: evidence by its settings, a claim's card by the
    claim. Ctrl-C saves the cards that are finished and is raised again. Raises ConfigError for an unknown claim,
    level or device and for a claim file that asks for what there is not, CheckpointError for another study's folder.
    """
    claims = find_claims(names, level)
    asked = list(names) or [claim.id for claim in claims]
    return settle(dict(zip(asked, claims, strict=True)), folder, level, device, precision, command, tell)


def settle(
    claims: Mapping[str, Claim],
    folder: Path,
    level: str,
    device: str,
    precision: Literal["auto", "fp32", "bf16"],
    command: str | None,
    tell: Tell | None,
) -> dict[str, Any]:
    """The same for claims that were read and checked, by the names that they are asked for by."""
    audit = _Audit(folder, level, check_device(device), precision, command, tell or (lambda line: None))
    try:
        for name, claim in claims.items():
            audit.settle(claim, name)
    except KeyboardInterrupt:
        audit.save()
        raise
    return audit.save()


class _Audit:
    """An audit under way."""

    def __init__(
        self,
        folder: Path,
        level: str,
        device: str,
        precision: Literal["auto", "fp32", "bf16"],
        command: str | None,
        tell: Tell,
    ) -> None:
        self.started = time.monotonic()
        self.level, self.command, self.tell = level, command, tell
        self.store = Store.open(folder, "audit", {"level": level, "device": device, "precision": precision})
        saved = self.store.load()
        self.numerics = Numerics.restore(saved["numerics"]) if saved else choose(precision, device)
        self.bench = Bench(self.numerics, self.store, tell)
        self.cards: list[dict[str, Any]] = []
        self.steady: bool | None = None
        tell(self.numerics.describe())

    def settle(self, claim: Claim, asked: str) -> None:
        """Measure what the claim needs and is not there yet, decide, and write its card; `asked` is its name."""
        self.tell(f"{claim.id}: {claim.statement}")
        evidence = {name: self._evidence(name, claim) for name in claim.experiments}
        finding = RULES.get(claim.rule).decide(Observed(evidence), claim.rule_parameters())
        path = self.store.folder / "cards" / f"{claim.id}.json"
        steady = [found.steady for found in evidence.values() if found.steady is not None]
        here = machine(self.numerics, steady=all(steady) if steady else None)
        told = tell_claim(claim, finding, evidence, command=self._command(asked), level=self.level, machine=here)
        written = card(told, claim)
        write_json(path, finite(written))
        self.cards.append(told_on(written, path))
        if steady:
            self.steady = all(steady) and self.steady is not False

    def save(self) -> dict[str, Any]:
        """Write and return the study's document, with the claims that are settled so far."""
        document = finite(
            {
                "version": 1,
                "kind": "audit",
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": self.command,
                "seconds": time.monotonic() - self.started,
                "machine": machine(self.numerics, steady=self.steady),
                "numerics": self.numerics.to_json(),
                "settings": {"level": self.level, "claims": [card["id"] for card in self.cards]},
                "tasks": {},
                **{
                    part: []
                    for part in ("table", "runs", "verdicts", "recommendation", "trials", "details", "samples")
                },
                "scale": None,
                "claims": self.cards,
            }
        )
        self.store.save(document)
        return dict(document)

    def _evidence(self, name: str, claim: Claim) -> Evidence:
        """One experiment's evidence: from this folder if it was gathered with the same settings before.

        Times from an unsteady machine are taken again.
        """
        settings = claim.settings(name, self.level)
        told = json.dumps(given(asdict(settings)), sort_keys=True)
        path = self.store.folder / "evidence" / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.json"
        if path.is_file():
            found = Evidence.from_json(json.loads(path.read_text(encoding="utf-8")))
            if found.steady is not False:
                return found
        evidence = EXPERIMENTS.get(name).run(settings, self.bench)
        write_json(path, {**evidence.to_json(), "settings": asdict(settings)})
        return evidence

    def _command(self, asked: str) -> str:
        return f"crossover audit {quote(asked)}" + (" --level full" if self.level == "full" else "")
