"""Comparisons as evidence, and the rules that read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossover.config import build
from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.study.audit.claim import built_in_claims
from crossover.study.audit.evidence import Bench, Curve, Evidence
from crossover.study.audit.quality import QualitySettings, measure_quality
from crossover.study.audit.rules import Observed
from crossover.study.audit.rules_of_quality import (
    BetterParameters,
    LevelParameters,
    ReachesParameters,
    better,
    level,
    reaches,
)
from crossover.study.audit.words import english
from crossover.study.store import Store
from crossover.tasks import TASKS

CASES = [
    {"name": "short", "task": "parity", "data": {"settings": {"longest": 8}}, "budget": "3steps"},
    {"name": "own", "task": "language-modeling", "data": {"data": "no-such-file.txt"}},
]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
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
    assert found.verdict == "does not hold" and "Not measured: own: " in english(found.sentence)


def score(name: str, **cases: tuple[float, float, float]) -> Curve:
    return Curve(name=name, measure="score", x=tuple(cases), y=tuple(Interval(*values) for values in cases.values()))


def difference(a: str, b: str, case: str, verdict: str) -> Curve:
    labels = {"against": b, "verdict": verdict}
    return Curve(name=a, measure="difference", x=(case,), y=(Interval(0.0, -1.0, 1.0),), labels=labels)


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
    verdicts = {
        least: better(observed(*curves), BetterParameters(subjects=("lstm",), rivals=rivals, least=least)).verdict
        for least in (1, 2, 3)
    }
    assert verdicts == {1: "holds", 2: "not decided", 3: "does not hold"}


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
    with pytest.raises(ConfigError, match="horizn"):
        build(QualitySettings, {"cases": [{**CASES[0], "data": {"horizn": 3}}]})


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_claims_about_quality_name_tasks_that_exist(name: str) -> None:
    claims = [claim for claim in built_in_claims().values() if "quality" in claim.experiments]
    cases = [case for claim in claims for case in claim.settings("quality", name).cases]
    assert cases and all(TASKS.entry(case.task).name == case.task for case in cases)
