"""Rules about several ranks: a share that is reached, and one layout below another, with where that turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossover.parallel.layout import Layout
from crossover.study.audit.evidence import Curve, Label
from crossover.study.audit.experiments.growth import PASS_NAMES
from crossover.study.audit.rules import Finding, Observed, Rule, Verdict, found_across, not_measured
from crossover.study.audit.rules.cost import less_at, unsteady
from crossover.study.audit.rules.directed import figure
from crossover.study.audit.words import Said, _, listing, number

_SHARE = "share of the link"
PREDICTED = "predicted"
"""The label ``"by"`` of a curve that the planner predicted: it is told, and decides nothing."""


@dataclass(frozen=True, kw_only=True)
class MeasureParameters:
    """What every rule here reads: one `measure`; it asks for no model by name."""

    measure: str

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.measure,)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return ()


@dataclass(frozen=True, kw_only=True)
class AtLeastParameters(MeasureParameters):
    """`measure` is at least `bound`, under each of `layouts` (none given: all) at each x."""

    bound: float
    layouts: tuple[str, ...] = ()
    at_most: bool = False
    """Turned round: it is at most that."""


def at_least(observed: Observed, parameters: AtLeastParameters) -> Finding:
    """The verdict on every model and layout, by intervals that lie on one side of the bound."""
    curves = _under(observed.curves(parameters.measure), parameters.layouts)
    if observed.unsteady:
        return Finding(verdict="not decided", sentence=unsteady(), drawn=tuple(curves))
    cases: list[tuple[Said, Verdict]] = []
    for curve in curves:
        cases += _told(curve, [(x, _against(curve, x, parameters)) for x in curve.x])
    return _found(observed, cases, curves)


def _against(curve: Curve, x: float, parameters: AtLeastParameters) -> Verdict:
    if curve.labels.get("by") == PREDICTED:
        return "not decided"
    interval = curve.y[curve.x.index(x)]
    above, below = interval.low >= parameters.bound, interval.high < parameters.bound
    if not above and not below:
        return "not decided"
    return "holds" if above != parameters.at_most else "does not hold"


@dataclass(frozen=True, kw_only=True)
class LayoutBelowParameters(MeasureParameters):
    """`measure` is smaller under each of `subjects` than under `reference`, for the same model and x.

    Where `share` is not 0, published messages reach at least that share of their link as well.
    """

    subjects: tuple[str, ...]
    reference: str
    above: bool = False
    """Turned round: it is larger."""
    share: float = 0.0

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.measure, *((_SHARE,) if self.share else ()))


def layout_below(observed: Observed, parameters: LayoutBelowParameters) -> Finding:
    """The sign of the difference at each x, model by model and layout by layout."""
    curves = observed.curves(parameters.measure)
    references = {curve.name: curve for curve in _under(curves, (parameters.reference,))}
    cases: list[tuple[Said, Verdict]] = []
    compared = [curve for curve in _under(curves, parameters.subjects) if curve.name in references]
    for curve in compared:
        pair = (references[curve.name], curve) if parameters.above else (curve, references[curve.name])
        cases += _told(curve, [(x, less_at(*pair, x)) for x in curve.x])
    published = observed.curves(_SHARE) if parameters.share else []
    for curve in published:
        cases += _told(
            curve,
            [(x, "holds" if curve.values[i] >= parameters.share else "does not hold") for i, x in enumerate(curve.x)],
        )
    return _found(observed, cases, [*compared, *references.values(), *published])


@dataclass(frozen=True, kw_only=True)
class ModelBelowParameters(MeasureParameters):
    """`subject` has a smaller `measure` than `reference` under each of `layouts` (none given: all), at each x."""

    subject: str
    reference: str
    layouts: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.subject, self.reference)


def model_below(observed: Observed, parameters: ModelBelowParameters) -> Finding:
    """The sign of the difference between two models, layout by layout and pass by pass."""
    curves = _under(observed.curves(parameters.measure, parameters.models), parameters.layouts)
    if observed.unsteady:
        return Finding(verdict="not decided", sentence=unsteady(), drawn=tuple(curves))
    references = {_condition(curve): curve for curve in curves if curve.name == parameters.reference}
    cases: list[tuple[Said, Verdict]] = []
    for curve in (curve for curve in curves if curve.name == parameters.subject):
        against = references.get(_condition(curve))
        if against is not None:
            cases += _told(curve, [(x, less_at(curve, against, x)) for x in curve.x if against.at(x) is not None])
    return _found(observed, cases, curves)


@dataclass(frozen=True, kw_only=True)
class ReachedParameters(MeasureParameters):
    """`measure` is at least `bound` under one of the layouts, at some x."""

    bound: float


def reached(observed: Observed, parameters: ReachedParameters) -> Finding:
    """For each model, the layout of fewest devices under which the bound is reached.

    Where layouts could not be measured, one that falls short elsewhere is not decided.
    """
    curves = observed.curves(parameters.measure)
    if observed.unsteady:
        return Finding(verdict="not decided", sentence=unsteady(), drawn=tuple(curves))
    short: Verdict = "not decided" if not_measured(observed) else "does not hold"
    cases: list[tuple[Said, Verdict]] = []
    for name in dict.fromkeys(curve.name for curve in curves):
        of_model = [curve for curve in curves if curve.name == name]
        there = [curve for curve in of_model if any(interval.low >= parameters.bound for interval in curve.y)]
        fewest = min(there, key=_devices, default=None)
        beyond = all(interval.high < parameters.bound for curve in of_model for interval in curve.y)
        if fewest is not None:
            cases.append((_case(fewest), "holds"))
        else:
            cases.append((name, short if beyond else "not decided"))
    return _found(observed, cases, curves)


def _devices(curve: Curve) -> int:
    return Layout.parse(str(curve.labels["layout"])).devices


def _found(observed: Observed, cases: Sequence[tuple[Said, Verdict]], drawn: Sequence[Curve]) -> Finding:
    """The finding over all cases, with the curves' ranges and what was not measured."""
    return found_across(observed, cases, figures=map(_range, drawn), drawn=drawn)


def _condition(curve: Curve) -> tuple[Label, ...]:
    return tuple(curve.labels.get(key, "") for key in ("layout", "pass"))


def _under(curves: Sequence[Curve], layouts: Sequence[str]) -> list[Curve]:
    return [curve for curve in curves if not layouts or curve.labels.get("layout") in layouts]


def _told(curve: Curve, by_x: Sequence[tuple[float, Verdict]]) -> list[tuple[Said, Verdict]]:
    """A model under a layout with each verdict that it got, and where; not where, if all agree."""
    verdicts = list(dict.fromkeys(verdict for _x, verdict in by_x))
    if len(verdicts) == 1:
        return [(_case(curve), verdicts[0])]
    places = {v: listing(number(x) for x, found in by_x if found == v) for v in verdicts}
    return [(_("{case} at {places}", case=_case(curve), places=told), v) for v, told in places.items()]


def _case(curve: Curve) -> Said:
    layout, kind = str(curve.labels.get("layout", "")), str(curve.labels.get("pass", ""))
    if not layout:
        return curve.title
    if not kind:
        return _("{model} under {layout}", model=curve.name, layout=layout)
    return _("{model} under {layout}, {case}", model=curve.name, layout=layout, case=PASS_NAMES.get(kind, kind))


def _range(curve: Curve) -> Said:
    if len(curve.x) == 1:
        return _("{case}: {value} at {x}.", case=_case(curve), value=figure(curve.y[0]), x=number(curve.x[0]))
    return _(
        "{case}: {first} at {from}, {last} at {to}.",
        **{
            "case": _case(curve),
            "first": number(curve.values[0]),
            "from": number(curve.x[0]),
            "last": number(curve.values[-1]),
            "to": number(curve.x[-1]),
        },
    )


AT_LEAST = Rule(parameters=AtLeastParameters, decide=at_least)
LAYOUT_BELOW = Rule(parameters=LayoutBelowParameters, decide=layout_below)
REACHED = Rule(parameters=ReachedParameters, decide=reached)
MODEL_BELOW = Rule(parameters=ModelBelowParameters, decide=model_below)
