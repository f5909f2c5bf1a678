import math

import pytest

from crossover.errors import ConfigError, MeasurementError
from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Curve, Evidence
from crossover.study.audit.rules import RULES, Finding, Observed, across, both
from crossover.study.audit.rules.cost import fit_terms
from crossover.study.audit.words import english
from unit.study.audit.spoken import spoken

LENGTHS = (128.0, 256.0, 512.0, 1024.0, 2048.0)


def decide(rule: str, curves: list[Curve], *, steady: bool | None = None, **parameters) -> Finding:
    evidence = Evidence(curves=tuple(curves), scope="", how=(), steady=steady)
    chosen = RULES.get(rule)
    return chosen.decide(Observed({"measured": evidence}), chosen.parameters(**parameters))


def flops(name: str, count, widths=(64, 128, 256, 512)) -> list[Curve]:
    return [Curve.counted(name, "flops", LENGTHS, [count(t, h) for t in LENGTHS], width=h) for h in widths]


def power(name: str, measure: str, exponent: float, bend: float = 0.0, **labels) -> Curve:
    values = [t ** (exponent + bend * (-1) ** i) for i, t in enumerate(LENGTHS)]
    return Curve.counted(name, measure, LENGTHS, values, **labels)


def scores(name: str, *intervals: tuple[float, float], lags=(8.0, 32.0, 128.0)) -> Curve:
    y = tuple(Interval((low + high) / 2, low, high) for low, high in intervals)
    return Curve(name=name, measure="copy", x=lags[: len(y)], y=y)


def norms(name: str, log_ratios: list[float], phase: str = "untrained", **setting: float) -> Curve:
    y = (Interval(1.0, 1.0, 1.0), Interval(1.0, 1.0, 1.0))
    samples = (tuple(0.0 for _ in log_ratios), tuple(log_ratios))
    return Curve(
        name=name, measure="gradient", x=(1.0, 100.0), y=y, labels={**setting, "phase": phase}, samples=samples
    )


SOLVED, LOST, OPEN = (0.995, 1.0), (0.2, 0.3), (0.9, 1.0)


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        (["holds", "holds"], "holds"),
        (["does not hold", "does not hold"], "does not hold"),
        (["holds", "does not hold"], "holds where"),
        (["holds", "not decided"], "holds where"),
        (["does not hold", "not decided"], "not decided"),
    ],
)
def test_cases_of_one_statement(outcomes, together) -> None:
    assert across(outcomes) == together


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "does not hold"], "does not hold"),
        (["not decided", "does not hold"], "does not hold"),
        (["holds", "not decided"], "not decided"),
        (["holds", "holds where"], "holds where"),
    ],
)
def test_statements_that_must_both_be_true(outcomes, together) -> None:
    assert both(outcomes) == together


def test_a_constant_count_holds_and_turned_round_it_does_not() -> None:
    curves = [Curve.counted("gru", "parameters", LENGTHS, [7] * 5)]
    assert decide("constant", curves, measure="parameters").verdict == "holds"
    assert decide("constant", curves, measure="parameters", grows=True).verdict == "does not hold"


def test_a_growing_count_does_not_hold_and_what_stands_beside_decides_nothing() -> None:
    fixed, grown = (
        Curve.counted(name, "parameters", (1.0, 2.0), v) for name, v in (("gru", [7, 7]), ("gpt", [7, 8]))
    )
    assert decide("constant", [grown], measure="parameters").verdict == "does not hold"
    assert decide("constant", [grown], measure="parameters", grows=True).verdict == "holds"
    found = decide("constant", [fixed, grown], measure="parameters", subjects=("gru",), beside=("gpt",))
    assert found.verdict == "holds"
    assert "gpt: 7 at 1, 8 at 2" in spoken(found)


def test_the_terms_of_attention_are_found_with_their_factors_and_where_each_rules() -> None:
    curves = flops("attention", lambda t, h: 8 * t * h**2 + 4 * t**2 * h)
    assert fit_terms(curves) == {"T·H²": 8.0, "T²·H": 4.0}
    claimed = decide("cost-form", curves, terms=("T²·H²",))
    turned = decide("cost-form", curves, terms=("T·H²", "T²·H"))
    assert (claimed.verdict, turned.verdict) == ("does not hold", "holds")
    assert "up to T = 2·H" in spoken(claimed)


def test_another_form_is_an_error_and_not_a_verdict() -> None:
    with pytest.raises(MeasurementError, match="no sum of"):
        fit_terms(flops("odd", lambda t, h: t * h * math.log(t)))


def test_a_cost_that_is_also_timed_needs_a_narrow_exponent_inside_its_bounds() -> None:
    counted = flops("lstm", lambda t, h: 16 * t * h**2)

    def verdict(time: Curve, *, steady: bool = True) -> str:
        return decide(
            "cost-form", [*counted, time], steady=steady, terms=("T·H²",), low=0.9, high=1.1, widest=0.1
        ).verdict

    assert verdict(power("lstm", "time", 1.0)) == "holds"
    assert verdict(power("lstm", "time", 1.5)) == "does not hold"
    assert verdict(power("lstm", "time", 1.0, bend=0.02)) == "not decided"
    assert verdict(power("lstm", "time", 1.0), steady=False) == "not decided"


def test_an_unsteady_machine_leaves_counted_verdicts_and_says_so() -> None:
    curves = [*flops("attention", lambda t, h: 4 * t**2 * h), power("attention", "time", 2.0)]
    found = decide("cost-form", curves, steady=False, terms=("T²·H²",))
    assert found.verdict == "does not hold"
    assert "unsteady" in spoken(found)
    assert "power 2.00" not in spoken(found)


@pytest.mark.parametrize(
    ("exponent", "bend", "verdict"),
    [(1.0, 0.0, "holds"), (0.5, 0.0, "does not hold"), (1.08, 0.02, "not decided")],
)
def test_an_exponent_is_judged_by_its_whole_interval(exponent, bend, verdict) -> None:
    curves = [power("lstm", "memory", exponent, bend)]
    assert decide("exponent-inside", curves, measure="memory", low=0.9, high=1.1).verdict == verdict


def test_an_exponent_that_holds_for_one_model_holds_where() -> None:
    curves = [power("lstm", "memory", 1.0), power("transformer", "memory", 2.0)]
    found = decide("exponent-inside", curves, measure="memory", low=0.9, high=1.1)
    assert (found.verdict, english(found.where or "")) == ("holds where", "lstm")


def test_too_few_points_decide_no_exponent() -> None:
    curve = Curve.counted("lstm", "memory", LENGTHS[:2], LENGTHS[:2])
    found = decide("exponent-inside", [curve], measure="memory", low=0.9, high=1.1)
    assert found.verdict == "not decided"


def test_less_memory_is_told_by_pass_and_length() -> None:
    def memory(name: str, kind: str, values: list[float]) -> Curve:
        return Curve.counted(name, "memory", (256.0, 512.0), values, **{"pass": kind})

    curves = [
        memory("lstm", "train", [10, 20]), memory("transformer", "train", [5, 40]),
        memory("lstm", "decode", [1, 1]), memory("transformer", "decode", [2, 3]),
    ]  # fmt: skip
    found = decide("less-than", curves, measure="memory", subject="transformer", reference="lstm")
    assert found.verdict == "holds where"
    assert english(found.where or "") == "training at length 256"
    turned = decide("less-than", curves[2:], measure="memory", subject="transformer", reference="lstm")
    assert turned.verdict == "does not hold"


def test_ranges_that_overlap_are_not_decided() -> None:
    def memory(name: str, low: float, high: float) -> Curve:
        return Curve(name=name, measure="memory", x=(256.0,), y=(Interval(low, low, high),), labels={"pass": "train"})

    curves = [memory("lstm", 1, 3), memory("transformer", 2, 4)]
    found = decide("less-than", curves, measure="memory", subject="transformer", reference="lstm")
    assert found.verdict == "not decided"


def test_gradients_are_said_to_vanish_explode_or_do_neither_by_setting() -> None:
    curves = [
        norms("elman", [-30.1, -30.0], gain=0.5),
        norms("elman", [-1.0, -1.1], gain=1.0),
        norms("elman", [5.0, 5.1], gain=1.5),
        norms("elman", [-6.0, 0.0], gain=0.9),
    ]
    found = decide("gradient", curves, subjects=("elman",))
    sentence = spoken(found)
    assert found.verdict == "holds where"
    assert "vanishes for elman with gain 0.5" in sentence
    assert "explodes for elman with gain 1.5" in sentence
    assert "neither for elman with gain 1 " in sentence
    assert "not decided for elman with gain 0.9" in sentence
    assert decide("gradient", curves[:1], subjects=("elman",)).verdict == "holds"
    assert decide("gradient", curves[1:2], subjects=("elman",)).verdict == "does not hold"


def test_settings_that_follow_one_another_are_told_by_the_first_and_the_last() -> None:
    fates = {0.5: -30.0, 0.6: -30.0, 0.7: -30.0, 0.9: -1.0, 1.0: -30.0, 1.1: -30.0}
    curves = [norms("elman", [value, value + 0.1], gain=gain) for gain, value in fates.items()]
    told = spoken(decide("gradient", curves, subjects=("elman",)))
    assert "vanishes for elman with gain 0.5 to 0.7, 1, 1.1 " in told and "neither for elman with gain 0.9 " in told


def test_a_distance_that_was_not_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="distance=50 is not among those measured"):
        decide("gradient", [norms("elman", [-1.0, -1.1], gain=1.0)], subjects=("elman",), distance=50)


@pytest.mark.parametrize(
    ("lead", "lstm", "elman", "verdict"),
    [
        (5.0, (SOLVED, SOLVED), (SOLVED, LOST), "holds"),
        (1.0, (SOLVED, SOLVED), (SOLVED, LOST), "does not hold"),
        (5.0, (SOLVED, LOST), (SOLVED, SOLVED), "does not hold"),
        (5.0, (SOLVED, SOLVED), (SOLVED, SOLVED), "not decided"),
        (5.0, (SOLVED, OPEN), (SOLVED, OPEN), "not decided"),
    ],
)
def test_a_lead_needs_a_larger_ratio_and_a_longer_solved_lag(lead, lstm, elman, verdict) -> None:
    curves = [
        norms("elman", [-8.0, -8.1], gain=1.0),
        norms("lstm", [-8.0 + lead, -8.1 + lead], forget_bias=1.0),
        scores("lstm", *lstm),
        scores("elman", *elman),
    ]
    assert decide("gradient-lead", curves, subject="lstm", reference="elman").verdict == verdict


@pytest.mark.parametrize(
    ("lstm", "transformer", "verdict"),
    [
        ((SOLVED, LOST), (SOLVED, SOLVED, SOLVED), "holds"),
        ((SOLVED, SOLVED, SOLVED), (SOLVED, SOLVED, SOLVED), "does not hold"),
        ((SOLVED, LOST), (SOLVED, LOST), "does not hold"),
        ((SOLVED, LOST), (SOLVED, SOLVED, OPEN), "not decided"),
        ((LOST,), (SOLVED, SOLVED, SOLVED), "not decided"),
    ],
)
def test_what_recurrent_models_lose_and_attention_keeps(lstm, transformer, verdict) -> None:
    curves = [scores("lstm", *lstm), scores("transformer", *transformer)]
    found = decide("retention", curves, losing=("lstm",), keeping=("transformer",))
    assert found.verdict == verdict


def test_no_curve_at_all_is_not_decided() -> None:
    assert decide("retention", [], losing=("lstm",), keeping=("transformer",)).verdict == "not decided"
    assert decide("gradient", [], subjects=("elman",)).verdict == "not decided"
    assert decide("less-than", [], measure="memory", subject="a", reference="b").verdict == "not decided"
