from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.measure import memory
from crossover.measure.memory import Nursery, Peak
from crossover.measure.numerics import Numerics
from crossover.measure.workload import Workload
from crossover.models.presets import parse_model

SMALL = Workload(
    model=parse_model("gru[layers=1,width=32]"), batch=1, time=8, numerics=replace(Numerics(), allocator="retain")
)


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as running:
        yield running


def test_peak_repeats_and_grows_with_what_is_kept_for_the_backward_pass(nursery):
    wide = replace(SMALL, model=replace(SMALL.model, width=256), batch=16, time=128)
    twice = replace(wide, batch=32)
    peaks = [nursery.peak(workload).bytes for workload in (SMALL, wide, twice)]
    assert peaks[0] < peaks[1] < peaks[2]
    kept = twice.cost().activation_bytes - wide.cost().activation_bytes
    assert 0.5 * kept < peaks[2] - peaks[1] < 4 * kept
    # What is told is the median of three; a single process grows by up to a tenth more or less.
    assert nursery.peak(wide).bytes == pytest.approx(peaks[1], rel=0.1)


@pytest.mark.parametrize(
    ("answers", "asked", "median"), [((1000, 1009, 5000), 2, 1004), ((1000, 1011, 5000), 3, 1011)]
)
def test_a_third_measurement_is_taken_where_two_disagree(monkeypatch, answers, asked, median):
    left = list(answers)
    monkeypatch.setattr(Nursery, "_ask", lambda *arguments: Peak(left.pop(0)))
    assert Nursery().peak(SMALL).bytes == median
    assert len(answers) - len(left) == asked


def test_parameters_gradients_and_optimiser_are_in_the_peak(nursery):
    workload = replace(SMALL, model=replace(SMALL.model, width=512, layers=2))
    parameters = workload.cost().parameters * 4
    assert nursery.peak(workload, repeats=1).bytes > 3.9 * parameters


def test_what_does_not_fit_gives_a_reason_and_the_nursery_lives_on(nursery):
    impossible = replace(SMALL, batch=1 << 22, time=1 << 12)
    peak = nursery.peak(impossible, repeats=1)
    assert peak.bytes is None and "memory" in peak.reason
    assert nursery.peak(SMALL, repeats=1).bytes > 0


def test_what_fails_gives_its_own_message(nursery):
    peak = nursery.peak(replace(SMALL, model=replace(SMALL.model, mixers=("gruu",))), repeats=1)
    assert peak.bytes is None and "did you mean 'gru'" in peak.reason


def test_what_takes_too_long_is_ended(nursery):
    long = replace(SMALL, kind="encode", batch=64, time=100_000, model=replace(SMALL.model, max_length=100_001))
    peak = nursery.peak(long, repeats=1, time_limit=1)
    assert peak == Peak(None, "took longer than 1 s")


def test_without_proc_each_measurement_has_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(memory, "is_told", lambda: False)
    with Nursery() as nursery:
        peak = nursery.peak(SMALL, repeats=1)
    assert peak.bytes is not None and peak.bytes > 0


def test_a_process_that_ends_without_an_answer_is_no_crash(monkeypatch):
    monkeypatch.setattr(memory, "_command", lambda: ["true"])
    assert Nursery().peak(SMALL, repeats=1).bytes is None
