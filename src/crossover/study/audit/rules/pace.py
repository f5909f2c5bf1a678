"""Rules about pace: which of two models is faster and where that turns, whether both grow alike, whose falls less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from crossover.measure.statistics import Interval, fit_exponent
from crossover.study.audit.evidence import Curve, Label
from crossover.study.audit.experiments.growth import PASS_NAMES
from crossover.study.audit.rules import Finding, Observed, Rule, Verdict, found_across
from crossover.study.audit.rules.cost import unsteady
from crossover.study.audit.rules.directed import figure
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.crossing import find_crossings, ratio_interval

NAMES: Mapping[str, Said] = {
    "seconds": _("seconds"),
    "seconds to a loss": _("seconds to a validation loss"),
    "loss by size": _("validation loss by parameters"),
    "loss by depth": _("validation loss by layers"),
}
"""The measures that are read here, as sentences name them."""


@dataclass(frozen=True, kw_only=True)
class PairParameters:
    """`subject` against `reference`, in each of the measures `of`."""

    of: tuple[str, ...]
    subject: str
    reference: str

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.of

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.subject, self.reference)


@dataclass(frozen=True)
class Pair:
    """The two models' curves under one condition."""

    subject: Curve
    reference: Curve

    @property
    def common(self) -> list[float]:
        """Where both were measured."""
        return [x for x in self.subject.x if self.reference.at(x) is not None]

    def samples(self, x: float) -> tuple[Sequence[float], Sequence[float]]:
        """Of the subject and of the reference, in pairs."""
        return tuple(curve.samples[curve.x.index(x)] for curve in (self.subject, self.reference))  # type: ignore[return-value]

    @property
    def case(self) -> Said:
        """The condition, as a sentence names it."""
        labels = self.subject.labels
        kind = PASS_NAMES.get(str(labels.get("pass", "")), _(self.subject.measure))
        others = [f"{key} {labels[key]}" for key in ("batch", "threads") if key in labels]
        return listing([kind, *others])


def pairs(observed: Observed, parameters: PairParameters) -> list[Pair]:
    """The subject and the reference under every condition, where both were measured at some x."""
    found = []
    for measure in parameters.of:
        curves = observed.curves(measure, parameters.models)
        references = {_condition(curve): curve for curve in curves if curve.name == parameters.reference}
        for curve in curves:
            if curve.name == parameters.subject and _condition(curve) in references:
                found.append(Pair(curve, references[_condition(curve)]))
    return [pair for pair in found if pair.common]


def _condition(curve: Curve) -> tuple[tuple[str, Label], ...]:
    return tuple(sorted(curve.labels.items()))


def faster(observed: Observed, parameters: PairParameters) -> Finding:
    """The ratio of the two at each x, and where it passes 1."""
    compared = pairs(observed, parameters)
    drawn = tuple(curve for pair in compared for curve in (pair.subject, pair.reference))
    if observed.unsteady:
        return Finding(verdict="not decided", sentence=unsteady(), drawn=drawn)
    cases: list[tuple[Said, Verdict]] = []
    told: list[Said] = []
    for pair in compared:
        ratios = _ratio_at(pair)
        by_verdict: dict[Verdict, list[str]] = {}
        for x, ratio in ratios.items():
            by_verdict.setdefault(_below_one(ratio), []).append(number(x))
        cases += [
            (_("{case} at {places}", case=pair.case, places=listing(places)), verdict)
            for verdict, places in by_verdict.items()
        ]
        told += _ratios(pair, ratios)
    return found_across(observed, cases, figures=told, drawn=drawn)


def paces(observed: Observed, subjects: Sequence[str], rivals: Sequence[str]) -> list[Said]:
    """What share of each rival's seconds each subject takes, and where they take the same; decides nothing."""
    compared = [
        pair
        for subject, rival in product(subjects, rivals)
        for pair in pairs(observed, PairParameters(of=("seconds",), subject=subject, reference=rival))
    ]
    if compared and observed.unsteady:
        return [unsteady()]
    return [said for pair in compared for said in _ratios(pair, _ratio_at(pair))]


def _ratio_at(pair: Pair) -> dict[float, Interval]:
    return {x: ratio_interval(*pair.samples(x)) for x in pair.common}


def _below_one(ratio: Interval) -> Verdict:
    if ratio.high < 1:
        return "holds"
    return "does not hold" if ratio.low > 1 else "not decided"


def _ratios(pair: Pair, ratios: dict[float, Interval]) -> list[Said]:
    """What share of the reference's time the subject takes at the ends, and where they take the same."""
    names = {"case": pair.case, "subject": pair.subject.name, "reference": pair.reference.name}
    told: list[Said] = [
        _(
            "{case}: {subject} takes {ratio} times the seconds of {reference} at {x}.",
            **names,
            ratio=figure(r),
            x=number(x),
        )
        for x, r in ((x, ratios[x]) for x in dict.fromkeys((pair.common[0], pair.common[-1])))
    ]
    if len(pair.common) > 1:
        both = [{x: pair.samples(x)[place] for x in pair.common} for place in (0, 1)]
        told += [
            _("{case}: both take the same at {at}.", case=pair.case, at=figure(crossing.at))
            for crossing in find_crossings(*both)
            if crossing.at is not None
        ]
    return told


@dataclass(frozen=True, kw_only=True)
class SameOrderParameters(PairParameters):
    """Both grow with the same exponent: the difference lies within `margin` of 0; one beyond 0 for certain fails."""

    margin: float = 0.1


def same_order(observed: Observed, parameters: SameOrderParameters) -> Finding:
    """The difference of the exponents under every condition."""
    compared = pairs(observed, parameters)
    drawn = tuple(curve for pair in compared for curve in (pair.subject, pair.reference))
    if observed.unsteady:
        return Finding(verdict="not decided", sentence=unsteady(), drawn=drawn)
    cases: list[tuple[Said, Verdict]] = []
    told: list[Said] = []
    for pair in compared:
        if len(pair.subject.x) < 3 or len(pair.reference.x) < 3:
            cases.append((pair.case, "not decided"))
            continue
        own, other = (fit_exponent(curve.x, curve.values) for curve in (pair.subject, pair.reference))
        apart = difference(own, other)
        excludes = apart.low > 0 or apart.high < 0
        verdict: Verdict = (
            "holds" if apart.inside(parameters.margin) else "does not hold" if excludes else "not decided"
        )
        cases.append((pair.case, verdict))
        values = {"subject": pair.subject.name, "reference": pair.reference.name}
        told.append(
            _(
                "{case}: {subject} grows with the power {own}, {reference} with {other}, a difference of {apart}.",
                case=pair.case,
                own=figure(own),
                other=figure(other),
                apart=figure(apart),
                **values,
            )
        )
    return found_across(observed, cases, figures=told, drawn=drawn)


def difference(a: Interval, b: Interval) -> Interval:
    """a less b, as independent estimates."""
    value = a.value - b.value
    half = (((a.high - a.low) / 2) ** 2 + ((b.high - b.low) / 2) ** 2) ** 0.5
    return Interval(value, value - half, value + half)


@dataclass(frozen=True, kw_only=True)
class FlatterParameters(PairParameters):
    """The subject's figure falls less; what it is along `beside` is told, and decides nothing."""

    beside: tuple[str, ...] = ()


def flatter(observed: Observed, parameters: FlatterParameters) -> Finding:
    """Whether the subject's figure falls less than the reference's, as a power of x, over all seeds."""
    compared = pairs(observed, parameters)
    drawn = tuple(curve for pair in compared for curve in (pair.subject, pair.reference))
    cases: list[tuple[Said, Verdict]] = []
    told: list[Said] = []
    for pair in compared:
        own, other = _slope(pair.subject), _slope(pair.reference)
        case = NAMES[pair.subject.measure]
        cases.append((case, _below(other, own)))
        told.append(
            _(
                "{case}: {subject} falls with the power {own}, {reference} with {other}.",
                case=case,
                subject=pair.subject.name,
                reference=pair.reference.name,
                own=figure(own),
                other=figure(other),
            )
        )
    for measure in parameters.beside:
        told += [_ends(curve) for curve in observed.curves(measure, parameters.models)]
    return found_across(observed, cases, figures=told, drawn=drawn)


def _ends(curve: Curve) -> Said:
    return _(
        "{model}, {case}: {first} at {from}, {last} at {to}.",
        model=curve.name,
        case=NAMES[curve.measure],
        first=number(curve.values[0]),
        last=number(curve.values[-1]),
        **{"from": number(curve.x[0]), "to": number(curve.x[-1])},
    )


def _slope(curve: Curve) -> Interval:
    """The exponent over every seed's figure at every x."""
    points = [(x, y) for x, seeds in zip(curve.x, curve.samples, strict=True) for y in seeds]
    return fit_exponent([x for x, _y in points], [y for _x, y in points])


def steadiness(
    observed: Observed, subjects: Sequence[str], rivals: Sequence[str]
) -> tuple[list[tuple[Said, Verdict]], list[Said]]:
    """Whether scores worsen less along courses than those of rivals, as a power of what grows; and by how much.

    How far the seeds lie apart at the end of a course is told besides. Courses of which no power can be fitted (fewer
    than three places, a score of 0) are left out.
    """
    cases: list[tuple[Said, Verdict]] = []
    told: list[Said] = []
    for subject, rival in product(subjects, rivals):
        for pair in pairs(observed, PairParameters(of=("score along",), subject=subject, reference=rival)):
            if not all(map(_has_slope, (pair.subject, pair.reference))):
                continue
            own, other = _slope(pair.subject), _slope(pair.reference)
            names = {"subject": subject, "reference": rival, "series": str(pair.subject.labels["series"])}
            less, more = (own, other) if pair.subject.labels.get("lower_is_better") else (other, own)
            case = _("{subject} steadier than {reference} along {series}", **names)
            cases.append((case, _below(less, more)))
            told.append(
                _(
                    "Along {series} the score of {subject} goes with the power {own}, that of {reference} with "
                    "{other}; at its end seeds lie {spread} and {other_spread} apart.",
                    own=figure(own),
                    other=figure(other),
                    spread=number(_spread(pair.subject)),
                    other_spread=number(_spread(pair.reference)),
                    **names,
                )
            )
    return cases, told


def _has_slope(curve: Curve) -> bool:
    return len(curve.x) >= 3 and all(score > 0 for seeds in curve.samples for score in seeds)


def _spread(curve: Curve) -> float:
    return max(curve.samples[-1]) - min(curve.samples[-1])


def _below(less: Interval, more: Interval) -> Verdict:
    """Whether one lies below the other for certain."""
    return "holds" if less.high < more.low else "does not hold" if less.low > more.high else "not decided"


FASTER = Rule(parameters=PairParameters, decide=faster)
SAME_ORDER = Rule(parameters=SameOrderParameters, decide=same_order)
FLATTER = Rule(parameters=FlatterParameters, decide=flatter)
