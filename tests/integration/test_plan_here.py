"""A plan for this machine: its layouts run here for a moment, and stand beside what was predicted."""

from __future__ import annotations

import json
import shlex

import torch

from crossover import api
from crossover.cli import main
from crossover.planning.machine import HARDWARE

SMALL = ["gpt[layers=2,width=32]", "--length", "16", "--batch", "8", "--vocabulary", "64", "--precision", "fp32"]


def test_the_layouts_of_a_plan_run_here_and_are_set_beside_their_predictions(capsys):
    assert main(["plan", *SMALL, "--devices", "2", "--hardware", "cpu", "--top", "2", "--check"]) == 0
    told = capsys.readouterr().out
    head, *rows = told[told.index("layout ", told.index("predicted") - 80) :].splitlines()
    assert head.split() == ["layout", "predicted", "measured", "here", "error"]
    assert len(rows) == 2 and all(row.endswith("%") for row in rows)


def test_a_check_without_a_machine_is_of_this_one_as_it_was_calibrated(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("crossover.planning.here.cache_folder", lambda: tmp_path)
    assert main(["plan", *SMALL, "--check"]) == 2
    assert "crossover calibrate --devices 1 first" in capsys.readouterr().err
    calibrated = tmp_path / "machines" / "here-1.toml"
    calibrated.parent.mkdir()
    calibrated.write_text((HARDWARE / "cpu.toml").read_text().replace('title = "', 'title = "Calibrated '))
    assert main(["plan", *SMALL, "--check"]) == 0
    assert "1 x Calibrated" in capsys.readouterr().out


def test_a_check_of_more_devices_than_this_machine_has_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr("crossover.study.plan_check.devices_for", lambda layout, device: 1)
    assert main(["plan", *SMALL, "--devices", "2", "--hardware", "cpu", "--check"]) == 2
    assert "fewer than 2 devices" in capsys.readouterr().err


def test_the_line_that_starts_a_plan_starts_it(capsys, tmp_path):
    fitting = ["plan", SMALL[0], *SMALL[1:], "--layers", "3", "--devices", "2", "--hardware", "cpu"]
    assert main([*fitting, "--layout", "data=2", "--launch", "torchrun"]) == 0
    line = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert line[:5] == ["torchrun", "--nproc-per-node", "2", "-m", "crossover"]
    places = {"TASK": "language-modeling/python-docs", "FOLDER": str(tmp_path / "run")}
    order = [places.get(word, word) for word in line[5:]]
    assert main([*order, "--budget", "1steps", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["layout"].startswith("data=2") and record["model"] == "gpt[layers=2,width=32,layers=3]"


def test_values_that_are_not_finite_have_no_time(capsys, monkeypatch):
    monkeypatch.setattr("torch.isfinite", lambda value: torch.zeros_like(value, dtype=torch.bool))
    assert main(["plan", *SMALL, "--hardware", "cpu", "--check"]) == 1
    assert "values that are not finite" in capsys.readouterr().err


def test_a_plan_from_python_is_that_of_the_command_line():
    found = api.plan("gpt[layers=2,width=32]", devices=2, length=16, batch=8, vocabulary=64)
    assert found.found.best is not None and found.found.best.layout.devices == 2
    assert found.to_json(1)["layouts"][0]["fits"]
