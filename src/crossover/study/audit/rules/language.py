"""Rules about language models: what the mask is for, what a memory is worth, and what a text is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossover.errors import ConfigError
from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Curve
from crossover.study.audit.experiments.carrying import OFF, ON
from crossover.study.audit.experiments.masking import ALONE, CHANCE, ENTROPY, IN_VIEW, MASKED, UNMASKED
from crossover.study.audit.experiments.writing import REAL
from crossover.study.audit.rules import Finding, Observed, Rule, Verdict, found_across, nothing_measured
from crossover.study.audit.words import Said, _, listing, number


@dataclass(frozen=True, kw_only=True)
class MaskParameters:
    """Each subject without its mask against itself with it; losses within `margin` nats count as equal."""

    subjects: tuple[str, ...]
    margin: float = 0.05

    measures = ("loss", "difference")

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ConfigError(f"margin={self.margin:g} must be a positive number of nats")

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def mask(observed: Observed, parameters: MaskParameters) -> Finding:
    """Whether a model does the same without its mask.

    It does not where it then undercuts the entropy, which only a look at the next symbol allows, and predicts from a
    prefix alone no better than a guess; it does where it predicts from a prefix as well as with the mask.
    """
    cases = [(name, _masked(observed, name, parameters.margin)) for name in parameters.subjects]
    told = [_losses(observed, name) for name in _names(observed.curves("loss", mask=UNMASKED))]
    return found_across(observed, cases, figures=told, drawn=observed.curves("loss"))


def _masked(observed: Observed, name: str, margin: float) -> Verdict:
    seen, guessed, kept = (
        _figure(observed, "difference", name, mask=UNMASKED, against=other) for other in (ENTROPY, CHANCE, MASKED)
    )
    if seen is None or guessed is None or kept is None:
        return "not decided"
    if seen.high < 0 and guessed.low > -margin:
        return "does not hold"
    return "holds" if kept.inside(margin) else "not decided"


def _losses(observed: Observed, name: str) -> Said:
    """The mean losses over all prefixes, without the mask and with it, beside the text's and a guess's."""

    def mean(model: str, **labels: str | bool) -> str:
        (curve,) = observed.curves("loss", (model,), **labels)
        return f"{sum(curve.values) / len(curve.values):.2f}"

    return _(
        "Without the mask {model} loses {seen} nats a symbol with the row that follows in view, where the text's own "
        "chances lose {entropy}. From the prefix alone, as in writing, it loses {blind}, a guess {chance}. With the "
        "mask it loses {masked} and {masked_alone}.",
        model=name,
        seen=mean(name, mask=UNMASKED, reads=IN_VIEW),
        blind=mean(name, mask=UNMASKED, reads=ALONE),
        entropy=mean(ENTROPY),
        chance=mean(CHANCE),
        masked=mean(name, mask=MASKED, reads=IN_VIEW),
        masked_alone=mean(name, mask=MASKED, reads=ALONE),
    )


@dataclass(frozen=True, kw_only=True)
class MemoryParameters:
    """The loss of each subject with memory less that without, context by context."""

    subjects: tuple[str, ...]

    measures = ("difference", "loss", "loss by position")

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def memory(observed: Observed, parameters: MemoryParameters) -> Finding:
    """Where memory lowers the loss beyond the segment: the corrected interval lies below 0."""
    judged: dict[str, Verdict] = {"a": "holds", "b": "does not hold", "equal": "does not hold"}
    cases = [
        (
            _("{model} at context {context}", model=curve.name, context=number(curve.x[0])),
            judged.get(str(curve.labels["verdict"]), "not decided"),
        )
        for curve in observed.curves("difference", parameters.subjects)
    ]
    told: list[Said] = []
    for name in _names(observed.curves("difference")):
        told += [_by_context(observed, name), _in_segment(observed, name)]
    return found_across(observed, cases, figures=told, drawn=observed.curves("loss"))


def _by_context(observed: Observed, name: str) -> Said:
    """The difference that memory makes at each context."""
    cases = [
        _("{figure} at context {context}", figure=_signed(curve.y[0]), context=number(curve.x[0]))
        for curve in observed.curves("difference", (name,))
    ]
    return _("Loss with memory less loss without, {model}: {cases}.", model=name, cases=listing(cases))


def _in_segment(observed: Observed, name: str) -> Said:
    """The loss in the last part of a segment, where the segment itself gives a past already, and at its start."""
    (on,), (off,) = (observed.curves("loss by position", (name,), memory=memory) for memory in (ON, OFF))
    return _(
        "From the segment's step {step} on it loses {on} with memory and {off} without, at its first step {first_on} "
        "and {first_off}.",
        step=number(on.x[-1]),
        on=f"{on.values[-1]:.3f}",
        off=f"{off.values[-1]:.3f}",
        first_on=f"{on.values[0]:.3f}",
        first_off=f"{off.values[0]:.3f}",
    )


@dataclass(frozen=True, kw_only=True)
class TextParameters:
    """What each subject writes; of n-grams of words, those of `order` are told."""

    subjects: tuple[str, ...]
    order: int = 3

    measures = ("bits", "difference", "distinct", "copied", "told apart")

    @property
    def models(self) -> tuple[str, ...]:
        """See `Parameters`."""
        return self.subjects


def text(observed: Observed, parameters: TextParameters) -> Finding:
    """The figures of every model's text; what quality is high is not decided by any of them."""
    drawn = observed.curves("copied")
    if not drawn:
        return Finding(verdict="not decided", sentence=nothing_measured(observed))
    told: list[Said] = []
    for name in _names(observed.curves("bits")):
        if name in parameters.subjects:
            told += [_predicts(observed, name), _varies(observed, name, parameters.order), _passes(observed, name)]
    judgement = _(
        "Not decided: whether that is high quality is a judgement, for which these figures name no threshold."
    )
    return Finding(verdict="not decided", sentence=judgement, figures=tuple(told), drawn=tuple(drawn))


def _predicts(observed: Observed, name: str) -> Said:
    (difference,) = observed.curves("difference", (name,))
    own, simple = (_figure(observed, "bits", one) for one in (name, str(difference.labels["against"])))
    return _(
        "{model} needs {bits} bits a character, a {simple} model {others}: a difference of {difference}.",
        model=name,
        bits=_range(own),
        simple=str(difference.labels["against"]),
        others=_range(simple),
        difference=_signed(difference.y[0]),
    )


def _varies(observed: Observed, name: str, order: int) -> Said:
    distinct, real_distinct, copied, real_copied = (
        _figure(observed, measure, one, at=order) for measure in ("distinct", "copied") for one in (name, REAL)
    )
    return _(
        "Of its {order}-grams of words {distinct} are distinct, of real text {real_distinct}; {copied} stand in the "
        "training text, of real text {real_copied}.",
        order=number(order),
        distinct=_percent(distinct),
        real_distinct=_percent(real_distinct),
        copied=_percent(copied),
        real_copied=_percent(real_copied),
    )


def _passes(observed: Observed, name: str) -> Said:
    return _(
        "A linear classifier tells its passages from real ones with an accuracy of {accuracy}, real ones from each "
        "other with {real}.",
        accuracy=_percent(_figure(observed, "told apart", name)),
        real=_percent(_figure(observed, "told apart", REAL)),
    )


def _figure(
    observed: Observed, measure: str, name: str, *, at: float | None = None, **labels: str | bool
) -> Interval | None:
    """A figure of one model: the only one of its curve, or that at `at`; None where it was not measured."""
    for curve in observed.curves(measure, (name,), **labels):
        place = 0 if at is None else curve.at(at)
        return None if place is None else curve.y[place]
    return None


def _names(curves: Sequence[Curve]) -> list[str]:
    return list(dict.fromkeys(curve.name for curve in curves))


def _range(interval: Interval | None) -> Said:
    if interval is None:
        return _("not measured")
    return _("{value} ({low} to {high})", **_told(interval, ".3f"))


def _signed(interval: Interval) -> Said:
    return _("{value} ({low} to {high})", **_told(interval, "+.3f"))


def _percent(interval: Interval | None) -> Said:
    if interval is None:
        return _("not measured")
    return _("{value} ({low} to {high})", **_told(interval, ".1%"))


def _told(interval: Interval, form: str) -> dict[str, Said]:
    return {name: f"{getattr(interval, name):{form}}" for name in ("value", "low", "high")}


MASK = Rule(parameters=MaskParameters, decide=mask)
MEMORY = Rule(parameters=MemoryParameters, decide=memory)
TEXT = Rule(parameters=TextParameters, decide=text)
