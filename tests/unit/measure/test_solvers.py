from __future__ import annotations

import torch

from crossover.measure import solvers
from crossover.measure.numerics import Numerics
from crossover.measure.solvers import fastest_solvers, solver_of, solver_seconds, with_fastest_solvers
from crossover.measure.workload import Workload
from crossover.models.mixers.diagonal_gru import DiagonalGRUSettings
from crossover.models.mixers.lstm import LSTMSettings
from crossover.models.mixers.mingru import MinGRUSettings
from crossover.models.model import build_model
from crossover.models.presets import parse_model


def workload(model: str, **sizes) -> Workload:
    return Workload(model=parse_model(model), numerics=Numerics(), **sizes)


def test_every_solver_is_timed_once_and_remembered(monkeypatch):
    settings = DiagonalGRUSettings(width=8)
    first = solver_seconds(settings, batch=3, time=20)
    assert set(first) == {"sequential", "newton"} and min(first.values()) > 0
    monkeypatch.setattr(solvers, "timings_in_turn", None)
    assert solver_seconds(settings, batch=4, time=32) == first


def test_measuring_draws_nothing_that_others_would_have_drawn():
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    solver_seconds(DiagonalGRUSettings(width=12), batch=2, time=16)
    assert torch.equal(torch.randn(2), expected)


def test_the_fastest_is_chosen_of_mixers_that_leave_it_open(monkeypatch):
    timed = {"diagonal-gru": {"sequential": 2.0, "newton": 1.5}, "mingru": {"sequential": 1.0, "scan": 3.0}}
    monkeypatch.setattr(solvers, "solver_seconds", lambda settings, **sizes: timed[settings.name])
    mixers = [DiagonalGRUSettings(width=8), MinGRUSettings(width=8), LSTMSettings(width=8)]
    assert fastest_solvers(mixers, batch=2, time=64) == {"diagonal-gru": "newton", "mingru": "sequential"}
    assert fastest_solvers(mixers, batch=2, time=15) == {}
    timed |= {"diagonal-gru": {"sequential": 2.0, "newton": 1.7}, "mingru": {"sequential": 0.9, "scan": 1.0}}
    assert fastest_solvers(mixers, batch=2, time=64) == {"diagonal-gru": "sequential", "mingru": "scan"}
    fixed = [DiagonalGRUSettings(width=8, solver="sequential")]
    assert fastest_solvers(fixed, batch=2, time=64) == {}


def test_a_workload_says_how_its_recurrences_are_solved(monkeypatch):
    monkeypatch.setattr(solvers, "solver_seconds", lambda settings, **sizes: {"sequential": 2.0, "newton": 1.0})
    chosen = with_fastest_solvers(workload("diagonal-gru", time=64))
    assert chosen.solvers == {"diagonal-gru": "newton"} and solver_of(chosen) == "newton"
    assert solver_of(workload("diagonal-gru", time=64)) == "sequential"
    assert solver_of(workload("diagonal-gru[solver=newton]", time=4)) == "newton"
    assert solver_of(workload("mingru", time=64)) == "scan"
    assert solver_of(workload("lstm", time=64)) == "default"
    decoding = workload("diagonal-gru", time=64, kind="decode")
    assert with_fastest_solvers(decoding) is decoding and solver_of(decoding) == "sequential"


def test_a_workload_is_run_as_its_solvers_say_and_goes_to_other_processes_with_them():
    chosen = workload("diagonal-gru[width=8,layers=1]", time=32, solvers={"diagonal-gru": "newton"})
    assert Workload.from_json(chosen.to_json()) == chosen
    model = build_model(chosen.model, chosen.inputs, chosen.outputs, causal=True, seed=0)
    chosen.prepare(model)()
    (mixer,) = model.mixers()
    assert mixer.tally.solves == 1
