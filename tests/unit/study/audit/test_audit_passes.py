"""Experiments on pace, size, devices and documents, small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.study.audit.claim import built_in_claims
from crossover.study.audit.evidence import Bench
from crossover.study.audit.experiments.devices import DeviceSettings, compare_devices
from crossover.study.audit.experiments.documents import CodeSettings, cite, cite_messages, code_lines, count_code
from crossover.study.audit.experiments.loss_seconds import LossSettings, time_losses
from crossover.study.audit.experiments.passes import PassSettings, time_passes
from crossover.study.audit.experiments.sizes import SizeSettings, train_sizes
from crossover.study.audit.rules import RULES, Observed
from crossover.study.audit.words import english
from crossover.study.store import Store


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Numerics.default(), Store.open(tmp_path / "study", "audit", {}), lambda line: None)


def test_every_pass_batch_and_number_of_threads_has_a_curve_of_each_model(bench: Bench) -> None:
    settings = PassSettings(
        passes=("encode", "decode"), lengths=(8, 16), batches=(1, 2), threads=(1, 2), width=16, layers=1, seconds=60.0
    )
    evidence = time_passes(settings, bench)
    assert len(evidence.curves) == 2 * 2 * 2 * 2
    assert {curve.labels["threads"] for curve in evidence.curves} == {1, 2}
    assert all(curve.x == (8, 16) and len(curve.samples[0]) >= 3 for curve in evidence.curves)


def test_what_there_is_no_time_for_is_missing_with_its_reason(bench: Bench) -> None:
    settings = PassSettings(lengths=(8, 65536), width=16, layers=1, seconds=1.0)
    told = " ".join(english(reason) for reason in time_passes(settings, bench).missing)
    assert "from length 65,536 on: a step" in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passes": ("learn",)}, "unknown pass 'learn'"),
        ({"batches": ()}, "batches is empty"),
        ({"batches": (0,)}, "must be 1 or more"),
        ({"lengths": (8,)}, "two or more positive numbers"),
    ],
)
def test_settings_that_nothing_can_be_measured_with_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PassSettings(**changes)


def test_seconds_to_the_loss_of_the_worst_are_known_for_every_seed(bench: Bench) -> None:
    settings = LossSettings(blocks=(16, 32), budget="4steps", evaluations=2, width=16, layers=1, batch=4, seeds=2)
    evidence = time_losses(settings, bench)
    assert [curve.name for curve in evidence.curves] == ["lstm", "transformer"]
    for curve in evidence.curves:
        assert curve.x == (16, 32)
        assert all(len(seeds) == 2 and min(seeds) > 0 for seeds in curve.samples)


def test_a_level_that_does_not_train_says_so(bench: Bench) -> None:
    evidence = time_losses(LossSettings(task=None), bench)
    assert not evidence.curves and "--level full" in english(evidence.missing[0])


def test_every_size_and_depth_has_a_loss_of_each_model(bench: Bench) -> None:
    settings = SizeSettings(
        parameters=(2_000, 4_000, 8_000),
        depths=(1, 2),
        layers=1,
        block=16,
        budget="128tokens",
        batch=4,
        seeds=2,
        evaluations=1,
    )
    evidence = train_sizes(settings, bench)
    found = {(curve.name, curve.measure): curve for curve in evidence.curves}
    assert found["lstm", "loss by size"].x == (2_000, 4_000, 8_000)
    assert found["transformer", "loss by depth"].x == (1, 2)
    assert all(0 < interval.value < 10 for curve in evidence.curves for interval in curve.y)


def test_without_a_gpu_its_gain_is_predicted_and_said_to_be(bench: Bench) -> None:
    settings = DeviceSettings(models=("lstm",), lengths=(32, 64), batches=(4,), width=32, layers=1)
    evidence = compare_devices(settings, bench)
    (curve,) = evidence.curves
    assert curve.labels["by"] == "predicted"
    assert all(interval.low < interval.value < interval.high for interval in curve.y)
    assert "a GPU" in english(evidence.missing[0]) and "A100" in english(evidence.scope)


def test_publications_stand_with_their_sources(bench: Bench) -> None:
    claim = built_in_claims()["C32"]
    evidence = cite(claim.settings("dates", "quick"), bench)
    assert [curve.values for curve in evidence.curves] == [(1986.0,), (1995.0,)]
    assert "Neural Computation 9(8)" in english(evidence.how[1])
    assert claim.settings("dates", "quick") == claim.settings("dates", "full")


def test_published_messages_are_shares_of_their_links(bench: Bench) -> None:
    claim = built_in_claims()["C17"]
    evidence = cite_messages(claim.settings("messages", "quick"), bench)
    shares = {curve.name: curve.values for curve in evidence.curves}
    assert shares["NCCL, 8 H100 over NVLink"] == pytest.approx([2 * 7 / 8 * 67_108_864 / 322e-6 / 450e9])
    assert all(0.2 < value < 0.9 for values in shares.values() for value in values)
    assert "67 to 536 MB" in english(evidence.scope)
    assert any("NCCL, 8 P100 over PCI Express: baidu-research/DeepBench" in english(line) for line in evidence.how)


def test_code_is_counted_by_axis(bench: Bench) -> None:
    evidence = count_code(CodeSettings(), bench)
    assert {curve.labels["layout"] for curve in evidence.curves} == {"data=2", "pipeline=2", "tensor=2", "sequence=2"}
    assert all(curve.values[0] > 20 for curve in evidence.curves)
    claim = built_in_claims()["C50"]
    decided = RULES.get(claim.rule).decide(Observed({"code": evidence}), claim.rule_parameters())
    turned = RULES.get(claim.rule).decide(Observed({"code": evidence}), replace(claim.rule_parameters(), above=False))
    assert (decided.verdict, turned.verdict) == ("holds", "does not hold")


def test_comments_documentation_and_blank_lines_are_no_code(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(
        '"""What it is."""\n\n# why\nX = 1\n\n\ndef f() -> str:\n    """What it does.\n\n    More.\n    """\n'
        '    return """two\nlines"""\n'
    )
    assert code_lines(file) == 4
