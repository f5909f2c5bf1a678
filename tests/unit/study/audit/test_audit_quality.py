"""Comparisons as evidence, and the rules that read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossover.config import build
from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.study import outcome, verdict
from crossover.study.audit.claim import built_in_claims
from crossover.study.audit.evidence import Bench, Curve, Evidence
from crossover.study.audit.experiments import contrasts
from crossover.study.audit.experiments.cases import QualitySettings
from crossover.study.audit.experiments.quality import measure_quality
from crossover.study.audit.rules import Observed
from crossover.study.audit.rules.quality import (
    AboveZeroParameters,
    BetterParameters,
    LevelParameters,
    ReachesParameters,
    better,
    gains,
    level,
    reaches,
)
from crossover.study.audit.words import english
from crossover.study.store import Store
from crossover.tasks import TASKS
from unit.study.audit.spoken import spoken

CASES = [
    {"name": "short", "task": "parity", "data": {"settings": {"longest": 8}}, "budget": "3steps"},
    {"name": "own", "task": "language-modeling", "data": {"data": "no-such-file.txt"}},
]


@pytest.fixture(scope="module")
def few_draws() -> Iterator[None]:
    """No test on what was measured reads how wide an interval is."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (contrasts, outcome, verdict):
            patch.setattr(module, "RESAMPLES", 50)
        yield


@pytest.fixture(scope="module")
def evidence(few_draws: None, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("audit")
    bench = Bench(Numerics.default(), Store(folder), lambda line: None)
    changes = {"width": 8, "layers": 1}
    settings: QualitySettings = build(
        QualitySettings, {"models": ["elman", "lstm"], "cases": CASES, "seeds": 2, "model_changes": changes}
    )
    found = measure_quality(settings, bench)
    again = measure_quality(settings, bench)
    assert again.curves == found.curves and len(list(folder.glob("studies/*/study.json"))) == 1
    return Evidence.from_json(found.to_json())


def test_every_model_and_baseline_has_its_score_and_every_pair_its_difference(evidence: Evidence) -> None:
    scores = {curve.name: curve for curve in evidence.curves if curve.measure == "score"}
    assert {"elman", "lstm"} < scores.keys() and all(curve.x == ("short",) for curve in scores.values())
    assert [name for name, curve in scores.items() if curve.labels.get("baseline")]
    pairs = {(c.name, c.labels["against"]) for c in evidence.curves if c.measure == "difference"}
    assert ("elman", "lstm") in pairs and len(pairs) == 1 + 2 * (len(scores) - 2)


def test_data_that_are_not_there_are_told_and_the_other_cases_stand(evidence: Evidence) -> None:
    (missing,) = evidence.missing
    assert english(missing).startswith("own: ") and "no-such-file.txt" in english(missing)
    found = reaches(Observed({"quality": evidence}), ReachesParameters(subjects=("lstm",), threshold=0.999))
    assert found.verdict == "does not hold" and "Not measured: own: " in spoken(found)


@pytest.fixture(scope="module")
def series(few_draws: None, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """A case by share of train, one in buckets of its test rows, and what one gains over the other."""
    folder = tmp_path_factory.mktemp("series")
    rows = [f"word{i} Word{i % 5}{' more' * (i % 2)},{'yes' if i % 2 else 'no'}" for i in range(200)]
    (folder / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    case = {"task": "text-classification", "budget": "2steps"}
    cases = [
        {**case, "name": "own", "data": {"data": str(folder / "own.csv")}, "shares": [0.5]},
        {**case, "name": "in capitals", "data": {"data": str(folder / "own.csv"), "settings": {"lowercase": False}}},
        {**case, "name": "bucketed", "data": {"data": str(folder / "own.csv")}, "by": "length", "edges": [2, 9]},
        {**case, "name": "no such", "data": {"data": str(folder / "own.csv")}, "by": "wrods", "edges": [2]},
    ]
    gained = [{"name": "capitals", "case": "in capitals", "over": "bucketed"}]
    course = {"name": "words", "cases": ["in capitals", "bucketed", "no such"], "at": [1, 2, 4]}
    given = {"models": ["elman", "gru"], "cases": cases, "gains": gained, "courses": [course], "seeds": 2}
    settings: QualitySettings = build(QualitySettings, {**given, "model_changes": {"width": 8, "layers": 1}})
    bench = Bench(Numerics.default(), Store(folder / "audit"), lambda line: None)
    return Evidence.from_json(measure_quality(settings, bench).to_json())


def test_series_of_cases_are_scored_apart_and_only_what_is_scored_is_compared(series: Evidence) -> None:
    scores = {curve.name: curve for curve in series.curves if curve.measure == "score"}
    assert scores["elman"].x == (
        "own, 50 % of train",
        "in capitals",
        "bucketed, up to 2 length",
        "bucketed, 3 to 9 length",
    )
    by_series = {(c.x[0], c.labels.get("series")) for c in series.curves if c.measure == "difference"}
    assert ("own, 50 % of train", "own") in by_series and ("in capitals", None) in by_series
    assert english(series.missing[-1]) == "no such: its rows have no wrods"
    assert "own, 50 % of train: accuracy on" in english(series.scope)


def test_gains_and_trends_are_measured_for_models_alone(series: Evidence) -> None:
    found = {(c.measure, c.name, c.labels.get("against"), c.x) for c in series.curves if "margin" in c.labels}
    gained = {("gain", name, None, ("capitals",)) for name in ("elman", "gru")}
    assert found == gained | {
        ("interaction", "elman", "gru", ("capitals",)),
        ("trend", "elman", "gru", ("bucketed",)),
    }
    decided = gains(
        Observed({"quality": series}),
        AboveZeroParameters(measure="interaction", subjects=("gru",), rivals=("elman",)),
    )
    assert "gru less elman on capitals: " in spoken(decided)
    assert english(series.how[1]).startswith("capitals: how much better the score is on in capitals than on bucketed")


def test_along_a_course_the_scores_of_every_seed_are_kept(series: Evidence) -> None:
    along = {curve.name: curve for curve in series.curves if curve.measure == "score along"}
    assert set(along) == {"elman", "gru"} and {curve.labels["series"] for curve in along.values()} == {"words"}
    for curve in along.values():
        assert curve.x == (1, 2, 4) and [len(seeds) for seeds in curve.samples] == [2, 2, 2]
        for score, seeds in zip(curve.y, curve.samples, strict=True):
            assert score.value == pytest.approx(sum(seeds) / 2)


def score(name: str, **cases: tuple[float, float, float]) -> Curve:
    return Curve(name=name, measure="score", x=tuple(cases), y=tuple(Interval(*values) for values in cases.values()))


def difference(a: str, b: str, case: str, verdict: str, low: float = -1.0, high: float = 1.0, **more: str) -> Curve:
    labels = {"against": b, "verdict": verdict, **more}
    return Curve(name=a, measure="difference", x=(case,), y=(Interval((low + high) / 2, low, high),), labels=labels)


def contrast(measure: str, name: str, low: float, high: float, **more: Any) -> Curve:
    labels = {"verdict": "a" if low > 0 else "b" if high < 0 else "undecided", **more}
    return Curve(name=name, measure=measure, x=("one",), y=(Interval((low + high) / 2, low, high),), labels=labels)


def observed(*curves: Curve) -> Observed:
    return Observed({"quality": Evidence(curves=curves, scope="", how=())})


HALF = (0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("threshold", "verdict"), [(0.3, "holds"), (0.5, "not decided"), (0.65, "does not hold"), (0.4, "holds")]
)
def test_a_score_reaches_what_its_whole_interval_reaches(threshold: float, verdict: str) -> None:
    parameters = ReachesParameters(subjects=("lstm",), threshold=threshold)
    assert reaches(observed(score("lstm", one=HALF)), parameters).verdict == verdict


@pytest.mark.parametrize(("threshold", "verdict"), [(0.7, "holds"), (0.5, "not decided"), (0.3, "does not hold")])
def test_an_error_reaches_what_its_whole_interval_stays_below(threshold: float, verdict: str) -> None:
    error = replace(score("lstm", one=HALF), labels={"lower_is_better": True})
    found = reaches(observed(error), ReachesParameters(subjects=("lstm",), threshold=threshold))
    assert found.verdict == verdict


@pytest.mark.parametrize(("outcome", "verdict"), [("a", "holds"), ("b", "holds where"), ("undecided", "holds where")])
def test_a_model_is_set_beside_its_own_twin_and_no_other(outcome: str, verdict: str) -> None:
    curves = [score(name, one=HALF) for name in ("lstm", "gru", "lstm-classic", "gru-classic")]
    curves += [difference("lstm", "lstm-classic", "one", outcome), difference("lstm", "gru-classic", "one", "b")]
    curves += [difference("lstm", "gru", "one", "a")]
    rule = BetterParameters(subjects=("lstm",), rivals=("gru",), twins={"lstm": "lstm-classic"})
    found = better(observed(*curves), rule)
    assert found.verdict == verdict and rule.models == ("lstm", "gru", "lstm", "lstm-classic")
    said = spoken(found)
    assert "lstm beside lstm-classic on one" in said and "gru-classic on" not in said


@pytest.mark.parametrize(
    ("found", "turned", "is_better", "is_level"),
    [
        ("a", False, "holds", "does not hold"),
        ("a", True, "does not hold", "does not hold"),
        ("b", True, "holds", "does not hold"),
        ("equal", False, "does not hold", "holds"),
        ("undecided", True, "not decided", "not decided"),
    ],
)
def test_pairs_are_read_from_either_side(found: str, turned: bool, is_better: str, is_level: str) -> None:
    pair = ("gru", "lstm") if turned else ("lstm", "gru")
    seen = observed(score("lstm", one=HALF), difference(*pair, "one", found))
    assert better(seen, BetterParameters(subjects=("lstm",), rivals=("gru",))).verdict == is_better
    assert level(seen, LevelParameters(subjects=("lstm",), rivals=("gru",))).verdict == is_level


def test_one_rival_that_is_not_beaten_is_enough_and_cases_are_counted() -> None:
    cases = dict.fromkeys(("one", "two", "three"), HALF)
    ridge = Curve(name="ridge", measure="score", x=("one",), y=(Interval(*HALF),), labels={"baseline": True})
    curves = [score("lstm", **cases), ridge]
    curves += [difference("lstm", "gru", case, "a") for case in cases]
    curves += [difference("lstm", "ridge", "one", "equal"), difference("lstm", "ridge", "two", "a")]
    curves += [difference("lstm", "ridge", "three", "undecided")]
    rivals = ("gru", "baseline")
    whole = better(observed(*curves), BetterParameters(subjects=("lstm",), rivals=rivals))
    assert whole.verdict == "holds where" and english(whole.where or "") == "lstm on two"
    one = better(observed(*curves), BetterParameters(subjects=("lstm",), rivals=("baseline: ridge",)))
    assert english(one.where or "") == "lstm on two"
    verdicts = {
        least: better(observed(*curves), BetterParameters(subjects=("lstm",), rivals=rivals, least=least)).verdict
        for least in (1, 2, 3)
    }
    assert verdicts == {1: "holds", 2: "not decided", 3: "does not hold"}


@pytest.mark.parametrize(
    ("intervals", "told"),
    [
        ([(-2, -1), (-1, 1), (1, 2)], "its sign turns between small and large."),
        ([(1, 2), (-1, 1), (1, 3)], "its sign does not turn where it is decided (small, large)."),
        ([(-1, 2), (-1, 1), (-1, 3)], "its sign is decided nowhere."),
    ],
)
def test_where_the_sign_turns_along_a_series_is_told(intervals: list[tuple[float, float]], told: str) -> None:
    places = zip(("small", "middle", "large"), intervals, strict=True)
    curves = [
        difference(
            "lstm", "gru", f"own, {at}", "ab"[high < 0] if low * high > 0 else "equal", low, high, series="own"
        )
        for at, (low, high) in places
    ]
    seen = observed(score("gru", **{"own, small": HALF, "own, middle": HALF}), *curves)
    sentence = spoken(level(seen, LevelParameters(subjects=("gru",), rivals=("lstm",))))
    low, high = intervals[0]
    mean = -(low + high) / 2
    assert f"gru less lstm on own: small: {mean:g} ({-high} to {-low}), middle: " in sentence and told in sentence


@pytest.mark.parametrize(
    ("found", "interval", "verdict"),
    [
        ("a", (0.5, 1), "holds"),
        ("a", (-1, 1), "not decided"),
        ("a", (-1, 0), "does not hold"),
        ("b", (0.5, 1), "does not hold"),
        ("undecided", (0.5, 1), "not decided"),
    ],
)
def test_a_lead_that_is_to_grow_is_judged_in_both_halves(
    found: str, interval: tuple[float, float], verdict: str
) -> None:
    parameters = BetterParameters(subjects=("lstm",), rivals=("gru",), grows=True)
    curves = [score("lstm", one=HALF), difference("lstm", "gru", "one", found)]
    judged = better(observed(*curves, contrast("trend", "lstm", *interval, against="gru")), parameters)
    assert judged.verdict == verdict
    assert "growth from bucket to bucket, lstm less gru on one: " in spoken(judged)
    assert better(observed(*curves), parameters).verdict != "holds"
    assert parameters.measures == ("score", "difference", "trend")
    with pytest.raises(ConfigError, match="give one of the two"):
        BetterParameters(subjects=("lstm",), rivals=("gru",), grows=True, least=1)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.001, 0.01), "holds"),
        ((-0.01, 0.01), "does not hold"),
        ((-0.1, 0.0), "does not hold"),
        ((-0.01, 0.1), "not decided"),
    ],
)
def test_a_gain_is_above_zero_where_its_whole_interval_is(interval: tuple[float, float], verdict: str) -> None:
    seen = observed(
        contrast("gain", "lstm", *interval, margin=0.015), contrast("interaction", "lstm", *interval, against="gru")
    )
    assert gains(seen, AboveZeroParameters(measure="gain", subjects=("lstm",))).verdict == verdict
    turned = gains(seen, AboveZeroParameters(measure="interaction", subjects=("gru",), rivals=("lstm",)))
    assert (turned.verdict == "does not hold") == (interval[0] >= 0)


@pytest.mark.parametrize(
    ("interval", "judged"),
    [((-0.005, 0.1), "holds"), ((-0.1, -0.02), "does not hold"), ((-0.1, 0.0), "not decided")],
)
def test_what_may_be_lost_is_a_bound_below_zero(interval: tuple[float, float], judged: str) -> None:
    rule = AboveZeroParameters(measure="gain", subjects=("lstm",), least=-0.01)
    assert gains(observed(contrast("gain", "lstm", *interval)), rule).verdict == judged


def test_a_case_is_trained_under_its_layout_and_tells_it(few_draws: None, tmp_path: Path) -> None:
    bench = Bench(Numerics.default(), Store(tmp_path), lambda line: None)
    one = {"name": "one", "task": "classification/digits", "budget": "2steps", "train": {"batch": 8}}
    two = {**one, "name": "two", "layout": "data=2,synchronise=end,shards=sorted"}
    gain = {"name": "merged", "case": "two", "over": "one"}
    changes = {"width": 8, "layers": 1}
    given = {"models": ["gru"], "cases": [one, two], "gains": [gain], "seeds": 2, "model_changes": changes}
    found = measure_quality(build(QualitySettings, given), bench)
    assert "two (data=2,synchronise=end,shards=sorted): " in english(found.scope)
    assert [c.x for c in found.curves if c.measure == "gain"] == [("merged",)]
    assert len(list(tmp_path.glob("studies/*/study.json"))) == 2


def test_nothing_measured_is_not_decided_and_says_why(tmp_path: Path) -> None:
    bench = Bench(Numerics.default(), Store(tmp_path), lambda line: None)
    found = reaches(
        Observed({"quality": measure_quality(QualitySettings(), bench)}),
        ReachesParameters(subjects=("lstm",), threshold=0.9),
    )
    assert found.verdict == "not decided" and "--level full" in english(found.sentence)


def test_settings_that_no_case_can_have_are_refused() -> None:
    twice: list[dict[str, Any]] = [CASES[0], CASES[0]]
    with pytest.raises(ConfigError, match="'short' is given twice"):
        build(QualitySettings, {"cases": twice})
    with pytest.raises(ConfigError, match=r"short\.train\.batsh"):
        build(QualitySettings, {"cases": [{**CASES[0], "train": {"batsh": 8}}]})
    for wrong, message in (
        ({"cases": ["short"] * 3, "at": [1, 3, 2]}, "course 'lags' has 3 cases at .*in increasing order"),
        ({"cases": ["short"] * 2, "at": [1, 2]}, "give three or more"),
        ({"cases": ["short", "shrt", "short"], "at": [1, 2, 3]}, "did you mean 'short'"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(QualitySettings, {"cases": [CASES[0]], "courses": [{"name": "lags", **wrong}]})
    with pytest.raises(ConfigError, match="horizn"):
        build(QualitySettings, {"cases": [{**CASES[0], "data": {"horizn": 3}}]})
    with pytest.raises(ConfigError, match="--train-share is 2: "):
        build(QualitySettings, {"cases": [{**CASES[0], "shares": [0.5, 2]}]})
    with pytest.raises(ConfigError, match="give them in increasing order"):
        build(QualitySettings, {"cases": [{**CASES[0], "shares": [0.5, 0.5]}]})
    with pytest.raises(ConfigError, match="both by and edges"):
        build(QualitySettings, {"cases": [{**CASES[0], "edges": [10]}]})
    with pytest.raises(ConfigError, match="gain 'more': unknown case 'shrt': did you mean 'short'"):
        build(QualitySettings, {"cases": CASES, "gains": [{"name": "more", "case": "shrt", "over": "own"}]})


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_claims_about_quality_name_tasks_that_exist(name: str) -> None:
    claims = [claim for claim in built_in_claims().values() if "quality" in claim.experiments]
    cases = [case for claim in claims for case in claim.settings("quality", name).cases]
    assert cases and all(TASKS.entry(case.task).name == case.task for case in cases)
