from __future__ import annotations

import numpy as np
import pytest

from crossover.errors import MeasurementError
from crossover.measure import statistics
from crossover.measure.statistics import (
    Bootstrap,
    Interval,
    absolute_margin,
    bootstrap,
    decide,
    fit_exponent,
    holm,
    median_interval,
    percentiles,
    score_interval,
    seeds_needed,
    verdict,
)


def accuracy(sums):
    return {"accuracy": float(sums["correct"] / sums["count"])}


def run(correct):
    correct = np.asarray(correct, dtype=float)
    return {"correct": correct, "count": np.ones_like(correct)}


def test_percentiles_interpolate_and_refuse_nothing():
    assert percentiles([1.0, 2.0, 3.0], [0, 50, 75]) == [1.0, 2.0, 2.5]
    with pytest.raises(MeasurementError, match="no samples"):
        percentiles([], [50])


def test_median_interval_is_the_binomial_one():
    # n = 10: the pair (2nd, 9th) covers 97.9 %, the next narrower only 89 %.
    interval = median_interval(list(range(1, 11)))
    assert interval == Interval(5.5, 2.0, 9.0)
    assert median_interval([3.0, 1.0, 2.0]) == Interval(2.0, 1.0, 3.0)


def test_median_interval_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(2000, 15))
    covered = [not median_interval(row).excludes(np.log(2)) for row in samples]
    assert np.mean(covered) >= 0.94


def test_interval_survives_json():
    interval = Interval(1.0, 0.5, 2.0)
    assert Interval.from_json(interval.to_json()) == interval


def test_exponent_of_an_exact_power_is_found_with_no_width():
    x = [64, 128, 256, 512]
    interval = fit_exponent(x, [3e-6 * v**1.7 for v in x])
    assert interval.value == pytest.approx(1.7, abs=1e-9)
    assert interval.high - interval.low < 1e-6


def test_exponent_of_noise_is_covered_by_its_t_interval():
    rng = np.random.default_rng(1)
    x = np.array([64, 128, 256, 512, 1024, 2048])
    covered = 0
    for _ in range(500):
        noisy = 1e-5 * x**1.3 * np.exp(rng.normal(0, 0.1, size=6))
        covered += not fit_exponent(x, noisy).excludes(1.3)
    assert 0.92 <= covered / 500 <= 0.98


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 0, 2]), ([2, 2, 2], [1, 2, 3])])
def test_exponent_refuses_what_holds_no_slope(x, y):
    with pytest.raises(MeasurementError, match="cannot fit an exponent"):
        fit_exponent(x, y)


def test_difference_on_the_same_items_is_paired():
    # Both models miss the same hard items; only the pairing shows that a is better on each of the rest.
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    a = [run(~hard)]
    b = [run(~hard & (rng.random(400) > 0.1))]
    paired = bootstrap(a, b, accuracy, "accuracy").interval()
    width_of_a = score_interval(a, accuracy, "accuracy")
    assert paired.low > 0
    assert paired.high - paired.low < 0.7 * (width_of_a.high - width_of_a.low)


def test_score_interval_of_one_seed_is_the_binomial_one():
    interval = score_interval([run(np.arange(1000) < 800)], accuracy, "accuracy", resamples=4000)
    half = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert interval.value == 0.8
    assert interval.low == pytest.approx(0.8 - half, abs=0.003)
    assert interval.high == pytest.approx(0.8 + half, abs=0.003)


def test_blocks_widen_the_interval_of_dependent_items():
    correct = np.repeat(np.random.default_rng(0).random(50) < 0.6, 10)
    single = score_interval([run(correct)], accuracy, "accuracy")
    blocks = score_interval([run(correct)], accuracy, "accuracy", block=10)
    assert blocks.high - blocks.low > 2 * (single.high - single.low)


def test_interval_covers_the_truth_with_five_seeds():
    """Seeds vary and items vary; the interval must hold the true difference about 95 % of the time."""
    rng = np.random.default_rng(3)
    covered, trials = 0, 200
    for trial in range(trials):
        items = rng.normal(0, 1, size=60)
        a = [{"sum": items + 0.3 + rng.normal(0, 0.3), "count": np.ones(60)} for _ in range(5)]
        b = [{"sum": items * 0.5 + rng.normal(0, 0.3), "count": np.ones(60)} for _ in range(5)]
        interval = bootstrap(
            a, b, lambda sums: {"mean": float(sums["sum"] / sums["count"])}, "mean", resamples=400, seed=trial
        ).interval()
        covered += not interval.excludes(0.3)
    assert 0.91 <= covered / trials <= 0.99


def test_blocks_of_items_do_not_reach_from_one_group_into_another():
    groups = np.array([0.0] * 5 + [1.0] * 4)
    items = {"loss": np.arange(9.0), "count": np.ones(9), "group": groups}
    found = statistics._Runs([items], lambda sums: {"loss": float(sums["loss"])}, "loss", 3)
    assert found.stats[0][:, 0].tolist() == [0 + 1 + 2, 3 + 4, 5 + 6 + 7, 8]


def test_statistics_keep_their_shape_for_summarise():
    rng = np.random.default_rng(0)
    confusion = np.eye(3)[rng.integers(3, size=90)][:, :, None] * np.eye(3)[rng.integers(3, size=90)][:, None, :]
    seen = []

    def summarise(sums):
        seen.append((sums["confusion"].shape, sums["count"].shape))
        return {"accuracy": float(np.trace(sums["confusion"]) / sums["count"])}

    interval = score_interval([{"confusion": confusion, "count": np.ones(90)}], summarise, "accuracy", resamples=50)
    assert set(seen) == {((3, 3), ())}
    assert interval.value == pytest.approx(np.trace(confusion.sum(0)) / 90)


def test_a_single_baseline_run_stands_beside_every_seed():
    rng = np.random.default_rng(0)
    model = [run(rng.random(300) < 0.9) for _ in range(3)]
    baseline = [run(rng.random(300) < 0.5)]
    assert bootstrap(model, baseline, accuracy, "accuracy").interval().low > 0.2


def test_seeds_with_splits_of_their_own_draw_their_own_items():
    rng = np.random.default_rng(0)
    a = [run(rng.random(n) < 0.9) for n in (100, 110, 120)]
    b = [run(rng.random(n) < 0.7) for n in (100, 110, 120)]
    assert bootstrap(a, b, accuracy, "accuracy", splits=[0, 1, 2]).interval().low > 0
    with pytest.raises(MeasurementError, match="not scored on the same items"):
        bootstrap(a, b, accuracy, "accuracy")


def test_rounds_of_draws_do_not_change_the_number_of_draws(monkeypatch):
    monkeypatch.setattr("crossover.measure.statistics._WEIGHTS_AT_ONCE", 1000)
    drawn = bootstrap([run(np.arange(90) < 50)], None, accuracy, "accuracy", resamples=77)
    assert drawn.draws.shape == (77,)


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(MeasurementError, match="not finite"):
        score_interval([run([np.nan, 1.0])], accuracy, "accuracy")


@pytest.mark.parametrize(
    ("low", "high", "higher", "expected"),
    [
        (0.02, 0.05, True, "a"),
        (0.02, 0.05, False, "b"),
        (-0.05, -0.02, True, "b"),
        (-0.05, 0.02, True, "undecided"),
        (-0.01, 0.01, True, "equal"),
        (0.001, 0.01, True, "equal"),
        (0.001, 0.03, True, "a"),
    ],
)
def test_verdict_rules(low, high, higher, expected):
    assert verdict(Interval((low + high) / 2, low, high), 0.015, higher_is_better=higher) == expected


def test_relative_margin_is_taken_of_the_smaller_score():
    assert absolute_margin(0.02, "relative", 1.5, 1.0) == pytest.approx(0.02)
    assert absolute_margin(0.02, "absolute", 1.5, 1.0) == 0.02


def test_holm_steps_down_and_stops_at_the_first_kept():
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.049]) == [True]
    assert holm([0.03, 0.02]) == [True, True]


def gaussian(value, error, seeds=5, seed_share=0.5):
    draws = np.random.default_rng(0).normal(value, error, size=4000)
    return Bootstrap((value,), draws, seeds, ((seed_share * error**2, 100_000),))


def test_p_value_matches_the_interval():
    comparison = gaussian(1.96, 1.0)
    assert comparison.p_value == pytest.approx(0.05, abs=0.01)
    assert gaussian(50.0, 1.0).p_value == pytest.approx(2 / 4001)


def test_one_comparison_of_many_needs_more_evidence():
    strong, weak, nothing = gaussian(5.0, 1.0), gaussian(2.1, 1.0), gaussian(0.1, 1.0)
    assert decide([weak], [0.0], [True])[0].verdict == "a"
    decisions = decide([weak, strong, nothing], [0.0] * 3, [True] * 3)
    assert [d.verdict for d in decisions] == ["undecided", "a", "undecided"]
    assert decisions[0].corrected.low < 0 < decisions[0].difference.low
    assert decisions[0].seeds_needed is not None


def test_seeds_needed_grows_with_the_seeds_share_and_gives_up_on_items():
    assert seeds_needed(gaussian(1.0, 1.0, seed_share=1.0), 0.0) == pytest.approx(20, abs=2)
    assert seeds_needed(gaussian(0.5, 1.0, seed_share=0.5), 0.0) is None
    assert seeds_needed(Bootstrap((1.0,), np.random.default_rng(0).normal(1, 1, 100), 1), 0.0) is None
