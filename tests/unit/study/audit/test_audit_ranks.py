"""Experiments on two ranks, and the rules that read them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from crossover.errors import ConfigError
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Bench, Curve, Evidence
from crossover.study.audit.experiments.device_seconds import (
    DeviceSecondsSettings,
    lowest_loss,
    measure_device_seconds,
    seconds_to,
)
from crossover.study.audit.experiments.ranks import (
    ExchangeSettings,
    SlowRankSettings,
    measure_exchange,
    measure_slow_rank,
)
from crossover.study.audit.experiments.ranks_speed import SpeedSettings, measure_speed
from crossover.study.audit.experiments.sending import PLAIN, SendingSettings, measure_sending
from crossover.study.audit.experiments.several_ranks import sized_workload
from crossover.study.audit.rules import Observed
from crossover.study.audit.rules.ranks import (
    AtLeastParameters,
    LayoutBelowParameters,
    ModelBelowParameters,
    ReachedParameters,
    at_least,
    layout_below,
    model_below,
    reached,
)
from crossover.study.audit.words import english
from crossover.study.store import Store
from unit.study.audit.spoken import spoken

SMALL = {"models": ("gru",), "length": 8, "width": 16, "layers": 2, "steps": 3}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Numerics.default(), Store.open(tmp_path / "study", "audit", {}), lambda line: None)


def test_the_gradient_is_as_large_for_every_batch_and_hidden_units_are_not(bench: Bench) -> None:
    settings = ExchangeSettings(**SMALL, layouts=("data=2", "tensor=2"), batches=(4, 8))
    evidence = measure_exchange(settings, bench)
    sent = {c.labels["layout"]: c.values for c in evidence.curves if c.measure == "bytes sent"}
    assert sent["data=2"][0] == sent["data=2"][1] > 0
    assert sent["tensor=2"][1] > 1.5 * sent["tensor=2"][0]
    shares = [c for c in evidence.curves if c.measure == "exposed share"]
    assert len(shares) == 2 and all(0 <= value < 1 for curve in shares for value in curve.values)


def test_a_slow_rank_is_waited_for_longer(bench: Bench) -> None:
    settings = SlowRankSettings(**SMALL, layouts=("data=2",), factors=(1.0, 4.0), batch=4)
    (curve,) = measure_slow_rank(settings, bench).curves
    assert curve.values[1] > 0.3 and curve.values[1] > curve.values[0]


def test_two_ranks_are_timed_beside_one_in_every_pass_that_can_be_split(bench: Bench) -> None:
    sizes = {key: value for key, value in SMALL.items() if key != "steps"}
    layouts = ("data=2", "pipeline=2,microbatches=4", "sequence=2")
    settings = SpeedSettings(**sizes, layouts=layouts, passes=("train", "encode", "decode"), batches=(2, 4), rounds=3)
    curves = {(c.labels["layout"], c.labels["pass"]): c for c in measure_speed(settings, bench).curves}
    assert set(curves) == {*product(layouts, settings.passes)} - {("sequence=2", "decode")}
    assert curves["data=2", "train"].x == (2, 4) and curves["pipeline=2,microbatches=4", "encode"].x == (4,)
    assert all(interval.low > 0 for curve in curves.values() for interval in curve.y)


def test_layouts_that_this_machine_has_no_cores_for_are_named_and_not_timed(bench: Bench) -> None:
    sizes = {key: value for key, value in SMALL.items() if key != "steps"}
    evidence = measure_speed(SpeedSettings(**sizes, layouts=("data=4096",), batches=(4096,), rounds=3), bench)
    assert evidence.curves == () and evidence.steady is None
    assert english(evidence.missing[0]).startswith("data=4096: a rank wants a core")
    rule = LayoutBelowParameters(measure="speed-up", subjects=("data=4096",), reference="tensor=4")
    found = layout_below(Observed({"ranks": evidence}), rule)
    assert found.verdict == "not decided" and "data=4096" in english(found.sentence)


def test_the_model_of_a_task_is_timed_as_the_task_asks() -> None:
    sizes = {key: value for key, value in SMALL.items() if key != "steps"}
    settings = SpeedSettings(**sizes, layouts=("data=2",), batches=(4,), rounds=3, task="sentiment/headlines")
    workload = sized_workload("gru", settings, 4, Numerics.default())
    assert workload.outputs.size == 3 and not workload.causal
    assert workload.prepare()().isfinite()


def test_every_way_to_send_gradients_is_set_against_sending_none(bench: Bench) -> None:
    sizes = {key: value for key, value in SMALL.items() if key != "steps"}
    settings = SendingSettings(**sizes, batches=(4,), block=2, rounds=3)
    evidence = measure_sending(settings, bench)
    assert {c.labels["layout"] for c in evidence.curves} == {PLAIN, *settings.layouts}
    assert "NCCL" in english(evidence.missing[0])
    with pytest.raises(ConfigError, match="'tensor=2' is not of two replicas"):
        SendingSettings(layouts=("tensor=2",))


def test_device_seconds_are_counted_to_a_loss_that_both_reach_and_runs_are_kept(bench: Bench) -> None:
    settings = DeviceSecondsSettings(models=("gru[width=8,layers=1]",), task="recall", budget="2steps", evaluations=2)
    evidence = measure_device_seconds(settings, bench)
    (curve,) = evidence.curves
    assert curve.x == (2,) and 0 < curve.y[0].low <= curve.y[0].high
    assert len(list(bench.store.folder.glob("runs/*/record.json"))) == 6


def test_the_seconds_to_a_loss_lie_between_the_validations_around_it() -> None:
    curve = [{"loss": loss, "seconds": at} for loss, at in ((2.0, 1.0), (1.0, 2.0), (1.5, 3.0), (0.5, 4.0))]
    assert lowest_loss(curve) == 0.5
    assert [seconds_to(loss, curve) for loss in (3.0, 1.5, 0.75)] == [1.0, 1.5, 3.75]
    with pytest.raises(ValueError, match=r"never came down to 0\.1"):
        seconds_to(0.1, curve)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 2}, "needs 3 or more"),
        ({"layouts": ("data=1",)}, "layout 'data=1' takes one rank"),
        ({"batches": (8, 4)}, "must increase"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ExchangeSettings(**changes)


def observed(*curves: Curve) -> Observed:
    return Observed({"ranks": Evidence(curves=curves, scope="", how=())})


def share(layout: str, *values: float, half: float = 0.01) -> Curve:
    intervals = tuple(Interval(value, value - half, value + half) for value in values)
    x = tuple(4**number for number in range(1, len(values) + 1))
    return Curve(name="lstm", measure="share", x=x, y=intervals, labels={"layout": layout})


def test_a_share_holds_where_it_is_reached_and_turned_round_where_it_is_not() -> None:
    rule = AtLeastParameters(measure="share", bound=0.1, layouts=("data=2",))
    evidence = observed(share("data=2", 0.3, 0.2, 0.02), share("tensor=2", 0.0))
    found = at_least(evidence, rule)
    assert found.verdict == "holds where" and english(found.where) == "lstm under data=2 at 4, 16"
    turned = at_least(evidence, replace(rule, at_most=True))
    assert turned.verdict == "holds where" and english(turned.where) == "lstm under data=2 at 64"
    assert at_least(observed(share("data=2", 0.3)), rule).verdict == "holds"
    assert at_least(observed(share("data=2", 0.3)), replace(rule, at_most=True)).verdict == "does not hold"
    assert at_least(observed(share("data=2", 0.1)), rule).verdict == "not decided"


def test_one_layout_is_below_another_where_the_intervals_say_so() -> None:
    rule = LayoutBelowParameters(measure="share", subjects=("tensor=2",), reference="data=2")
    evidence = observed(share("data=2", 0.3, 0.3), share("tensor=2", 0.1, 0.5))
    found = layout_below(evidence, rule)
    assert found.verdict == "holds where" and english(found.where) == "lstm under tensor=2 at 4"
    for sent, verdict in ((0.1, "holds"), (0.5, "does not hold"), (0.3, "not decided")):
        assert layout_below(observed(share("data=2", 0.3), share("tensor=2", sent)), rule).verdict == verdict


@pytest.mark.parametrize(("reached", "verdict"), [(0.8, "holds"), (0.3, "holds where")])
def test_published_messages_are_a_half_of_their_own(reached: float, verdict: str) -> None:
    rule = LayoutBelowParameters(measure="share", subjects=("tensor=2",), reference="data=2", share=0.7)
    published = Curve.counted("NCCL", "share of the link", (67e6,), (reached,), baseline=True)
    ours = (share("data=2", 0.3), share("tensor=2", 0.1))
    found = layout_below(observed(*ours, published), rule)
    assert found.verdict == verdict and "NCCL: " in spoken(found)
    assert layout_below(observed(*ours, published), replace(rule, share=0.0)).verdict == "holds"


def test_a_number_is_reached_by_the_smallest_layout_that_does_or_by_none_that_could_be_measured() -> None:
    rule = ReachedParameters(measure="share", bound=0.5)
    found = reached(observed(share("data=2", 0.3), share("data=8", 0.9), share("data=4", 0.7)), rule)
    assert found.verdict == "holds" and "It holds for lstm under data=4." in spoken(found)
    assert reached(observed(share("data=2", 0.3)), rule).verdict == "does not hold"
    assert reached(observed(share("data=2", 0.5)), rule).verdict == "not decided"
    without = Evidence(curves=(share("data=2", 0.3),), scope="", how=(), missing=("data=4",))
    found = reached(Observed({"ranks": without}), rule)
    assert found.verdict == "not decided" and "Not measured: data=4." in english(found.sentence)


def test_one_model_is_below_another_under_the_same_layout() -> None:
    rule = ModelBelowParameters(measure="share", subject="lstm", reference="transformer", layouts=("tensor=2",))
    other = replace(share("tensor=2", 0.6), name="transformer")
    elsewhere = replace(share("data=2", 0.1), name="transformer")
    for value, verdict in ((0.3, "holds"), (0.9, "does not hold")):
        evidence = observed(share("tensor=2", value), share("data=2", 0.5), other, elsewhere)
        assert model_below(evidence, rule).verdict == verdict
        turned = model_below(evidence, replace(rule, subject="transformer", reference="lstm"))
        assert turned.verdict != verdict
