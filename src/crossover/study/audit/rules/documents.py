"""Rules about what is documented."""

from __future__ import annotations

from dataclasses import dataclass

from crossover.study.audit.rules import Finding, Observed, Rule, Verdict, check_bounds, found_across
from crossover.study.audit.words import Said, _


@dataclass(frozen=True, kw_only=True)
class DatedParameters:
    """Every publication is of a year from `first` to `last`."""

    first: int
    last: int

    measures = ("year",)
    models = ()

    def __post_init__(self) -> None:
        check_bounds(self.first, self.last)


def dated(observed: Observed, parameters: DatedParameters) -> Finding:
    """For each publication, whether its year lies there."""
    cases: list[tuple[Said, Verdict]] = []
    for curve in observed.curves("year"):
        year = int(curve.x[0])
        inside = parameters.first <= year <= parameters.last
        case = _("{name} ({year})", name=curve.name, year=str(year))
        cases.append((case, "holds" if inside else "does not hold"))
    return found_across(observed, cases, drawn=())


DATED = Rule(parameters=DatedParameters, decide=dated)
