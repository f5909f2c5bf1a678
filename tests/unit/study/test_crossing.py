from __future__ import annotations

import numpy as np
import pytest

from crossover.errors import MeasurementError
from crossover.study.crossing import find_crossings

LENGTHS = [64, 128, 256, 512, 1024, 2048]


def repeated(curve, noise, seed, repeats=9):
    rng = np.random.default_rng(seed)
    return {x: tuple(curve(x) * np.exp(rng.normal(0, noise, repeats))) for x in LENGTHS}


def linear(x):
    return 1e-3 * x


def quadratic(x):
    return 2e-6 * x**2  # meets the linear one at 500


def test_exact_curves_cross_where_algebra_says():
    a = {x: (linear(x),) for x in LENGTHS}
    b = {x: (quadratic(x),) for x in LENGTHS}
    (crossing,) = find_crossings(a, b)
    assert crossing.at.value == pytest.approx(500)
    assert crossing.searched == (64, 2048)


def test_single_measurements_place_a_crossing_between_two_values():
    (crossing,) = find_crossings({x: (linear(x),) for x in LENGTHS}, {x: (quadratic(x),) for x in LENGTHS})
    assert (crossing.at.low, crossing.at.high) == (256, 512)


def test_the_interval_covers_the_true_crossing_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        (crossing,) = find_crossings(repeated(linear, 0.1, seed), repeated(quadratic, 0.1, seed + 1000))
        covered += crossing.at.low <= 500 <= crossing.at.high
        assert crossing.at.low < crossing.at.value < crossing.at.high
    assert covered >= 53


def test_no_crossing_names_the_searched_range():
    (crossing,) = find_crossings(repeated(linear, 0.05, 0), repeated(lambda x: 3 * linear(x), 0.05, 1))
    assert crossing.at is None
    assert crossing.searched == (64, 2048)


@pytest.mark.parametrize("repeats", [3, 9])
def test_equal_curves_rarely_cross_by_noise(repeats):
    claimed = 0
    for seed in range(100):
        found = find_crossings(
            repeated(linear, 0.2, seed, repeats=repeats), repeated(linear, 0.2, seed + 1000, repeats=repeats)
        )
        claimed += found[0].at is not None
    assert claimed <= 6


def test_several_crossings_come_in_order():
    def waving(x):
        return linear(x) * (2.0 if 100 < x < 1000 else 0.5)

    found = find_crossings(repeated(waving, 0.02, 0), repeated(linear, 0.02, 1))
    assert [64 < found[0].at.value < 128, 512 < found[1].at.value < 1024] == [True, True]
    assert len(found) == 2


def test_undecided_values_between_are_passed_over():
    a = {64: (1.0,) * 6, 128: (1.9, 2.1) * 3, 256: (4.0,) * 6}
    b = {64: (1.5,) * 6, 128: (2.0,) * 6, 256: (3.0,) * 6}
    (crossing,) = find_crossings(a, b)
    assert 64 < crossing.at.low < 128 < crossing.at.high < 256


def test_values_that_only_one_curve_has_are_left_out():
    (crossing,) = find_crossings({1: (1.0,), 2: (2.0,), 4: (9.0,)}, {1: (2.0,), 2: (3.0,)})
    assert crossing.searched == (1, 2)
    with pytest.raises(MeasurementError, match="two common values"):
        find_crossings({1: (1.0,), 2: (2.0,)}, {2: (2.0,)})


def test_differences_within_the_noise_are_no_difference():
    a, b = {1: (1.0,), 2: (1.01,)}, {1: (1.01,), 2: (1.0,)}
    assert find_crossings(a, b)[0].at is not None
    assert find_crossings(a, b, noise=0.02)[0].at is None


def test_measurements_that_make_no_pairs_are_refused():
    with pytest.raises(MeasurementError, match="make no pairs: 2 against 1"):
        find_crossings({1: (1.0, 1.0), 2: (1.0,)}, {1: (1.0,), 2: (1.0,)})
