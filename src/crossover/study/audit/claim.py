"""A claim as data: what is said, the experiments that measure it, and the rule that decides. One TOML file each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, get_args

from crossover.config import build, load_toml
from crossover.errors import ConfigError, listing, unknown
from crossover.models.presets import parse_model
from crossover.study.audit.experiments import EXPERIMENTS
from crossover.study.audit.rules import RULES

Level = Literal["quick", "full"]
LEVELS: tuple[str, ...] = get_args(Level)

_BUILT_IN = Path(__file__).resolve().parent / "claims"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about models and what settles it.

    `parameters` are the rule's; `quick` and `full` hold, by experiment, the settings that differ from that level's
    own (``[quick.memory] lengths = [256, 512]``), and `both` those of either level.
    """

    id: str
    statement: str
    experiments: tuple[str, ...]
    rule: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    both: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quick: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    full: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def rule_parameters(self) -> Any:
        """The rule's parameters, checked."""
        return build(RULES.get(self.rule).parameters, self.parameters, path=f"{self.id}.parameters")

    def settings(self, experiment: str, level: str) -> Any:
        """The settings of one of its experiments at a level, checked."""
        own = self.quick if level == "quick" else self.full
        changes = {**self.both.get(experiment, {}), **own.get(experiment, {})}
        return EXPERIMENTS.get(experiment).settings_at(level, changes, path=f"{self.id}.{level}.{experiment}")

    def check(self, level: str) -> None:
        """Raise a ConfigError for whatever could not be measured or decided, before anything is."""
        if not self.experiments:
            raise ConfigError(f"claim {self.id!r} names no experiment: use {listing(EXPERIMENTS.names())}")
        for name in (*self.both, *self.quick, *self.full):
            if name not in self.experiments:
                raise ConfigError(
                    f"claim {self.id!r}: " + unknown("experiment in its settings", name, self.experiments)
                )
        parameters = self.rule_parameters()
        given = [measure for name in self.experiments for measure in EXPERIMENTS.get(name).measures]
        for measure in parameters.measures:
            if measure not in given:
                raise ConfigError(
                    f"claim {self.id!r}: rule {self.rule!r} reads {measure!r}, but its experiments "
                    f"({', '.join(self.experiments)}) give {listing(given)}"
                )
        measured = [model for name in self.experiments for model in self.settings(name, level).models]
        for model in measured:
            parse_model(model)
        for model in parameters.models:
            if model not in measured:
                raise ConfigError(f"claim {self.id!r}: " + unknown("model", model, dict.fromkeys(measured)))


def load_claim(path: Path) -> Claim:
    """The claim in a TOML file; an unknown experiment or rule, or a missing field, is a ConfigError that says what
    is admissible."""
    values = load_toml(path)
    for name in ("id", "statement", "experiments", "rule"):
        if name not in values:
            choices = {"experiments": EXPERIMENTS.names(), "rule": RULES.names()}.get(name)
            raise ConfigError(f"{path} lacks {name!r}" + (f": use {listing(choices)}" if choices else ": give one"))
    claim = build(Claim, values, path=str(path.name))
    for experiment in claim.experiments:
        EXPERIMENTS.entry(experiment)
    RULES.entry(claim.rule)
    if not claim.id.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"{path}: id {claim.id!r} names a file: use letters, digits, - and _")
    return claim


@cache
def built_in_claims() -> dict[str, Claim]:
    """The claims that come with the package, by id, in the order of their numbers."""
    claims = [load_claim(path) for path in _BUILT_IN.glob("*.toml")]
    return {claim.id: claim for claim in sorted(claims, key=lambda claim: (len(claim.id), claim.id))}


def find_claims(names: Sequence[str], level: str) -> list[Claim]:
    """The named claims, or all that come with the package; a name that ends in ``.toml`` is a file of one's own."""
    if level not in LEVELS:
        raise ConfigError(unknown("level", level, LEVELS))
    claims = [_find(name) for name in names] or list(built_in_claims().values())
    twice = sorted({claim.id for claim in claims if [c.id for c in claims].count(claim.id) > 1})
    if twice:
        raise ConfigError(f"claim {twice[0]!r} is given twice: name each once")
    for claim in claims:
        claim.check(level)
    return claims


def _find(name: str) -> Claim:
    if name.endswith(".toml"):
        return load_claim(Path(name))
    by_id = {claim_id.lower(): claim for claim_id, claim in built_in_claims().items()}
    if name.lower() not in by_id:
        raise ConfigError(unknown("claim", name, built_in_claims()))
    return by_id[name.lower()]


def extract_statements(
    file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Sequence[str], options: Mapping[str, Any]
) -> Iterator[tuple[int, str, str, list[str]]]:
    """Babel's extractor for claim files: the statement and the names of cases are messages for translators."""
    for number, line in enumerate(file.read().decode("utf-8").splitlines(), start=1):
        if line.startswith(("statement = ", "name = ")):
            (said,) = tomllib.loads(line).values()
            yield number, "_", str(said), []
