"""A rule that counts: on how many kinds of test rows one model is ahead of another, by a sign test."""

from __future__ import annotations

from dataclasses import dataclass

from crossover.measure.statistics import holm
from crossover.study.audit.rules import Finding, Observed, Rule, Verdict, found_across
from crossover.study.audit.rules.pace import Pair, PairParameters, pairs
from crossover.study.audit.words import Said, _, listing, number


@dataclass(frozen=True, kw_only=True)
class WinsParameters(PairParameters):
    """`subject` is ahead of `reference` on more kinds of rows than chance would have it."""

    of: tuple[str, ...] = ("score by kind",)


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
    compared = pairs(observed, parameters)
    counts = [_count(pair) for pair in compared]
    certain = holm([count.p_value for count in counts])
    cases = [(count.case, _verdict(count, sure)) for count, sure in zip(counts, certain, strict=True)]
    drawn = [curve for pair in compared for curve in (pair.subject, pair.reference)]
    told = [count.told() for count in counts]
    return found_across(observed, cases, figures=told, drawn=drawn)


def _count(pair: Pair) -> Count:
    sign = -1 if pair.subject.labels.get("lower_is_better") else 1
    scores, others = (dict(zip(curve.x, curve.values, strict=True)) for curve in (pair.subject, pair.reference))
    leads = {str(kind): sign * (scores[kind] - others[kind]) for kind in pair.common}
    ahead, behind = ([kind for kind, lead in leads.items() if lead * side > 0] for side in (1, -1))
    return Count(str(pair.subject.labels["series"]), ahead, behind)


def _verdict(count: Count, sure: bool) -> Verdict:
    if not sure:
        return "not decided"
    return "holds" if len(count.ahead) > len(count.behind) else "does not hold"


WINS = Rule(parameters=WinsParameters, decide=wins)
