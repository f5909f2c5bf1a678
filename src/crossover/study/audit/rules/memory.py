"""Rules about what is kept: gradients over distance, and inputs over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import log10
from typing import Literal

from crossover.errors import ConfigError
from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Curve, Label
from crossover.study.audit.experiments.gradients import mean_interval
from crossover.study.audit.experiments.retention import first_lost, longest_solved
from crossover.study.audit.rules import (
    Finding,
    Observed,
    Rule,
    Verdict,
    across,
    both,
    grouped,
    holding,
    nothing_measured,
)
from crossover.study.audit.words import Said, _, listing, number, sentences

Fate = Literal["vanishes", "explodes", "neither", "open"]

_PHASES: dict[str, Said] = {
    "untrained": _("untrained"),
    "small inputs": _("untrained, small inputs"),
    "trained": _("trained"),
}
_SETTINGS: dict[str, Said] = {"gain": _("gain"), "forget_bias": _("forget bias")}


@dataclass(frozen=True, kw_only=True)
class GradientParameters:
    """The norm at `distance` over the norm at 1: below `vanishes` it vanishes, above `explodes` it explodes."""

    subjects: tuple[str, ...]
    distance: int = 100
    vanishes: float = 1e-3
    explodes: float = 1e3

    def __post_init__(self) -> None:
        if not 0 < self.vanishes < self.explodes:
            raise ConfigError(f"vanishes={self.vanishes:g} must be positive and below explodes={self.explodes:g}")

    measures = ("gradient",)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def gradient(observed: Observed, parameters: GradientParameters) -> Finding:
    """Which settings of each model let gradients vanish, explode, or neither; it holds where they do either."""
    curves = observed.curves("gradient", parameters.subjects)
    fates = [(curve, _fate(log_ratio(curve, parameters.distance), parameters)) for curve in curves]
    if not fates:
        return Finding(verdict="not decided", sentence=nothing_measured(observed))
    judged: dict[Fate, Verdict] = {
        "vanishes": "holds", "explodes": "holds", "neither": "does not hold", "open": "not decided",
    }  # fmt: skip
    patterns: dict[Fate, Callable[[Said], Said]] = {
        "vanishes": lambda told: _("The gradient vanishes for {cases}.", cases=told),
        "explodes": lambda told: _("The gradient explodes for {cases}.", cases=told),
        "neither": lambda told: _("It does neither for {cases}.", cases=told),
        "open": lambda told: _("It is not decided for {cases}.", cases=told),
    }
    cases = {fate: _conditions([curve for curve, found in fates if found == fate], curves) for fate in patterns}
    verdict = across(judged[fate] for _curve, fate in fates)
    held = [told for fate in ("vanishes", "explodes") for told in cases[fate]]
    return Finding(
        verdict=verdict,
        where=listing(held) if verdict == "holds where" else None,
        sentence=sentences(pattern(listing(cases[fate])) for fate, pattern in patterns.items() if cases[fate]),
        drawn=tuple(curves),
    )


def log_ratio(curve: Curve, distance: int) -> Interval:
    """Decimal logarithm of the norm at `distance` over that at 1, with its interval over seeds."""
    return mean_interval(_log_ratios(curve, distance))


def _log_ratios(curve: Curve, distance: int) -> list[float]:
    far = curve.at(distance)
    if far is None:
        raise ConfigError(
            f"distance={distance} is not among those measured ({', '.join(f'{x:g}' for x in curve.x)}): add it to "
            "the experiment's distances"
        )
    return [after - before for after, before in zip(curve.samples[far], curve.samples[0], strict=True)]


def _fate(ratio: Interval, parameters: GradientParameters) -> Fate:
    low, high = log10(parameters.vanishes), log10(parameters.explodes)
    if ratio.high < low:
        return "vanishes"
    if ratio.low > high:
        return "explodes"
    return "neither" if low <= ratio.low and ratio.high <= high else "open"


def _conditions(curves: Sequence[Curve], measured: Sequence[Curve]) -> list[Said]:
    """Conditions told together: every model, setting and phase with its values, of those that were `measured`."""
    together: dict[tuple[str, str, str], list[float]] = {}
    for curve in curves:
        setting = _setting(curve)
        key = (curve.name, setting, str(curve.labels["phase"]))
        together.setdefault(key, []).append(float(curve.labels[setting]))
    tried = {key[1]: sorted({float(c.labels[key[1]]) for c in measured if key[1] in c.labels}) for key in together}
    return [
        _(
            "{model} with {setting} {values} ({phase})",
            model=model,
            setting=_SETTINGS.get(setting, setting),
            values=listing(_stretches(values, tried[setting])),
            phase=_PHASES.get(phase, phase),
        )
        for (model, setting, phase), values in together.items()
    ]


def _setting(curve: Curve) -> str:
    return next(key for key in curve.labels if key != "phase")


def _stretches(values: Sequence[float], tried: Sequence[float]) -> list[Said]:
    """Values by themselves, or the first and the last of three or more that follow one another in what was tried."""
    told: list[Said] = []
    places = sorted(tried.index(value) for value in values)
    for _gap, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
        stretch = [f"{tried[place]:g}" for _n, place in run]
        told += [_("{low} to {high}", low=stretch[0], high=stretch[-1])] if len(stretch) > 2 else stretch
    return told


@dataclass(frozen=True, kw_only=True)
class LeadParameters:
    """The gradient ratio of `subject` at `distance` is `factor` times that of `reference` at `gain`, phase by phase,
    and its longest solved lag on copy (accuracy's lower end at `threshold`) is longer. `beside` decides nothing."""

    subject: str
    reference: str
    beside: tuple[str, ...] = ()
    gain: float = 1.0
    distance: int = 100
    factor: float = 100.0
    threshold: float = 0.99

    measures = ("gradient", "copy")

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.subject, self.reference, *self.beside)


def gradient_lead(observed: Observed, parameters: LeadParameters) -> Finding:
    """Two statements that must both be true: a larger gradient ratio, and a longer solved lag."""
    references = {
        curve.labels["phase"]: curve
        for curve in observed.curves("gradient", [parameters.reference], gain=parameters.gain)
    }
    subjects = observed.curves("gradient", [parameters.subject])
    if not references or not subjects:
        return Finding(verdict="not decided", sentence=nothing_measured(observed))
    leads = _leads(subjects, references, parameters)
    beside = (
        _leads(observed.curves("gradient", parameters.beside), references, parameters) if parameters.beside else []
    )
    lag_verdict, lag_told = _longer_lag(observed, parameters)
    verdict = both([across(verdict for _curve, verdict in leads), lag_verdict])
    first = _(
        "Gradient over {distance} steps at least {factor} times that of {reference} with gain {gain}:",
        distance=number(parameters.distance),
        factor=number(parameters.factor),
        reference=parameters.reference,
        gain=number(parameters.gain),
    )
    compared = [*leads, *beside]
    measured = [curve for curve, _found in compared]
    told = [
        (case, found)
        for found in ("holds", "does not hold", "not decided")
        for case in _conditions([curve for curve, is_ in compared if is_ == found], measured)
    ]
    held = _conditions([curve for curve, found in leads if found == "holds"], measured)
    return Finding(
        verdict=verdict,
        where=listing(held) if verdict == "holds where" else None,
        sentence=sentences([first, *grouped(told), lag_told]),  # type: ignore[arg-type]
        drawn=(*references.values(), *subjects),
    )


def _leads(
    subjects: Sequence[Curve], references: dict[Label, Curve], parameters: LeadParameters
) -> list[tuple[Curve, Verdict]]:
    """Each condition with whether it leads, seed by seed."""
    found: list[tuple[Curve, Verdict]] = []
    for curve in subjects:
        reference = references[curve.labels["phase"]]
        pairs = zip(_log_ratios(curve, parameters.distance), _log_ratios(reference, parameters.distance), strict=True)
        lead = mean_interval([own - other for own, other in pairs])
        found.append((curve, _above(lead, log10(parameters.factor))))
    return found


def _above(value: Interval, threshold: float) -> Verdict:
    if value.low >= threshold:
        return "holds"
    return "does not hold" if value.high < threshold else "not decided"


def _longer_lag(observed: Observed, parameters: LeadParameters) -> tuple[Verdict, Said]:
    """Whether the subject solves a lag that the reference is shown not to."""
    curves = {curve.name: curve for curve in observed.curves("copy")}
    if parameters.subject not in curves or parameters.reference not in curves:
        return "not decided", _("Which of them solves the longer lag was not measured.")
    subject, reference = curves[parameters.subject], curves[parameters.reference]
    own, other = (longest_solved(curve, parameters.threshold) for curve in (subject, reference))
    told = _(
        "Longest lag that delayed copy is solved at: {subject} {own}, {reference} {other}.",
        subject=parameters.subject,
        reference=parameters.reference,
        own=number(own),
        other=number(other),
    )
    if first_lost(reference, parameters.threshold) <= own:
        return "holds", told
    if first_lost(subject, parameters.threshold) <= other:
        return "does not hold", told
    if own == other == max(subject.x[-1], reference.x[-1]):
        longer = _("Both solve the longest lag that was tried: longer ones would have to be tried.")
        return "not decided", sentences([told, longer])
    return "not decided", sentences([told, budget_missing()])


def budget_missing() -> Said:
    """What would decide where accuracies are neither high nor low enough."""
    return _("A larger budget or more seeds would be needed to decide it: crossover audit with --level full.")


@dataclass(frozen=True, kw_only=True)
class RetentionParameters:
    """`losing` models lose what lies far back, `keeping` models keep it: accuracy's lower end at `threshold`."""

    losing: tuple[str, ...]
    keeping: tuple[str, ...]
    threshold: float = 0.99

    measures = ("copy",)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (*self.losing, *self.keeping)


def retention(observed: Observed, parameters: RetentionParameters) -> Finding:
    """Each half with its verdict, then both together; recall and parity are told beside."""
    curves = observed.curves("copy", parameters.models)
    if not curves:
        return Finding(verdict="not decided", sentence=nothing_measured(observed))
    losing = [
        (curve.name, _loses(curve, parameters.threshold)) for curve in curves if curve.name in parameters.losing
    ]
    longest = max(curve.x[-1] for curve in curves)
    keeping = [
        (curve.name, _keeps(curve, longest, parameters.threshold))
        for curve in curves
        if curve.name in parameters.keeping
    ]
    halves = [across(verdict for _name, verdict in half) for half in (losing, keeping) if half]
    verdict = both(halves)
    told: list[Said] = [_("Recurrent models lose distant inputs:"), *grouped(losing)]
    told += [_("Attention keeps them:"), *grouped(keeping)]
    if "not decided" in halves:
        told.append(budget_missing())
    return Finding(
        verdict=verdict,
        where=_where(losing, keeping) if verdict == "holds where" else None,
        sentence=sentences(told),
        figures=(_solved(curves, parameters.threshold), *_beside(observed)),
        drawn=tuple(curves),
    )


def _loses(curve: Curve, threshold: float) -> Verdict:
    """A lag that is clearly not solved after one that is: it loses. Every lag solved: it does not.

    Where the shortest is not solved, the budget may be what is missing.
    """
    if longest_solved(curve, threshold) == 0:
        return "not decided"
    if first_lost(curve, threshold) <= curve.x[-1]:
        return "holds"
    return "does not hold" if longest_solved(curve, threshold) == curve.x[-1] else "not decided"


def _keeps(curve: Curve, longest: float, threshold: float) -> Verdict:
    if longest_solved(curve, threshold) >= longest:
        return "holds"
    return "does not hold" if _loses(curve, threshold) == "holds" else "not decided"


def _where(losing: Sequence[tuple[str, Verdict]], keeping: Sequence[tuple[str, Verdict]]) -> Said | None:
    return holding([*losing, *keeping])


def _solved(curves: Sequence[Curve], threshold: float) -> Said:
    lags = listing(f"{curve.name} {number(longest_solved(curve, threshold))}" for curve in curves)
    return _("Longest lag with accuracy of at least {threshold}: {lags}.", threshold=number(threshold), lags=lags)


def _beside(observed: Observed) -> list[Said]:
    """Accuracy on recall, and on parity at the longest tested length."""
    told: list[Said] = []
    for measure, said in (("recall", _("recall")), ("parity", _("parity"))):
        curves = observed.curves(measure)
        if curves:
            scores = listing(f"{curve.name} {curve.y[-1].value:.2f}" for curve in curves)
            told.append(
                _(
                    "Accuracy on {task} at length {length}: {scores}.",
                    task=said,
                    length=number(curves[0].x[-1]),
                    scores=scores,
                )
            )
    return told


GRADIENT = Rule(parameters=GradientParameters, decide=gradient)
GRADIENT_LEAD = Rule(parameters=LeadParameters, decide=gradient_lead)
RETENTION = Rule(parameters=RetentionParameters, decide=retention)
