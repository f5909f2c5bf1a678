from __future__ import annotations

import json

import pytest
from tiny_task import TinyTask

from crossover.measure.numerics import Numerics
from crossover.models.presets import parse_model
from crossover.train.loop import train
from crossover.train.settings import TrainSettings
from crossover.train.solving import Solving
from crossover.train.state import RunState

NUMERICS = Numerics.default()
SETTINGS = TrainSettings(budget="6steps", evaluations=2)


def model(solver: str = "auto", name: str = "diagonal-gru"):
    return parse_model(f"{name}[layers=1,width=8,solver={solver}]")


def test_what_newton_did_stands_in_the_record_and_beside_every_loss(tmp_path):
    record = train(TinyTask(), model("newton"), SETTINGS, numerics=NUMERICS, folder=tmp_path / "run").record
    # Read both ways, a step solves two trajectories of every row.
    assert record.newton["solves"] >= 12 and record.newton["rows"] >= record.newton["solves"]
    assert 1 <= record.newton["iterations"] <= 20 and record.newton["fallbacks"] == 0
    assert 0 <= record.newton["residual"] < 1e-4
    events = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    told = [event["newton"] for event in events if "loss" in event]
    assert told and sum(event["solves"] for event in told) <= record.newton["solves"]
    assert record.solvers == {}


def test_the_solver_is_measured_once_and_recorded(monkeypatch):
    asked = []

    def choose(self, batch, mesh, device):
        asked.append(batch.inputs.shape)
        return {"diagonal-gru": "newton"}

    monkeypatch.setattr(Solving, "choose", choose)
    record = train(TinyTask(), model(), SETTINGS, numerics=NUMERICS).record
    assert len(asked) == 1 and record.solvers == {"diagonal-gru": "newton"}
    assert record.newton is None  # the task's rows are shorter than any that are not solved step by step


def test_a_run_that_goes_on_solves_as_it_began(monkeypatch, tmp_path):
    folder = tmp_path / "run"
    monkeypatch.setattr(Solving, "choose", lambda self, batch, mesh, device: {"diagonal-gru": "newton"})
    stop = {"at": 3}

    def interrupt(progress):
        if progress.step >= stop["at"]:
            raise KeyboardInterrupt

    whole = train(TinyTask(), model(), SETTINGS, numerics=NUMERICS)
    with pytest.raises(KeyboardInterrupt):
        train(TinyTask(), model(), SETTINGS, numerics=NUMERICS, folder=folder, on_progress=interrupt)
    monkeypatch.setattr(Solving, "choose", lambda self, batch, mesh, device: {"diagonal-gru": "sequential"})
    found = train(TinyTask(), model(), SETTINGS, numerics=NUMERICS, folder=folder, resume=True)
    assert found.record.losses == whole.record.losses
    assert found.record.solvers == {"diagonal-gru": "newton"}


def test_a_state_of_before_has_no_solvers_and_is_read():
    values = RunState(step=3).to_json()
    del values["solvers"], values["newton"]
    assert RunState.from_json(values) == RunState(step=3)


def test_a_model_without_a_choice_measures_nothing(monkeypatch):
    monkeypatch.setattr("crossover.train.solving.fastest_solvers", None)
    record = train(TinyTask(), model("sequential"), SETTINGS, numerics=NUMERICS).record
    assert record.solvers == {} and record.newton is None
