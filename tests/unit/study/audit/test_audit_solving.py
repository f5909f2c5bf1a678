"""All steps at once against one after the other, and the claim that it settles."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossover.errors import ConfigError, MeasurementError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.models.mixers.diagonal_gru import DiagonalGRUSettings
from crossover.models.mixers.gru import GRUSettings
from crossover.models.mixers.mingru import MinGRUSettings
from crossover.study.audit.claim import built_in_claims
from crossover.study.audit.evidence import Bench, Curve, Evidence
from crossover.study.audit.experiments import solving
from crossover.study.audit.experiments.several_ranks import ratio_beside
from crossover.study.audit.experiments.solving import SolvingSettings, compare_solvers, ways
from crossover.study.audit.rules import RULES, Observed
from crossover.study.audit.words import english
from crossover.study.store import Store
from unit.study.audit.spoken import spoken

SMALL = SolvingSettings(
    models=("gru", "diagonal-lstm", "mingru"),
    lengths=(16, 32),
    width=8,
    dense_width=4,
    batch=2,
    rounds=3,
    shared=("diagonal-gru",),
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Numerics.default(), Store.open(tmp_path / "study", "audit", {}), lambda line: None)


def test_each_recurrence_is_solved_in_both_ways() -> None:
    assert [way.solver for way in ways(GRUSettings(width=8))] == ["sequential", "newton"]
    assert [way.solver for way in ways(DiagonalGRUSettings(width=8))] == ["sequential", "newton"]
    assert [way.solver for way in ways(MinGRUSettings(width=8))] == ["sequential", "scan"]


def test_a_mixer_that_knows_one_way_only_is_refused() -> None:
    with pytest.raises(ConfigError, match="'attention' is solved in one way only"):
        SolvingSettings(models=("attention",))


def test_every_model_has_a_ratio_at_every_length_alone_and_over_ranks(bench: Bench) -> None:
    evidence = compare_solvers(SMALL, bench)
    assert [curve.title for curve in evidence.curves] == [*SMALL.models, "diagonal-gru, sequence=2"]
    for curve in evidence.curves:
        assert curve.x == SMALL.lengths and all(interval.low > 0 for interval in curve.y)


def test_solvers_that_disagree_are_not_timed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made = solving._pass
    monkeypatch.setattr(
        solving,
        "_pass",
        lambda settings, *sizes: (
            made(settings, *sizes) if settings.solver == "sequential" else lambda: torch.ones(2, 16, 4)
        ),
    )
    with pytest.raises(MeasurementError, match="gru: all steps at once give outputs"):
        compare_solvers(SMALL, bench)


def test_the_claim_fails_where_something_is_faster_and_holds_where_it_is_slower() -> None:
    claim = built_in_claims()["C11"]
    curves = tuple(
        Curve(name=name, measure="speed-up", x=(128,), y=(Interval(value, value - 0.05, value + 0.05),))
        for name, value in (("gru", 0.1), ("diagonal-gru", 2.0))
    )
    evidence = Evidence(curves=curves, scope="here", how=())
    found = RULES.get(claim.rule).decide(Observed({"solving": evidence}), claim.rule_parameters())
    assert found.verdict == "holds where"
    assert english(found.where or "") == "gru"
    assert "It does not hold for diagonal-gru." in spoken(found)


def test_a_ratio_is_as_much_wider_as_equal_measurements_are_apart() -> None:
    one, other = [2.0] * 9, [1.0] * 9
    assert ratio_beside(one, other, one) == (Interval(2.0, 2.0, 2.0), 0.0)
    ratio, apart = ratio_beside(one, other, [1.6] * 9)
    assert apart == pytest.approx(0.25)
    assert (ratio.low, ratio.high) == pytest.approx((1.6, 2.5))
