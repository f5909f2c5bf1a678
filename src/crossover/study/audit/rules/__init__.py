"""Verdict rules: from curves to a verdict in one sentence, never more certain than the intervals allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from crossover.errors import ConfigError
from crossover.registry import Registry
from crossover.study.audit.evidence import Curve, Evidence, Label
from crossover.study.audit.words import Said, _, listing, sentences

Verdict = Literal["holds", "holds where", "does not hold", "not decided"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule found: the verdict, where it holds (for ``"holds where"``), and the deciding curves.

    `sentence` says the verdict, and what is missing for one; `figures` are the sentences of what was found.
    """

    verdict: Verdict
    sentence: Said
    figures: tuple[Said, ...] = ()
    where: Said | None = None
    drawn: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Observed:
    """The evidence of a claim's experiments, by name."""

    evidence: Mapping[str, Evidence]

    @property
    def unsteady(self) -> bool:
        """Whether times were measured on an unsteady machine."""
        return any(evidence.steady is False for evidence in self.evidence.values())

    def curves(self, measure: str, names: Sequence[str] = (), **labels: Label) -> list[Curve]:
        """The curves of a measure, of the given models (all if none is given) and with the given labels."""
        found = [
            curve
            for evidence in self.evidence.values()
            for curve in evidence.curves
            if curve.measure == measure and all(curve.labels.get(key) == value for key, value in labels.items())
        ]
        return [curve for curve in found if not names or curve.name in names]


class Parameters(Protocol):
    """What every rule's parameters say of themselves, so that a claim is checked before anything is measured."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that the rule reads."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it asks for by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A way to decide: its parameters (a dataclass with `Parameters`) and the function that decides."""

    parameters: type[Any]
    decide: Callable[[Observed, Any], Finding]


RULES: Registry[Rule] = Registry("verdict rule", group="crossover.rules")

_HERE = "crossover.study.audit.rules"
RULES.add("constant", f"{_HERE}.cost:CONSTANT", "a counted figure does not change")
RULES.add("cost-form", f"{_HERE}.cost:COST_FORM", "FLOPs are exactly a sum of terms in T and H")
RULES.add("exponent-inside", f"{_HERE}.cost:EXPONENT_INSIDE", "a fitted exponent lies between two numbers")
RULES.add("less-than", f"{_HERE}.cost:LESS_THAN", "one model's figure is below another's at each length")
RULES.add("gradient", f"{_HERE}.memory:GRADIENT", "gradients vanish or explode with distance")
RULES.add("gradient-lead", f"{_HERE}.memory:GRADIENT_LEAD", "one model's gradients reach further")
RULES.add("reaches", f"{_HERE}.quality:REACHES", "a model's score is at least a number")
RULES.add("better", f"{_HERE}.quality:BETTER", "a model is better than others, case by case")
RULES.add("level", f"{_HERE}.quality:LEVEL", "models are equal within the margin, case by case")
RULES.add("wins", f"{_HERE}.wins:WINS", "a model is ahead on more kinds of rows than by chance")
RULES.add("above-zero", f"{_HERE}.quality:ABOVE_ZERO", "a gain, or what one gains more, is above 0")
RULES.add("mask", f"{_HERE}.language:MASK", "a model does the same without its causal mask")
RULES.add("memory", f"{_HERE}.language:MEMORY", "memory lowers the loss beyond the segment")
RULES.add("text", f"{_HERE}.language:TEXT", "what a text is like, in figures; decides nothing")
RULES.add("at-least", f"{_HERE}.ranks:AT_LEAST", "a share is at least a number, layout by layout")
RULES.add("reached", f"{_HERE}.ranks:REACHED", "a figure reaches a number under some layout, and which")
RULES.add("layout-below", f"{_HERE}.ranks:LAYOUT_BELOW", "a figure is smaller under one layout than another")
RULES.add("model-below", f"{_HERE}.ranks:MODEL_BELOW", "one model is below another, layout by layout")
RULES.add("faster", f"{_HERE}.pace:FASTER", "one model takes less time than another, and where that turns")
RULES.add("same-order", f"{_HERE}.pace:SAME_ORDER", "two models' times grow with the same power")
RULES.add("flatter", f"{_HERE}.pace:FLATTER", "one model's loss falls less with size than another's")
RULES.add("dated", f"{_HERE}.documents:DATED", "publications are of certain years")
RULES.add("retention", f"{_HERE}.memory:RETENTION", "one kind of model loses, the other keeps")


def across(outcomes: Iterable[Verdict]) -> Verdict:
    """Of several cases of one statement: where all agree, that; else where it holds in some, ``"holds where"``.

    A case that is not decided leaves a statement that fails elsewhere undecided, since it might hold there.
    """
    found = set(outcomes)
    if len(found) == 1:
        return found.pop()
    if found & {"holds", "holds where"}:
        return "holds where"
    return "not decided"


def both(outcomes: Iterable[Verdict]) -> Verdict:
    """Of several statements that must all be true: one that fails is enough, one that is open leaves all open."""
    found = set(outcomes)
    order: tuple[Verdict, ...] = ("does not hold", "not decided", "holds where")
    return next((verdict for verdict in order if verdict in found), "holds")


def grouped(cases: Iterable[tuple[Said, Verdict]]) -> list[Said]:
    """One sentence per verdict that occurs, naming the cases it was reached for."""
    patterns: dict[Verdict, Callable[[Said], Said]] = {
        "holds": lambda told: _("It holds for {cases}.", cases=told),
        "holds where": lambda told: _("It holds in part for {cases}.", cases=told),
        "does not hold": lambda told: _("It does not hold for {cases}.", cases=told),
        "not decided": lambda told: _("It is not decided for {cases}.", cases=told),
    }
    by_verdict: dict[Verdict, list[Said]] = {}
    for told, outcome in cases:
        by_verdict.setdefault(outcome, []).append(told)
    return [pattern(listing(by_verdict[verdict])) for verdict, pattern in patterns.items() if verdict in by_verdict]


def holding(cases: Iterable[tuple[Said, Verdict]]) -> Said | None:
    """The cases that hold, as a claim's `where`; None where none does."""
    return listing(told for told, outcome in cases if outcome in ("holds", "holds where")) or None


def found_across(
    observed: Observed,
    cases: Sequence[tuple[Said, Verdict]],
    *,
    figures: Iterable[Said] = (),
    missing: Iterable[Said] = (),
    drawn: Sequence[Curve],
) -> Finding:
    """The finding of several cases of one statement; no case at all is not decided.

    `figures` are sentences that stand below the verdict, `missing` those that say in it what is missing besides
    what could not be measured.
    """
    verdict = across(outcome for _told, outcome in cases) if cases else "not decided"
    told = [*grouped(cases), *not_measured(observed)] if cases else [nothing_measured(observed)]
    return Finding(
        verdict=verdict,
        sentence=sentences([*told, *missing]),
        figures=tuple(figures),
        where=holding(cases) if verdict == "holds where" else None,
        drawn=tuple(drawn),
    )


def not_measured(observed: Observed) -> list[Said]:
    """The sentence that names what experiments could not measure; none where there is nothing."""
    return [_("Not measured: {reasons}.", reasons=reasons)] if (reasons := _unmeasured(observed)) else []


def nothing_measured(observed: Observed) -> Said:
    """Why there is no verdict where no curve came back."""
    reasons = _unmeasured(observed)
    return (
        _("Not decided: {reasons}.", reasons=reasons)
        if reasons
        else _("Not decided: nothing could be measured that the rule reads.")
    )


def _unmeasured(observed: Observed) -> Said:
    return listing(reason for evidence in observed.evidence.values() for reason in evidence.missing)


def check_bounds(low: float, high: float) -> None:
    """`low` above `high` is a ConfigError."""
    if low > high:
        raise ConfigError(f"low={low:g} is above high={high:g}: give an interval")
