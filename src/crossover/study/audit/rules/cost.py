"""Rules about cost: constant counts, the exact form of FLOPs, fitted exponents, one model below another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossover.errors import ConfigError, MeasurementError, unknown
from crossover.measure.statistics import Interval, fit_exponent
from crossover.study.audit.evidence import Curve
from crossover.study.audit.experiments.growth import PASS_NAMES
from crossover.study.audit.rules import (
    Finding,
    Observed,
    Rule,
    Verdict,
    across,
    both,
    check_bounds,
    found_across,
    grouped,
    holding,
    not_measured,
    nothing_measured,
)
from crossover.study.audit.words import Said, _, listing, number, sentences

_TERMS = {"T·H": (1, 1), "T·H²": (1, 2), "T²·H": (2, 1), "T²·H²": (2, 2)}
"""Terms by their powers of the length T and the width H."""


@dataclass(frozen=True, kw_only=True)
class ConstantParameters:
    """`subjects` must not change along the axis; `beside` are told of, and decide nothing."""

    measure: str
    subjects: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    grows: bool = False
    """Turned round: the figure must grow."""

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.measure,)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (*self.subjects, *self.beside)


def constant(observed: Observed, parameters: ConstantParameters) -> Finding:
    """Whether a figure is the same at every x, counted or with intervals that all share a value."""
    curves = observed.curves(parameters.measure, parameters.models)
    subjects = [curve for curve in curves if not parameters.subjects or curve.name in parameters.subjects]
    cases: list[tuple[Said, Verdict]] = [
        (_named(curve), "holds" if _is_constant(curve) != parameters.grows else "does not hold") for curve in subjects
    ]
    return found_across(observed, cases, figures=[_change(curve) for curve in curves], drawn=curves)


def _is_constant(curve: Curve) -> bool:
    return max(interval.low for interval in curve.y) <= min(interval.high for interval in curve.y)


def _change(curve: Curve) -> Said:
    values = {"model": _named(curve), "first": number(curve.values[0]), "last": number(curve.values[-1])}
    ends = {"from": number(curve.x[0]), "to": number(curve.x[-1])}
    if _is_constant(curve):
        return _("{model}: {first} at {from} and at {to}.", **values, **ends)
    return _("{model}: {first} at {from}, {last} at {to}.", **values, **ends)


@dataclass(frozen=True, kw_only=True)
class CostFormParameters:
    """FLOPs are exactly `terms` (of T·H, T·H², T²·H, T²·H²) times constants.

    With `low` and `high` the exponent of measured time in T must also lie there, its interval no wider than `widest`.
    """

    terms: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    widest: float = 0.1

    def __post_init__(self) -> None:
        for term in self.terms:
            if term not in _TERMS:
                raise ConfigError(unknown("term", term, _TERMS))
        if (self.low is None) != (self.high is None):
            raise ConfigError("low and high go together: give both or neither")

    @property
    def timed(self) -> bool:
        """Whether time decides too."""
        return self.low is not None

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return ("flops", "time") if self.timed else ("flops",)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def cost_form(observed: Observed, parameters: CostFormParameters) -> Finding:
    """Whether FLOPs have exactly the claimed terms, and, where asked, time the claimed exponent."""
    flops = observed.curves("flops", parameters.subjects)
    timed = observed.curves("time", parameters.subjects)
    steady = [] if observed.unsteady else timed
    exponents = {curve.name: fit_exponent(curve.x, curve.values) for curve in steady}
    cases: list[tuple[Said, Verdict]] = []
    told: list[Said] = []
    for name in dict.fromkeys(curve.name for curve in flops):
        form = fit_terms([curve for curve in flops if curve.name == name])
        counted: Verdict = "holds" if set(form) == set(parameters.terms) else "does not hold"
        cases.append((name, both([counted, _in_time(exponents.get(name), parameters)])))
        told.append(_form_sentence(name, form))
    told += [_exponent_sentence(name, "T", exponent) for name, exponent in exponents.items()]
    if steady:
        by_width = observed.curves("time by width", parameters.subjects)
        told += [_exponent_sentence(curve.name, "H", fit_exponent(curve.x, curve.values)) for curve in by_width]
    missing = [unsteady()] if timed and not steady else []
    return found_across(observed, cases, figures=told, missing=missing, drawn=timed or flops)


def _in_time(exponent: Interval | None, parameters: CostFormParameters) -> Verdict:
    """The verdict on time, where it is asked for; without a steady measurement it is open."""
    if parameters.low is None or parameters.high is None:
        return "holds"
    return inside(exponent, parameters.low, parameters.high, parameters.widest) if exponent else "not decided"


def fit_terms(curves: Sequence[Curve]) -> dict[str, float]:
    """The terms of which counted FLOPs over lengths and widths (label ``width``) are made, with their factors.

    Solved on the whole grid; a remainder is a MeasurementError, since the counts then have another form.
    """
    points = [
        (x, float(curve.labels["width"]), y) for curve in curves for x, y in zip(curve.x, curve.values, strict=True)
    ]
    time_N, width_N, flops_N = np.array(points, dtype=float).T
    columns = np.stack([time_N**t * width_N**h / flops_N for t, h in _TERMS.values()], axis=1)
    scale = np.abs(columns).max(axis=0)
    solved, *_rest = np.linalg.lstsq(columns / scale, np.ones(len(points)), rcond=None)
    if np.abs(columns / scale @ solved - 1).max() > 1e-6:
        raise MeasurementError(f"the FLOPs of {curves[0].name} are no sum of {', '.join(_TERMS)}")
    return {
        term: round(float(value / largest), 6)
        for term, value, largest in zip(_TERMS, solved, scale, strict=True)
        if abs(value) > 1e-6
    }


def _form_sentence(name: str, form: dict[str, float]) -> Said:
    told = _(
        "{model}: FLOPs are {form}.", model=name, form=" + ".join(f"{number(f)}·{term}" for term, f in form.items())
    )
    if set(form) == {"T·H²", "T²·H"}:
        turn = number(form["T·H²"] / form["T²·H"])
        return sentences([told, _("T·H² is the larger term up to T = {factor}·H, T²·H beyond.", factor=turn)])
    return told


def _exponent_sentence(name: str, variable: str, exponent: Interval) -> Said:
    return _(
        "{model}: its time grows with {variable} to the power {value} ({low} to {high}).",
        model=name,
        variable=variable,
        **_bounds(exponent),
    )


def _bounds(interval: Interval) -> dict[str, Said]:
    return {"value": f"{interval.value:.2f}", "low": f"{interval.low:.2f}", "high": f"{interval.high:.2f}"}


def unsteady() -> Said:
    """Why there is no verdict on time."""
    return _("The machine was unsteady, so there is no verdict on time.")


@dataclass(frozen=True, kw_only=True)
class ExponentParameters:
    """The exponent of `measure` has its whole interval in [low, high], no wider than `widest` where that is given."""

    measure: str
    low: float
    high: float
    widest: float | None = None
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self.low, self.high)

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.measure,)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def inside(exponent: Interval, low: float, high: float, widest: float | None = None) -> Verdict:
    """Where an exponent lies: inside the bounds, outside them, or its interval does not say."""
    if exponent.high < low or exponent.low > high:
        return "does not hold"
    narrow = widest is None or exponent.high - exponent.low <= widest
    return "holds" if low <= exponent.low and exponent.high <= high and narrow else "not decided"


def exponent_inside(observed: Observed, parameters: ExponentParameters) -> Finding:
    """The verdict on each curve of the measure: a model, or a model in one pass."""
    curves = observed.curves(parameters.measure, parameters.subjects)
    if observed.unsteady and parameters.measure.startswith("time"):
        return Finding(verdict="not decided", sentence=unsteady(), drawn=tuple(curves))
    cases: list[tuple[Said, Verdict]] = []
    told: list[Said] = []
    for curve in curves:
        if len(curve.x) < 3:
            cases.append((_named(curve), "not decided"))
            continue
        exponent = fit_exponent(curve.x, curve.values)
        cases.append((_named(curve), inside(exponent, parameters.low, parameters.high, parameters.widest)))
        told.append(_("{model}: exponent {value} ({low} to {high}).", model=_named(curve), **_bounds(exponent)))
    return found_across(observed, cases, figures=told, drawn=curves)


@dataclass(frozen=True, kw_only=True)
class LessParameters:
    """`subject` has a smaller `measure` than `reference`, in each pass and at each length; states are told beside."""

    measure: str
    subject: str
    reference: str

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.measure,)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.subject, self.reference)


def less_than(observed: Observed, parameters: LessParameters) -> Finding:
    """The sign of the difference at each length, pass by pass; a length where the ranges overlap is not decided."""
    curves = observed.curves(parameters.measure, [parameters.subject, parameters.reference])
    references = {
        c.labels.get("pass"): c for c in curves if c.name == parameters.reference and "kernel" not in c.labels
    }
    cases: list[tuple[Said, Verdict]] = []
    for curve in (c for c in curves if c.name == parameters.subject):
        against = references.get(curve.labels.get("pass"))
        if against is None:
            continue
        by_length = [(x, less_at(curve, against, x)) for x in curve.x if against.at(x) is not None]
        cases += _by_verdict(curve, by_length)
    if not cases:
        return Finding(verdict="not decided", sentence=nothing_measured(observed), drawn=tuple(curves))
    verdict = across(found for _told, found in cases)
    states = [_change(curve) for curve in observed.curves("state", parameters.models)]
    return Finding(
        verdict=verdict,
        where=holding(cases) if verdict == "holds where" else None,
        sentence=sentences([*grouped(cases), *not_measured(observed)]),
        figures=(_("Bytes of the carried state: {states}", states=sentences(states)),) if states else (),
        drawn=tuple(curves),
    )


def _by_verdict(curve: Curve, by_length: Sequence[tuple[float, Verdict]]) -> list[tuple[Said, Verdict]]:
    """A pass with each verdict that it got, and the lengths it got it at; no lengths where all agree."""
    verdicts = list(dict.fromkeys(verdict for _x, verdict in by_length))
    if len(verdicts) == 1:
        return [(_("{case} at every length", case=_case(curve)), verdicts[0])]
    lengths = {v: listing(number(x) for x, found in by_length if found == v) for v in verdicts}
    return [(_("{case} at length {lengths}", case=_case(curve), lengths=told), v) for v, told in lengths.items()]


def less_at(curve: Curve, reference: Curve, x: float) -> Verdict:
    """Whether the curve lies below the reference at `x`, by intervals that do not overlap."""
    own, other = curve.y[curve.x.index(x)], reference.y[reference.x.index(x)]
    if own.high < other.low:
        return "holds"
    return "does not hold" if own.low > other.high else "not decided"


def _named(curve: Curve) -> Said:
    """A model, and its pass where there are passes."""
    return _("{model} ({case})", model=curve.name, case=_case(curve)) if "pass" in curve.labels else curve.name


def _case(curve: Curve) -> Said:
    """A pass, and whether fused kernels were left out."""
    kind = str(curve.labels.get("pass", ""))
    told = PASS_NAMES.get(kind, kind)
    if curve.labels.get("kernel") == "unfused":
        return _("{case} without fused attention", case=told)
    return told


CONSTANT = Rule(parameters=ConstantParameters, decide=constant)
COST_FORM = Rule(parameters=CostFormParameters, decide=cost_form)
EXPONENT_INSIDE = Rule(parameters=ExponentParameters, decide=exponent_inside)
LESS_THAN = Rule(parameters=LessParameters, decide=less_than)
