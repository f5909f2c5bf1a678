"""Rules about pace, documents, layouts and wins, each also turned round."""

from __future__ import annotations

import pytest

from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Curve, Evidence
from crossover.study.audit.rules import RULES, Finding, Observed
from crossover.study.audit.words import english
from unit.study.audit.spoken import spoken

LENGTHS = (64.0, 256.0, 1024.0)
PAIR = {"of": ("seconds",), "subject": "transformer", "reference": "lstm"}


def decide(rule: str, curves: list[Curve], *, steady: bool | None = None, **parameters) -> Finding:
    evidence = Evidence(curves=tuple(curves), scope="", how=(), steady=steady)
    chosen = RULES.get(rule)
    return chosen.decide(Observed({"measured": evidence}), chosen.parameters(**parameters))


def seconds(name: str, *values: float, measure: str = "seconds", spread: float = 0.01, **labels) -> Curve:
    samples = tuple(tuple(value * (1 + spread * (i % 3 - 1)) for i in range(9)) for value in values)
    y = tuple(Interval(value, value * (1 - spread), value * (1 + spread)) for value in values)
    return Curve(name=name, measure=measure, x=LENGTHS[: len(values)], y=y, samples=samples, labels=labels)


def test_a_model_that_is_faster_everywhere_is_and_turned_round_it_is_not() -> None:
    curves = [seconds("lstm", 2.0, 4.0, 8.0), seconds("transformer", 1.0, 2.0, 4.0)]
    assert decide("faster", curves, **PAIR).verdict == "holds"
    turned = {**PAIR, "subject": "lstm", "reference": "transformer"}
    assert decide("faster", curves, **turned).verdict == "does not hold"


def test_where_two_models_cross_is_told() -> None:
    curves = [seconds("lstm", 1.0, 4.0, 16.0), seconds("transformer", 2.0, 4.0 * 1.001, 8.0)]
    found = decide("faster", curves, **PAIR)
    assert found.verdict == "holds where"
    assert english(found.where or "") == "seconds at 1,024"
    assert "both take the same at" in spoken(found)


@pytest.mark.parametrize("rule", ["level", "better"])
def test_seconds_are_told_beside_scores_and_decide_nothing(rule: str) -> None:
    half = Interval(0.5, 0.49, 0.51)
    scores = [Curve(name=name, measure="score", x=("one",), y=(half,)) for name in ("window", "transformer")]
    level = {"verdict": "equal", "against": "transformer", "margin": 0.1}
    none = Curve(name="window", measure="difference", x=("one",), y=(Interval(0, -0.01, 0.01),), labels=level)
    curves = [*scores, none, seconds("transformer", 1.0, 4.0, 16.0), seconds("window", 2.0, 4.0, 8.0)]
    parameters = {"subjects": ("window",), "rivals": ("transformer",)}
    plain, timed = (decide(rule, curves, **parameters, timed=timed) for timed in (False, True))
    assert plain.verdict == timed.verdict == ("holds" if rule == "level" else "does not hold")
    told = "window takes 0.5 times the seconds of transformer at 1,024"
    assert told in spoken(timed) and "seconds" not in spoken(plain)
    unsteady = decide(rule, curves, steady=False, **parameters, timed=True)
    assert unsteady.verdict == plain.verdict and "no verdict on time" in spoken(unsteady)


@pytest.mark.parametrize(
    ("grown", "lower_is_better", "verdict"),
    [(0.1, True, "holds"), (0.9, True, "does not hold"), (0.5, True, "not decided"), (-0.1, False, "holds")],
)
def test_a_model_is_steadier_whose_scores_worsen_less(grown: float, lower_is_better: bool, verdict: str) -> None:
    """The rival's go with the power 0.5 of the horizon, or, where more is better, with -0.5."""
    horizons, half = (24.0, 96.0, 336.0), Interval(0.5, 0.49, 0.51)
    labels = {"series": "horizons", **({"lower_is_better": True} if lower_is_better else {})}

    def along(name: str, power: float) -> Curve:
        samples = tuple(tuple(h**power * spread for spread in (0.99, 1.0, 1.01)) for h in horizons)
        y = tuple(Interval(h**power, h**power, h**power) for h in horizons)
        return Curve(name=name, measure="score along", x=horizons, y=y, labels=labels, samples=samples)

    better = {"verdict": "a", "against": "transformer", "margin": 0.1}
    curves = [
        along("gru", grown),
        along("transformer", 0.5 if lower_is_better else -0.5),
        *(Curve(name=name, measure="score", x=("one",), y=(half,)) for name in ("gru", "transformer")),
        Curve(name="gru", measure="difference", x=("one",), y=(half,), labels=better),
    ]
    found = decide("better", curves, subjects=("gru",), rivals=("transformer",), steadier=True)
    said = spoken(found)
    assert "Along horizons the score of gru goes with the power" in said and "seeds lie" in said
    assert found.verdict == verdict


def test_of_a_course_with_a_score_of_0_no_power_is_fitted() -> None:
    zero, half = Interval(0.0, 0.0, 0.0), Interval(0.5, 0.49, 0.51)
    curves = [
        *(Curve(name=name, measure="score", x=("one",), y=(half,)) for name in ("gru", "transformer")),
        *(
            Curve(
                name=name,
                measure="score along",
                x=(1, 2, 4),
                y=(half, half, zero),
                labels={"series": "lags"},
                samples=((0.5, 0.5), (0.5, 0.5), (0.0, 0.5)),
            )
            for name in ("gru", "transformer")
        ),
    ]
    found = decide("better", curves, subjects=("gru",), rivals=("transformer",), steadier=True)
    assert found.verdict == "not decided" and "Along lags" not in spoken(found)


def test_models_are_compared_under_the_same_condition_only() -> None:
    curves = [
        seconds("lstm", 1.0, 1.0, **{"pass": "encode", "batch": 1}),
        seconds("transformer", 0.5, 0.5, **{"pass": "encode", "batch": 1}),
        seconds("lstm", 1.0, 1.0, **{"pass": "decode", "batch": 1}),
        seconds("transformer", 3.0, 3.0, **{"pass": "decode", "batch": 1}),
        seconds("transformer", 3.0, 3.0, **{"pass": "decode", "batch": 64}),
    ]
    found = decide("faster", curves, **PAIR)
    assert found.verdict == "holds where"
    assert english(found.where or "") == "encoding whole sequences, batch 1 at 64, 256"
    assert "batch 64" not in spoken(found)


def test_few_and_scattered_pairs_decide_nothing() -> None:
    curves = [
        Curve(name=name, measure="seconds", x=(64.0,), y=(Interval(1.0, 0.5, 1.5),), samples=(taken,))
        for name, taken in (("lstm", (0.5, 1.0, 1.5)), ("transformer", (1.5, 0.9, 0.6)))
    ]
    assert decide("faster", curves, **PAIR).verdict == "not decided"


@pytest.mark.parametrize("rule", ["faster", "same-order"])
def test_an_unsteady_machine_decides_nothing_about_time(rule: str) -> None:
    curves = [seconds("lstm", 2.0, 4.0, 8.0), seconds("transformer", 1.0, 2.0, 4.0)]
    assert decide(rule, curves, steady=False, **PAIR).verdict == "not decided"


def test_two_models_grow_alike_or_not() -> None:
    linear = [seconds("lstm", 1.0, 4.0, 16.0), seconds("transformer", 2.0, 8.0, 32.0)]
    assert decide("same-order", linear, **PAIR).verdict == "holds"
    apart = [seconds("lstm", 1.0, 4.0, 16.0), seconds("transformer", 1.0, 16.0, 256.0)]
    found = decide("same-order", apart, **PAIR)
    assert found.verdict == "does not hold"
    assert "a difference of 1." in spoken(found)
    assert decide("same-order", list(map(shortened, apart)), **PAIR).verdict == "not decided"


def shortened(curve: Curve) -> Curve:
    return Curve(name=curve.name, measure=curve.measure, x=curve.x[:2], y=curve.y[:2], samples=curve.samples[:2])


def test_a_loss_that_falls_less_with_size_is_flatter_and_turned_round_it_is_not() -> None:
    of = {"of": ("loss by size",), "beside": ("loss by depth",)}
    curves = [
        seconds("lstm", 2.0, 1.9, 1.8, measure="loss by size", spread=0.001),
        seconds("transformer", 2.0, 1.6, 1.3, measure="loss by size", spread=0.001),
        seconds("lstm", 2.0, 2.1, measure="loss by depth"),
    ]
    found = decide("flatter", curves, **of, subject="lstm", reference="transformer")
    assert found.verdict == "holds"
    assert "lstm, validation loss by layers: 2 at 64, 2.1 at 256." in spoken(found)
    assert decide("flatter", curves, **of, subject="transformer", reference="lstm").verdict == "does not hold"


def test_publications_are_of_certain_years_or_not() -> None:
    curves = [Curve.counted(name, "year", (year,), (year,)) for name, year in (("early", 1986), ("late", 1997))]
    found = decide("dated", curves, first=1980, last=1989)
    assert (found.verdict, english(found.where or "")) == ("holds where", "early (1986)")
    assert decide("dated", curves, first=1998, last=1999).verdict == "does not hold"


def test_a_layout_with_more_of_something_is_above_another() -> None:
    curves = [Curve.counted("crossover", "lines", (2,), (n,), layout=name) for name, n in (("a", 10), ("b", 20))]
    told = {"measure": "lines", "subjects": ("b",), "reference": "a"}
    assert decide("layout-below", curves, **told, above=True).verdict == "holds"
    assert decide("layout-below", curves, **told).verdict == "does not hold"


def test_what_is_predicted_is_told_and_decides_nothing() -> None:
    curve = Curve(name="lstm", measure="ratio", x=(64,), y=(Interval(9.0, 7.0, 12.0),), labels={"by": "predicted"})
    found = decide("at-least", [curve], measure="ratio", bound=1.0)
    assert found.verdict == "not decided"
    assert "lstm, predicted: 9 (7 to 12) at 64." in spoken(found)


def by_kind(name: str, *scores: float, case: str = "tasks", **labels: bool) -> Curve:
    y = tuple(Interval(score, score, score) for score in scores)
    x = tuple(str(kind) for kind in range(1, len(scores) + 1))
    return Curve(name=name, measure="score by kind", x=x, y=y, labels={"series": case, **labels})


@pytest.mark.parametrize(
    ("ahead", "behind", "verdict"),
    [(16, 4, "holds"), (4, 16, "does not hold"), (13, 7, "not decided"), (5, 0, "not decided"), (6, 0, "holds")],
)
def test_a_sign_test_over_kinds_decides_who_wins(ahead: int, behind: int, verdict: str) -> None:
    lead = [0.1] * ahead + [-0.1] * behind + [0.0]
    curves = [by_kind("transformer", *(0.5 + own for own in lead)), by_kind("lstm", *[0.5] * len(lead))]
    found = decide("wins", curves, subject="transformer", reference="lstm")
    assert found.verdict == verdict
    assert f"ahead on {ahead} kinds" in spoken(found) and f"behind on {behind}" in spoken(found)
    errors = [by_kind(curve.name, *curve.values, lower_is_better=True) for curve in curves]
    turned = decide("wins", errors, subject="lstm", reference="transformer")
    assert turned.verdict == verdict


def test_sign_tests_of_several_cases_are_corrected_together() -> None:
    six = [by_kind("transformer", *[0.6] * 6), by_kind("lstm", *[0.5] * 6)]
    level = [by_kind("transformer", 0.6, 0.5, case="more"), by_kind("lstm", 0.5, 0.6, case="more")]
    assert decide("wins", six, subject="transformer", reference="lstm").verdict == "holds"
    assert decide("wins", six + level, subject="transformer", reference="lstm").verdict == "not decided"
    assert decide("wins", [], subject="transformer", reference="lstm").verdict == "not decided"
