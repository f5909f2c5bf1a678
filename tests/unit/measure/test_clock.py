from __future__ import annotations

import time

import pytest

from crossover.errors import MeasurementError
from crossover.measure.clock import Timing, Turns, pair_difference, seconds_of, time_in_turn, timings_in_turn


def recorder(order, name, seconds=0.0):
    def call():
        order.append(name)
        time.sleep(seconds)

    return call


def test_calls_take_turns_after_the_warm_up():
    order = []
    calls = {"a": recorder(order, "a"), "b": recorder(order, "b")}
    timings = timings_in_turn(calls, rounds=3, warmup=2)
    assert order == ["a", "a", "b", "b"] + ["a", "b"] * 3
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_a_measurement_starts_with_an_a_a_pair():
    order = []
    turns = time_in_turn({"a": recorder(order, "a", 0.002), "b": recorder(order, "b")}, rounds=2, warmup=1)
    assert order == ["a"] * (1 + 8) + ["a", "b"] + ["a", "b"] * 2
    assert turns.pair_difference >= 0


def test_rounds_end_with_the_time_but_not_before_the_minimum():
    order = []
    timings = timings_in_turn({"a": recorder(order, "a", 0.01)}, rounds=50, minimum=4, warmup=0, time_limit=0.0)
    assert len(timings["a"].seconds) == 4


def test_seconds_are_those_of_the_call():
    assert 0.02 <= seconds_of(lambda: time.sleep(0.02)) < 1.0


def test_ratios_are_taken_round_by_round():
    # The machine slows down fourfold on the way; a stays twice as slow as b in every round.
    drift = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    turns = Turns({"a": Timing(tuple(2 * d for d in drift)), "b": Timing(drift)}, 0.01)
    assert (turns.ratio("a", "b").low, turns.ratio("a", "b").high) == (2.0, 2.0)


def test_a_pair_that_differs_by_more_than_a_tenth_is_unsteady():
    assert Turns({}, 0.09).steady
    assert not Turns({}, 0.11).steady
    seconds = iter([0.03, 0.0] * 4)
    assert pair_difference(lambda: time.sleep(next(seconds))) > 0.5


def test_a_timing_tells_median_spread_and_number():
    assert Timing((1.0, 2.0, 3.0)).to_json() == {"median": 2.0, "p10": 1.2, "p90": 2.8, "n": 3}


def test_nothing_to_time_is_refused():
    with pytest.raises(MeasurementError, match="nothing to time"):
        time_in_turn({})
