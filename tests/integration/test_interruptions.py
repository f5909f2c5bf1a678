"""Ctrl-C and kills in the middle of a study: nothing is lost, and the same command goes on to the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossover.cli import main

MODELS = "elman[width=8,layers=1],gru[width=8,layers=1]"
STEPS = 150


def command(folder: Path, data: Path) -> list[str]:
    flags = ["--data", str(data), "--models", MODELS, "--seeds", "2", "--no-memory", "--precision", "fp32"]
    often = ["--budget", f"{STEPS}steps", "--set", "train.checkpoint_seconds=0.3"]
    return ["compare", "text-classification", *flags, *often, "--out", str(folder), "--json"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    rows = (f"item {i} {'rose' if i % 2 else 'fell'} by {3 * i},{'up' if i % 2 else 'down'}\n" for i in range(60))
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    return path


def stopped_by(number: signal.Signals, tokens: list[str], when: Callable[[str], bool]) -> tuple[int, str, str]:
    """Run a command in a process of its own and signal it after the first line of stderr for which `when` holds.

    Gives the exit status, stdout and stderr.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "crossover", *tokens],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if when(line):
            process.send_signal(number)
            break
    # Not `communicate`, which would pass by what the loop has read ahead; stdout is small enough for its pipe.
    lines += process.stderr.readlines()
    printed = process.stdout.read()
    return process.wait(timeout=60), printed, "".join(lines)


def in_second_run(line: str) -> bool:
    return line.startswith("run 2 of 4") and "step" in line


def read(folder: Path) -> dict:
    return json.loads((folder / "study.json").read_text(encoding="utf-8"))


def steps_of(run: Path) -> list[int]:
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event["step"] for event in events if "loss" in event]


def goes_on_to_the_end(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Repeat the command: the finished run is read back, the others are trained, every step once."""
    (finished,) = folder.rglob("record.json")
    written = finished.stat().st_mtime_ns
    numerics = read(folder)["numerics"]
    capsys.readouterr()
    assert main(command(folder, data)) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["status"] for entry in document["runs"]] == ["done"] * 4
    assert document["numerics"] == numerics
    assert finished.stat().st_mtime_ns == written
    for record in folder.rglob("record.json"):
        assert steps_of(record.parent) == list(range(1, STEPS + 1))
    assert not list(folder.rglob(".*")), "nothing half-written is left"


def test_ctrl_c_saves_the_study_and_the_same_command_goes_on(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    code, printed, told = stopped_by(signal.SIGINT, command(folder, texts), in_second_run)
    assert (code, printed) == (130, "")
    assert "Traceback" not in told
    assert told.splitlines()[0] == f"study in {folder}: the same command with --out {folder} goes on with it"
    assert told.splitlines()[-1].startswith("interrupted: what is finished is saved")
    document = read(folder)
    assert [entry["status"] for entry in document["runs"]] == ["done"]
    assert {row["family"] for row in document["table"]} == {"recurrent", "baseline"}
    assert list(folder.rglob("state.pt")), "the run under way has its checkpoint"
    goes_on_to_the_end(folder, texts, capsys)


def test_a_killed_study_is_whole_and_the_same_command_goes_on(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    code, _, _ = stopped_by(signal.SIGKILL, command(folder, texts), in_second_run)
    assert code == -signal.SIGKILL
    assert read(folder)["kind"] == "compare"
    for path in folder.rglob(".*"):
        path.unlink()  # what the kill cut off in the middle of writing; its file itself is the one before
    goes_on_to_the_end(folder, texts, capsys)


def test_a_run_interrupted_in_training_is_resumed_where_it_stood(
    tmp_path: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["train", "text-classification", "gru[width=8,layers=1]", "--data", str(texts), "--precision", "fp32"]
    run += ["--budget", f"{STEPS}steps", "--json"]
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    code, printed, told = stopped_by(signal.SIGINT, [*run, "--out", str(stopped)], lambda line: " step " in line)
    assert (code, printed) == (130, "") and "Traceback" not in told
    assert f"--resume {stopped}" in told and "interrupted" in told.splitlines()[-1]
    assert main([*run, "--resume", str(stopped)]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert main([*run, "--out", str(whole)]) == 0
    direct = json.loads(capsys.readouterr().out)
    assert resumed["losses"] == direct["losses"] and resumed["summary"] == direct["summary"]
