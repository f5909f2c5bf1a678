"""Rules about what models reach: against a number, better than others or level with them, and what they gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crossover.errors import ConfigError
from crossover.study.audit.evidence import Curve
from crossover.study.audit.rules import (
    Finding,
    Observed,
    Rule,
    Verdict,
    across,
    both,
    found_across,
    grouped,
    holding,
)
from crossover.study.audit.rules.directed import Comparison, above, above_zero, courses, directed, figure, growth
from crossover.study.audit.rules.pace import paces, steadiness
from crossover.study.audit.words import Said, _, listing, number, sentences

BASELINE = "baseline"
"""As a rival: every simple predictor of the case; ``"baseline: last value"`` is that one alone."""


@dataclass(frozen=True, kw_only=True)
class ReachesParameters:
    """The score of each subject: its interval's lower end at `threshold` or above in every case.

    Of an error, where less is better, it is the upper end at `threshold` or below.
    """

    subjects: tuple[str, ...]
    threshold: float

    measures = ("score",)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def reaches(observed: Observed, parameters: ReachesParameters) -> Finding:
    """Where each subject's interval lies on the good side of the threshold; across it the statement is open."""
    cases: list[tuple[Said, Verdict]] = []
    for curve in observed.curves("score", parameters.subjects):
        sign = -1 if curve.labels.get("lower_is_better") else 1
        for case, score in zip(curve.x, curve.y, strict=True):
            worst, best = sorted((sign * score.low, sign * score.high))
            verdict: Verdict = "not decided"
            if worst >= sign * parameters.threshold:
                verdict = "holds"
            elif best < sign * parameters.threshold:
                verdict = "does not hold"
            cases.append((_at(curve.name, case), verdict))
    return _found(observed, cases)


@dataclass(frozen=True, kw_only=True)
class LevelParameters:
    """Each subject against every rival, case by case, by the margin of the case's task.

    A rival ``"baseline"`` is every simple predictor of the case, ``"baseline: last value"`` one of them. `timed` has
    the seconds of subjects told beside those of rivals; they decide nothing.
    """

    subjects: tuple[str, ...]
    rivals: tuple[str, ...]
    timed: bool = False

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return ("score", "difference", *(("seconds",) if self.timed else ()))

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (*self.subjects, *(rival for rival in self.rivals if not rival.startswith(BASELINE)))


def level(observed: Observed, parameters: LevelParameters) -> Finding:
    """Where subjects equal all rivals; a difference beyond the margin fails, one that may be either is open."""
    return _found(
        observed,
        _judged(
            observed,
            parameters,
            {"better": "does not hold", "worse": "does not hold", "equal": "holds", "undecided": "not decided"},
        ),
        _beside(observed, parameters),
    )


def _beside(observed: Observed, parameters: LevelParameters) -> list[Said]:
    """What is told beside the verdict: differences along series of cases, and, where asked, seconds."""
    along = courses(observed, parameters.subjects, parameters.rivals)
    return [*along, *(paces(observed, parameters.subjects, parameters.rivals) if parameters.timed else [])]


@dataclass(frozen=True, kw_only=True)
class BetterParameters(LevelParameters):
    """As `LevelParameters`; `least`, where it is not 0, is the number of cases in which a subject must be better.

    `grows` asks besides that the lead grows from bucket to bucket of the test rows, `steadier` that scores worsen
    less along courses of cases, and `twins` that each model they name is better than its own twin, such as the same
    without what is claimed to help.
    """

    least: int = 0
    grows: bool = False
    steadier: bool = False
    twins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.least < 0:
            raise ConfigError(f"least={self.least}: give a number of cases, or 0 for all of them")
        if self.least and (self.grows or self.steadier):
            raise ConfigError("least counts cases, grows and steadier read series of them: give one of the two")

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        series = {"trend": self.grows, "score along": self.steadier}
        return (*super().measures, *(name for name, asked in series.items() if asked))

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (*super().models, *self.twins, *self.twins.values())


def better(observed: Observed, parameters: BetterParameters) -> Finding:
    """Where subjects are better than all rivals, models than their twins, and, if asked, more so along buckets.

    Worse than one rival, or equal to it, is enough to fail.
    """
    judged: Mapping[Comparison, Verdict] = {
        "better": "holds",
        "worse": "does not hold",
        "equal": "does not hold",
        "undecided": "not decided",
    }
    cases = [*_judged(observed, parameters, judged), *_beside_twins(observed, parameters.twins, judged)]
    grown = growth(observed, parameters.subjects, parameters.rivals) if parameters.grows else []
    steady, fitted = steadiness(observed, parameters.subjects, parameters.rivals) if parameters.steadier else ([], [])
    finding = _found(observed, cases, [*grouped(grown), *grouped(steady), *fitted, *_beside(observed, parameters)])
    if parameters.least and cases:
        return _at_least(finding, [verdict for _told, verdict in cases], parameters.least)
    halves = [half for half, asked in ((grown, parameters.grows), (steady, parameters.steadier)) if asked]
    if halves:
        judged_halves = [across(verdict for _told, verdict in half) if half else "not decided" for half in halves]
        verdict = both([finding.verdict, *judged_halves])
        return replace(finding, verdict=verdict, where=holding(cases) if verdict == "holds where" else None)
    return finding


def _at_least(finding: Finding, verdicts: Sequence[Verdict], least: int) -> Finding:
    """The verdict by the number of cases that hold, the open ones taken either way."""
    held = verdicts.count("holds")
    possible = held + verdicts.count("not decided")
    verdict: Verdict = (
        "holds" if held >= least else "not decided" if possible >= least or not verdicts else "does not hold"
    )
    told = _(
        "It holds in {held} of {all} cases; {least} are asked for.",
        held=number(held),
        all=number(len(verdicts)),
        least=number(least),
    )
    return replace(finding, verdict=verdict, sentence=sentences([told, finding.sentence]), where=None)


@dataclass(frozen=True, kw_only=True)
class AboveZeroParameters:
    """A gain of each subject, or how much more it gains than each rival: the lower end of its interval above 0.

    With a `least` below 0, what may be lost: above that.
    """

    measure: str
    subjects: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    least: float = 0.0

    @property
    def measures(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (self.measure,)

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return (*self.subjects, *self.rivals)


def gains(observed: Observed, parameters: AboveZeroParameters) -> Finding:
    """Where the whole interval lies above 0; one at most 0, or within the margin around 0, is enough to fail."""
    return _found(
        observed,
        [
            (found.told(), above(found, parameters.least) if parameters.least else above_zero(found))
            for found in directed(observed, parameters.measure, parameters.subjects, parameters.rivals)
        ],
    )


def _judged(
    observed: Observed, parameters: LevelParameters, judged: Mapping[Comparison, Verdict]
) -> list[tuple[Said, Verdict]]:
    """Every subject in every case, by what each outcome of a comparison with a rival means for the statement."""
    cases = []
    for subject in parameters.subjects:
        for case in _cases(observed, subject):
            found = [judged[outcome] for outcome in _against(observed, subject, parameters.rivals, case)]
            if found:
                cases.append((_at(subject, case), both(found)))
    return cases


def _beside_twins(
    observed: Observed, twins: Mapping[str, str], judged: Mapping[Comparison, Verdict]
) -> list[tuple[Said, Verdict]]:
    """Every model in every case beside its twin."""
    return [
        (_("{model} beside {twin} on {case}", model=model, twin=twin, case=case), judged[outcome])
        for model, twin in twins.items()
        for case in _cases(observed, model)
        for outcome in _against(observed, model, (twin,), case)
    ]


def _cases(observed: Observed, subject: str) -> list[str]:
    """The cases that the subject has a score in."""
    return [str(case) for curve in observed.curves("score", (subject,)) for case in curve.x]


def _against(observed: Observed, subject: str, rivals: Sequence[str], case: str) -> list[Comparison]:
    """How the subject compares with each rival in a case."""
    wanted = {rival.removeprefix(f"{BASELINE}: ") for rival in rivals}
    if BASELINE in wanted:
        wanted |= {curve.name for curve in observed.curves("score", baseline=True)}
    return [found.verdict for found in directed(observed, "difference", (subject,), wanted) if found.case == case]


def _at(model: str, case: str) -> Said:
    return _("{model} on {case}", model=model, case=case)


def _found(observed: Observed, cases: Sequence[tuple[Said, Verdict]], more: Sequence[Said] = ()) -> Finding:
    """The finding over all cases, what more there is to say, the scores it rests on and what was not measured."""
    curves = observed.curves("score")
    scores = [
        _("{case}: {scores}", case=case, scores=listing(_score(curve, case) for curve in curves if case in curve.x))
        for case in dict.fromkeys(str(x) for curve in curves for x in curve.x)
    ]
    told = [_("Test scores: {scores}.", scores=listing(scores))] if scores else []
    return found_across(observed, cases, figures=[*more, *told], drawn=curves)


def _score(curve: Curve, case: str) -> Said:
    return _("{model} {score}", model=curve.title, score=figure(curve.y[curve.x.index(case)]))


REACHES = Rule(parameters=ReachesParameters, decide=reaches)
BETTER = Rule(parameters=BetterParameters, decide=better)
LEVEL = Rule(parameters=LevelParameters, decide=level)
ABOVE_ZERO = Rule(parameters=AboveZeroParameters, decide=gains)
