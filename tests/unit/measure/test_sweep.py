from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from crossover.errors import MeasurementError
from crossover.measure.memory import Peak
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.sweep import Point, Sweep, predict
from crossover.measure.workload import Workload
from crossover.models.presets import parse_model

BASE = Workload(model=parse_model("gru[layers=1,width=16]"), batch=1, time=1)


def along_length(name):
    base = replace(BASE, model=parse_model(f"{name}[layers=1,width=16]"))
    return lambda value: replace(base, time=value)


def test_models_are_measured_at_every_value_with_their_flops():
    sweep = Sweep({"gru": along_length("gru"), "lstm": along_length("lstm")}, nursery=None, time_limit=60)
    for value in (2, 4):
        sweep.measure(value)
    assert [[point.x for point in points] for points in sweep.points.values()] == [[2, 4]] * 2
    point = sweep.points["lstm"][1]
    cost = along_length("lstm")(4).cost()
    assert (point.flops_forward, point.flops_backward) == (cost.flops_forward, cost.flops_backward)
    assert 3 <= len(point.seconds) <= 20 and point.peak_bytes is None and point.note is None
    assert sweep.pair_difference is not None


class NoRoom:
    """Answers as a nursery does on a machine with room for 4 steps of a GRU."""

    def peak(self, workload, *, repeats=3, time_limit=60.0):
        if workload.model.mixers == ("gru",) and workload.time > 4:
            return Peak(None, "out of memory")
        return Peak(1000 * workload.time)


def test_what_does_not_fit_stops_its_curve_and_no_other():
    sweep = Sweep({"gru": along_length("gru"), "lstm": along_length("lstm")}, nursery=NoRoom(), time_limit=60)
    for value in (4, 8, 16):
        sweep.measure(value)
    assert [bool(point.seconds) for point in sweep.points["gru"]] == [True, False, False]
    assert [point.note for point in sweep.points["gru"]] == [None, "out of memory", "out of memory"]
    assert [point.peak_bytes for point in sweep.points["lstm"]] == [4000, 8000, 16000]
    assert sweep.points["gru"][2].to_json()["step_seconds"] is None


class Hungry(Stopwatch):
    """Asks for nearly all of the machine's memory, and writes nothing into it."""

    def begin(self, name, workload):
        return bool(ask_for_nearly_all()), 0.0


def ask_for_nearly_all():
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return torch.empty(int(0.98 * whole), dtype=torch.uint8).numel()


def test_without_a_nursery_what_does_not_fit_stops_its_curve_and_not_the_process():
    sweep = Sweep({"gru": along_length("gru")}, nursery=None, time_limit=60, stopwatch=Hungry())
    sweep.measure(4)
    assert not sweep.points["gru"][0].seconds and "out of memory" in sweep.points["gru"][0].note
    assert ask_for_nearly_all(), "the limit holds no longer than it is needed"


def test_what_would_take_too_long_is_not_begun():
    sweep = Sweep({"gru": along_length("gru")}, nursery=None, time_limit=1.0)
    sweep.measure(2)
    sweep.points["gru"] = [replace(sweep.points["gru"][0], seconds=(0.01,) * 3)]
    sweep.measure(2000)
    assert not sweep.points["gru"][1].seconds
    assert "a step would take about 10 s, more than the time limit of 1 s leaves" in sweep.points["gru"][1].note


def point(x, seconds):
    return Point(x, (seconds,) * 3, None, float(along_length("gru")(x).cost().flops_forward), 0.0)


def test_times_are_predicted_from_the_steeper_of_slope_and_flops():
    at_400 = along_length("gru")(400)
    assert predict([], 400, at_400) == 0
    assert predict([point(100, 0.1)], 400, at_400) == pytest.approx(0.4)
    assert predict([point(100, 0.1), point(200, 0.11)], 400, at_400) == pytest.approx(0.22)
    assert predict([point(100, 0.1), point(200, 0.3)], 400, at_400) == pytest.approx(0.9)


def test_a_value_that_is_not_finite_is_refused(monkeypatch):
    monkeypatch.setattr(Workload, "prepare", lambda self: lambda: __import__("torch").tensor(float("nan")))
    with pytest.raises(MeasurementError, match="gru gives values that are not finite"):
        Sweep({"gru": along_length("gru")}, nursery=None, time_limit=60).measure(2)
