"""Pre-training as an experiment: two starts of each model, and what the one gains over the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossover.config import build
from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.study import outcome, verdict
from crossover.study.audit.evidence import Bench, Evidence
from crossover.study.audit.experiments import contrasts
from crossover.study.audit.experiments.pretraining import PretrainingSettings, measure_pretraining
from crossover.study.audit.rules import Observed
from crossover.study.audit.rules.quality import AboveZeroParameters, gains
from crossover.study.audit.words import english
from crossover.study.store import Store
from unit.study.audit.spoken import spoken

MODELS = ("transformer", "gru")
CASE = {"name": "own", "task": "text-classification", "budget": "2steps", "shares": [0.5, 1.0]}
PARAMETERS = AboveZeroParameters(measure="gain", subjects=MODELS)


def settings(folder: Path, texts: str = "texts.txt") -> PretrainingSettings:
    pretraining = {"name": "texts", "task": "masked-language-modeling", "budget": "2steps"}
    given = {
        "models": MODELS,
        "pretraining": {**pretraining, "data": {"data": str(folder / texts)}},
        "model_changes": {"width": 16, "layers": 1},
        "cases": [{**CASE, "data": {"data": str(folder / "own.csv")}}],
        "seeds": 2,
    }
    return build(PretrainingSettings, given)


def bench(folder: Path) -> Bench:
    return Bench(Numerics.default(), Store(folder / "audit"), lambda line: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pretraining")
    texts = [f"word{i} number{i % 7} and word{i % 11}" for i in range(120)]
    (made / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    rows = [f"{text},{'yes' if i % 2 else 'no'}" for i, text in enumerate(texts)]
    (made / "own.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    with pytest.MonkeyPatch.context() as patch:
        for module in (contrasts, outcome, verdict):
            patch.setattr(module, "RESAMPLES", 50)
        found = measure_pretraining(settings(folder), bench(folder))
        runs = {run: run.stat().st_mtime_ns for run in (folder / "audit").glob("**/record.json")}
        assert measure_pretraining(settings(folder), bench(folder)).curves == found.curves
    assert {run: run.stat().st_mtime_ns for run in (folder / "audit").glob("**/record.json")} == runs
    assert len(runs) == 2 + 2 * 2 * 2 * 2
    return Evidence.from_json(found.to_json())


def test_each_model_is_scored_from_both_starts_beside_the_baselines(evidence: Evidence) -> None:
    scores = {curve.title: curve.x for curve in evidence.curves if curve.measure == "score"}
    cases = ("own, 50 % of train", "own, 100 % of train")
    wanted = {f"{model}, {start}" for model in MODELS for start in ("pre-trained", "new weights")}
    assert set(scores) == wanted | {"majority", "TF-IDF + linear SVM"} and set(scores.values()) == {cases}


def test_gains_are_decided_for_each_model_and_share(evidence: Evidence) -> None:
    gained = {(c.name, c.x) for c in evidence.curves if c.measure == "gain"}
    assert gained == {(model, (f"own, {share} % of train",)) for model in MODELS for share in (50, 100)}
    found = gains(Observed({"pretraining": evidence}), PARAMETERS)
    sentence = spoken(found)
    assert "gru on own, 50 % of train: " in sentence and "TF-IDF + linear SVM 0." in sentence
    assert "masked-language-modeling for 2steps" in english(evidence.how[0])


def test_a_level_without_cases_pretrains_nothing_and_missing_texts_are_told(folder: Path, tmp_path: Path) -> None:
    quick = measure_pretraining(PretrainingSettings(models=MODELS), bench(tmp_path))
    assert "--level full" in english(quick.missing[0]) and not list(tmp_path.iterdir())
    absent = measure_pretraining(settings(folder, "none.txt"), bench(tmp_path))
    (missing,) = absent.missing
    assert english(missing).startswith("texts: ") and "none.txt" in english(missing)
    assert gains(Observed({"pretraining": absent}), PARAMETERS).verdict == "not decided"
    with pytest.raises(ConfigError, match="are the experiment quality's"):
        build(PretrainingSettings, {"cases": [CASE], "gains": [{"name": "x", "case": "own", "over": "own"}]})
