"""The experiments on language models, and the rules that read them."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch

from crossover.errors import ConfigError, DataError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.models.model import build_model
from crossover.models.settings import ModelSettings
from crossover.report.messages import translate
from crossover.study.audit.claim import built_in_claims
from crossover.study.audit.evidence import Bench, Curve, Evidence
from crossover.study.audit.experiments.carrying import (
    OFF,
    ON,
    CarryingSettings,
    Restarting,
    measure_carrying,
    segment_places,
    steps_without,
)
from crossover.study.audit.experiments.language_runs import equal_models, read_text_task
from crossover.study.audit.experiments.masking import (
    ALONE,
    CHANCE,
    ENTROPY,
    IN_VIEW,
    MASKED,
    SHARES,
    UNMASKED,
    MaskingSettings,
    chain_task,
    measure_masking,
)
from crossover.study.audit.experiments.text_figures import Known, distinct_shares, told_apart
from crossover.study.audit.experiments.writing import WritingSettings, cut_passages, measure_writing, write_passages
from crossover.study.audit.rules import RULES, Finding, Observed
from crossover.study.audit.words import english
from crossover.study.store import Store
from crossover.tasks.objectives import IGNORE
from unit.study.audit.spoken import spoken

ROUND = "abcdefgahgfedcbh"
"""Each letter twice, followed by another one each time: one letter alone does not tell the next."""


def bench(folder: Path) -> Bench:
    return Bench(Numerics.default(), Store(folder), lambda line: None)


def curve(evidence: Evidence, name: str, measure: str, **labels: str | bool) -> Curve:
    (found,) = Observed({"measured": evidence}).curves(measure, (name,), **labels)
    return found


def decide(rule: str, evidence: Evidence, **parameters: object) -> Finding:
    chosen = RULES.get(rule)
    return chosen.decide(Observed({"measured": evidence}), chosen.parameters(**parameters))


def figures(*curves: Curve) -> Evidence:
    return Evidence(curves=curves, scope="", how=())


def untranslated(evidence: Evidence, finding: Finding) -> set[str]:
    """Templates of all that a card says which have no Chinese."""
    say, open_said, found = (
        translate("zh"),
        [finding.sentence, *finding.figures, evidence.scope, *evidence.how],
        set(),
    )
    while open_said:
        said = open_said.pop()
        if isinstance(said, dict):
            found |= {said["message"]} if say.gettext(said["message"]) == said["message"] else set()
            open_said += said.get("values", {}).values()
    return found - {"{sentence} {next}", "{first}, {next}"}


def test_a_flag_of_a_curve_is_no_condition_in_its_title() -> None:
    curves = [Curve.counted("5-gram", "bits", (1,), (2.0,), baseline=True, gain=0.5, mask=MASKED)]
    assert [one.title for one in curves] == ["5-gram, gain 0.5, causal mask"]


# The causal mask


MASKING = MaskingSettings(
    prefixes=(2, 4, 7), block=8, width=16, budget="250steps", learning_rate=2e-2, rows=60, seeds=3
)


@pytest.mark.parametrize("name", ["lstm", "transformer", "lstm+attention"])
def test_a_causal_model_predicts_the_same_from_a_prefix_as_from_the_whole_row(name: str, tmp_path: Path) -> None:
    settings = replace(MASKING, models=(name,), layers=2, budget="3steps", seeds=2)
    evidence = measure_masking(settings, bench(tmp_path))
    for mask in (MASKED, UNMASKED):
        whole, alone = (curve(evidence, name, "loss", mask=mask, reads=reads) for reads in (IN_VIEW, ALONE))
        assert whole.x == (2, 4, 7)
        assert (whole.values == pytest.approx(alone.values, abs=1e-5)) == (mask == MASKED)
    assert len(list(tmp_path.glob("studies/*/runs/chain/*/seed*/record.json"))) == 2 * 2


def test_without_its_mask_gpt_reads_the_next_symbol_and_does_not_predict_it(tmp_path: Path) -> None:
    evidence = measure_masking(MASKING, bench(tmp_path))
    assert curve(evidence, "gpt", "difference", mask=MASKED, against=ENTROPY).values[0] > 0
    assert curve(evidence, "gpt", "difference", mask=MASKED, against=CHANCE).y[0].high < -1
    finding = decide("mask", evidence, subjects=("gpt",))
    assert finding.verdict == "does not hold", spoken(finding)
    assert "a guess 2.77" in spoken(finding)
    assert untranslated(evidence, finding) == set()


def test_the_chain_loses_its_entropy_and_the_last_step_of_a_row_is_not_scored() -> None:
    task, losses_NP = chain_task(MaskingSettings(rows=2000))
    assert losses_NP.shape == (2000, 5)
    assert losses_NP.mean() == pytest.approx(-sum(share * log(share) for share in SHARES), abs=0.03)
    batch = next(iter(task.batches("train", seed=0, epoch=0, batch=3)))
    assert (batch.targets == IGNORE).nonzero().tolist() == [[row, 31] for row in range(3)]
    assert torch.equal(batch.targets[:, :-1], batch.inputs[:, 1:])
    frequencies = np.unique(task.splits["train"].tokens, return_counts=True)[1] / 100_000
    assert frequencies == pytest.approx(np.full(16, 1 / 16), abs=0.005)


@pytest.mark.parametrize(
    ("seen", "guessed", "kept", "verdict"),
    [
        ((-1.2, -1.1), (0.3, 0.5), (1.4, 1.6), "does not hold"),
        ((-1.2, -1.1), (-1.5, -1.4), (-0.01, 0.01), "holds"),
        ((-1.2, -1.1), (-0.5, 0.5), (1.0, 2.0), "not decided"),
        ((-1.2, 0.1), (0.3, 0.5), (1.0, 2.0), "not decided"),
    ],
)
def test_a_mask_is_needed_where_a_model_sees_without_it_and_predicts_nothing(seen, guessed, kept, verdict) -> None:
    def difference(low: float, high: float, against: str) -> Curve:
        y = (Interval((low + high) / 2, low, high),)
        return Curve(name="gpt", measure="difference", x=("all",), y=y, labels={"mask": UNMASKED, "against": against})

    evidence = figures(difference(*seen, ENTROPY), difference(*guessed, CHANCE), difference(*kept, MASKED))
    assert decide("mask", evidence, subjects=("gpt",)).verdict == verdict


# The carried state


def on_text(folder: Path, text: str) -> str:
    path = folder / "text.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def carrying(data: str, **changes: object) -> CarryingSettings:
    given = {
        "models": ("lstm", "transformer-xl[memory=8]"), "task": "language-modeling", "data": data, "block": 4,
        "contexts": (8, 32), "width": 16, "layers": 1, "batch": 16, "budget": "5steps", "seeds": 2,
    }  # fmt: skip
    return CarryingSettings(**{**given, **changes})  # type: ignore[arg-type]


def test_memory_tells_what_a_segment_alone_does_not(tmp_path: Path) -> None:
    settings = carrying(on_text(tmp_path, ROUND * 400), models=("lstm",), budget="150steps")
    evidence = measure_carrying(settings, bench(tmp_path / "study"))
    assert curve(evidence, "lstm", "loss", memory=ON).x == (4, 8, 32)
    on, off = (curve(evidence, "lstm", "loss by position", memory=memory) for memory in (ON, OFF))
    assert on.x == (1, 2, 3)
    assert off.values[0] > log(2) > on.values[0] + 0.1
    assert all(curve.values[0] < 0 for curve in evidence.curves if curve.measure == "difference")


def test_both_families_are_told_and_the_subjects_decide(tmp_path: Path) -> None:
    settings = carrying(on_text(tmp_path, ROUND * 400))
    evidence = measure_carrying(settings, bench(tmp_path / "study"))
    finding = decide("memory", evidence, subjects=("lstm",))
    sentence = spoken(finding)
    assert untranslated(evidence, finding) == set()
    assert "without, transformer-xl[memory=8]: " in sentence and "at context 32" in sentence
    assert "for lstm at context 8, lstm at context 32" in sentence
    assert "without memory: lstm 5, transformer-xl[memory=8] " in english(evidence.how[-1])


def test_flops_that_memory_does_not_cost_go_into_steps(tmp_path: Path) -> None:
    settings = carrying(on_text(tmp_path, ROUND * 100), budget="1000steps")
    task = read_text_task(settings, carry=True)
    models: dict[str, ModelSettings] = equal_models(task, settings.models, settings.sizes)
    assert steps_without(models["lstm"], task, settings) == 1000
    assert 1000 < steps_without(models["transformer-xl[memory=8]"], task, settings) < 1500


def test_a_text_starts_anew_after_every_so_many_segments(tmp_path: Path) -> None:
    settings = carrying(on_text(tmp_path, ROUND * 100))
    task = read_text_task(settings, carry=True)
    given = {"seed": 0, "epoch": 0, "batch": 2}
    read, cut = (list(each.batches("train", **given)) for each in (task, Restarting(task, 3)))  # type: ignore[attr-defined]
    assert [batch.continues for batch in cut[:7]] == [False, True, True, False, True, True, False]
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(read, cut, strict=True))
    resumed = list(Restarting(task, 3).batches("train", **given, start=2))
    assert [batch.continues for batch in resumed[:3]] == [True, False, True]


def test_a_text_that_is_too_short_and_a_level_without_a_task_say_so(tmp_path: Path) -> None:
    settings = carrying(on_text(tmp_path, ROUND * 40), contexts=(8, 4096))
    with pytest.raises(DataError, match="need a longer text"):
        segment_places(read_text_task(settings, carry=True), settings)
    finding = decide("memory", measure_carrying(settings, bench(tmp_path / "study")), subjects=("lstm",))
    assert finding.verdict == "not decided" and "need a longer text" in spoken(finding)
    for name in ("C42", "C44"):
        claim = built_in_claims()[name]
        (experiment,) = claim.experiments
        measure = {"carrying": measure_carrying, "writing": measure_writing}[experiment]
        evidence = measure(claim.settings(experiment, "quick"), bench(tmp_path / "study"))  # type: ignore[operator]
        finding = RULES.get(claim.rule).decide(Observed({experiment: evidence}), claim.rule_parameters())
        assert finding.verdict == "not decided" and "--level full" in english(finding.sentence)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [(("a", "a"), "holds"), (("undecided", "a"), "holds where"), (("b", "b"), "does not hold")],
)
def test_memory_is_judged_context_by_context(outcomes: tuple[str, str], verdict: str) -> None:
    curves = [
        Curve(
            name="lstm", measure="difference", x=(context,), y=(Interval(0.0, -1.0, 1.0),), labels={"verdict": found}
        )
        for context, found in zip((8, 32), outcomes, strict=True)
    ]
    curves += [
        Curve.counted("lstm", "loss by position", (1, 2), (2.0, 1.0), memory=f"memory {kind}")
        for kind in ("on", "off")
    ]
    assert decide("memory", figures(*curves), subjects=("lstm",)).verdict == verdict


# What is written


def writing(data: str) -> WritingSettings:
    return WritingSettings(
        task="language-modeling", data=data, block=24, width=16, layers=1, batch=8, budget="10steps", seeds=2,
        passages=10, orders=(1, 2, 3),
    )  # fmt: skip


def words(seed: int, count: int) -> str:
    known = ["the", "old", "river", "runs", "slowly", "past", "a", "tall", "tree", "and", "on"]
    return " ".join(np.random.default_rng(seed).choice(known, size=count))


def test_a_text_is_told_in_figures_beside_real_text_and_high_is_not_decided(tmp_path: Path) -> None:
    evidence = measure_writing(writing(on_text(tmp_path, words(0, 2500))), bench(tmp_path / "study"))
    assert evidence.missing == ()
    for measure in ("copied", "distinct"):
        for name in ("gpt", "lstm", "real text"):
            found = curve(evidence, name, measure)
            assert found.x == (1, 2, 3) and all(0 <= i.low <= i.value <= i.high <= 1 for i in found.y)
    assert curve(evidence, "real text", "copied").values[0] == 1.0
    assert curve(evidence, "gpt", "told apart").values[0] > 0.9, "ten steps teach no words"
    difference = curve(evidence, "gpt", "difference", against="5-gram")
    assert difference.values[0] == pytest.approx(
        curve(evidence, "gpt", "bits").values[0] - curve(evidence, "5-gram", "bits").values[0]
    )
    finding = decide("text", evidence, subjects=("gpt", "lstm"))
    sentence = spoken(finding)
    assert finding.verdict == "not decided" and "is a judgement" in sentence
    assert untranslated(evidence, finding) == set()
    assert "gpt needs" in sentence and "lstm needs" in sentence and "Of its 3-grams of words" in sentence


def test_passages_go_on_with_real_openings_and_are_drawn_again_alike(tmp_path: Path) -> None:
    settings = writing(on_text(tmp_path, words(0, 2500)))
    task = read_text_task(settings)
    passages = cut_passages(task, settings)
    text = task.vocabulary.decode(task.splits["test"].tokens.tolist())
    openings = [task.vocabulary.decode(row) for row in passages.openings_NT.tolist()]
    assert all(opening + real in text for opening, real in zip(openings, passages.real, strict=True))
    assert len(passages.other) == 10 and all(len(rest) == 18 and rest in text for rest in passages.other)
    model = equal_models(task, ("gpt",), settings.sizes)["gpt"]
    built = build_model(model, task.spec.inputs, task.spec.outputs, causal=True, seed=0).eval()
    written = [write_passages(built, task, passages, settings, Numerics.default(), seed) for seed in (0, 0, 1)]
    assert written[0] == written[1] != written[2]
    assert {len(one) for one in written[0]} <= {16, 17, 18}, "the end of a text, which untrained models draw, is none"


def test_distinct_and_known_ngrams_are_counted_between_cut_words() -> None:
    texts = ["x a b a b y", "x a b c y"]
    assert distinct_shares(texts, (1, 2, 5)) == [3 / 7, 3 / 5, 0.0]
    items = Known.of("a b c", (1, 2)).items(texts)
    assert items["all"].tolist() == [[4, 3], [3, 2]]
    assert items["copied"].tolist() == [[4, 2], [3, 2]]


def test_texts_of_one_kind_are_not_told_apart_and_those_of_two_are() -> None:
    real, same, shouted = [words(i, 12) for i in range(60)], [words(100 + i, 12) for i in range(60)], []
    shouted = [text.upper() for text in same]
    shares = [told_apart(real, other)["correct"].sum() / 120 for other in (same, shouted)]
    assert 0.3 < shares[0] < 0.7 and shares[1] == 1.0


@pytest.mark.parametrize(
    ("settings", "values", "sentence"),
    [
        (MaskingSettings, {"prefixes": (8, 32)}, "need a block of more steps"),
        (MaskingSettings, {"seeds": 1}, "needs 2 or more"),
        (CarryingSettings, {"seeds": 1}, "needs 2 or more"),
        (CarryingSettings, {"contexts": (64, 128)}, "multiples of block=64"),
        (CarryingSettings, {"contexts": (100, 128)}, "multiples of block=64"),
        (CarryingSettings, {"budget": "60s"}, "equal FLOPs need a number of steps"),
        (CarryingSettings, {"task": "parity"}, "is no language modelling"),
        (WritingSettings, {"task": "language-modelling"}, "did you mean 'language-modeling'"),
        (WritingSettings, {"orders": (2, 1)}, "increasing order"),
        (WritingSettings, {"passages": 5}, "needs 10 or more"),
        (WritingSettings, {"block": 4}, "needs 8 steps or more"),
        (WritingSettings, {"temperature": -1.0}, "temperature is -1.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, values, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        settings(**values)
