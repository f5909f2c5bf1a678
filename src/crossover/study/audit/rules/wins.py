"""A rule that counts: on how many kinds of test rows one model is ahead of another, by a sign test."""

from __future__ import annotations

from dataclasses import dataclass

from crossover.measure.statistics import holm
from crossover.study.audit.evidence import Curve
from crossover.study.audit.rules import Finding, Observed, Rule, Verdict, found_across, not_measured
from crossover.study.audit.words import Said, _, listing, number


@dataclass(frozen=True, kw_only=True)
class WinsParameters:
    """`subject` is ahead of `rival` on more kinds of rows than chance would have it."""

    subject: str
    rival: str

    measures = ("score by kind",)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.subject, self.rival)


@dataclass(frozen=True)
class Count:
    """The kinds of one case on which the subject is ahead, and those on which it is behind; ties are neither."""

    case: str
    ahead: list[str]
    behind: list[str]

    @property
    def p_value(self) -> float:
        """Of the sign test, two-sided."""
        from scipy.stats import binomtest

        decided = len(self.ahead) + len(self.behind)
        return float(binomtest(len(self.ahead), decided).pvalue) if decided else 1.0

    def told(self) -> Said:
        """The counts, and which kinds they are."""
        return _(
            "{case}: ahead on {won} kinds ({ahead}), behind on {lost} ({behind}), p = {p}.",
            case=self.case,
            won=number(len(self.ahead)),
            lost=number(len(self.behind)),
            ahead=listing(self.ahead) or "-",
            behind=listing(self.behind) or "-",
            p=f"{self.p_value:.2g}",
        )


def wins(observed: Observed, parameters: WinsParameters) -> Finding:
    """For each case a sign test over its kinds, corrected by Holm over the cases."""
    curves = observed.curves("score by kind", parameters.models)
    rivals = {curve.labels["series"]: curve for curve in curves if curve.name == parameters.rival}
    pairs = [(own, rivals.get(own.labels["series"])) for own in curves if own.name == parameters.subject]
    counts = [_count(own, rival) for own, rival in pairs if rival is not None]
    certain = holm([count.p_value for count in counts])
    cases = [(count.case, _verdict(count, sure)) for count, sure in zip(counts, certain, strict=True)]
    return found_across(cases, after=[*(count.told() for count in counts), *not_measured(observed)], drawn=curves)


def _count(own: Curve, rival: Curve) -> Count:
    sign = -1 if own.labels.get("lower_is_better") else 1
    others = dict(zip(rival.x, rival.values, strict=True))
    leads = {
        str(kind): sign * (value - others[kind])
        for kind, value in zip(own.x, own.values, strict=True)
        if kind in others
    }
    ahead, behind = ([kind for kind, lead in leads.items() if lead * side > 0] for side in (1, -1))
    return Count(str(own.labels["series"]), ahead, behind)


def _verdict(count: Count, sure: bool) -> Verdict:
    if not sure:
        return "not decided"
    return "holds" if len(count.ahead) > len(count.behind) else "does not hold"


WINS = Rule(parameters=WinsParameters, decide=wins)
