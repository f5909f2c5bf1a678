"""`train --layout` as a user types it: on one machine, under torchrun, interrupted, and with a rank that dies."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from crossover.cli import main

SMALL = ["recall", "lstm[width=16,layers=2]", "--precision", "fp32", "--batch", "8"]
SENT = {
    "data=2": {("all-reduce", "replicas")},
    "tensor=2": {("all-gather", "tensor"), ("all-reduce", "tensor"), ("reduce-scatter", "tensor")},
    "sequence=2": {("send", "sequence"), ("receive", "sequence"), ("all-reduce", "replicas")},
    # In these two the sum is that of the gradient's norm.
    "data=2,shard_parameters=true": {(name, "replicas") for name in ("all-gather", "reduce-scatter", "all-reduce")},
    "pipeline=2,chunks=4": {("send", "pipeline"), ("receive", "pipeline"), ("all-reduce", "pipeline")},
}
"""What the first rank says in a step of the LSTM, and along which axis."""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def command(folder: Path, layout: str, budget: str = "12steps", *more: str) -> list[str]:
    return ["train", *SMALL, "--layout", layout, "--budget", budget, *more, "--out", str(folder), "--json"]


def losses(document: dict) -> list[float]:
    return [loss for _, loss in document["losses"]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert main(command(folder, "single")) == 0
    return json.loads((folder / "record.json").read_text())


@pytest.mark.parametrize("layout", SENT)
def test_two_ranks_of_this_machine_train_what_one_does(layout, alone, run, tmp_path):
    document = run(*command(tmp_path / "run", layout)[:-1])
    assert document["layout"] == layout
    assert [rank["rank"] for rank in document["ranks"]] == [0, 1]
    assert {(sent["operation"], sent["axis"]) for sent in document["traffic"]} == SENT[layout]
    assert document["device_seconds"] == pytest.approx(2 * document["train_seconds"])
    assert losses(document) == pytest.approx(losses(alone), rel=1e-4)
    assert document["score"]["value"] == pytest.approx(alone["score"]["value"], abs=0.02)
    assert not threads_of_groups()


def test_shards_after_another_run_in_the_same_process_speak_in_groups_of_their_own(alone, run, tmp_path):
    """Only the first rank is this process: what PyTorch remembers of meshes is here, and not on the other one."""
    for layout in ("tensor=2", "data=2,shard_parameters=true"):
        impatient = command(tmp_path / layout, layout, "12steps", "--set", "train.timeout_seconds=30")[:-1]
        assert losses(run(*impatient)) == pytest.approx(losses(alone), rel=1e-4)


def test_a_study_trains_its_runs_under_the_layout(run, tmp_path):
    models = ("--models", "elman[width=8,layers=1],gru[width=8,layers=1]", "--seeds", "1", "--no-memory")
    tokens = ["compare", "recall", *models, "--budget", "5steps", "--batch", "8", "--layout", "data=2"]
    document = run(*tokens, "--out", tmp_path / "study")
    rows = [row for row in document["table"] if row["family"] == "recurrent"]
    assert [row["layout"] for row in rows] == ["data=2"] * 2
    assert all(row["step_seconds"]["value"] > 0 and row["steps"] == 5 for row in rows)
    assert (tmp_path / "study" / "report.html").exists()
    assert not threads_of_groups()


def test_a_study_goes_on_after_a_run_that_failed_on_all_ranks(run, tmp_path):
    models = "elman[width=8,layers=1,learning_rate=1e30],gru[width=8,layers=1]"
    tokens = ["compare", "recall", "--models", models, "--seeds", "1", "--no-memory", "--layout", "data=2"]
    tokens += ["--budget", "5steps", "--batch", "8"]
    document = run(*tokens, "--set", "train.clip=0", "--out", tmp_path / "study")
    assert [entry["status"] for entry in document["runs"]] == ["failed", "done"]


def test_a_trained_model_predicts_under_a_layout_what_it_predicts_on_one_device(run, tmp_path):
    folder, texts = tmp_path / "run", tmp_path / "texts.txt"
    texts.write_text("shares rose\nprofit fell\nsales were unchanged\n")
    model = "gru[width=8,layers=2]"
    run("train", "sentiment/headlines", model, "--budget", "2steps", "--precision", "fp32", "--out", folder)
    expected = run("predict", folder, "--file", texts)["predictions"]
    for layout in ("data=2", "pipeline=2"):
        found = run("predict", folder, "--file", texts, "--layout", layout)["predictions"]
        assert [row["label"] for row in found] == [row["label"] for row in expected]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours["probabilities"] == pytest.approx(theirs["probabilities"], rel=1e-4)


def test_steps_of_several_ranks_are_timed_together(run, tmp_path):
    models = "gru[width=16,layers=2],mingru[width=16,layers=2]"
    tokens = ["scale", "--models", models, "--axis", "length=8,16", "--pass", "all", "--layout", "tensor=2"]
    document = run(*tokens, "--batch", "2", "--precision", "fp32", "--time-limit", "30s", "--out", tmp_path / "study")
    curves = document["curves"]
    assert {(curve["model"], curve["pass"]) for curve in curves} == {
        (model, kind) for model in models.replace("],", "];").split(";") for kind in ("train", "encode", "decode")
    }
    for point in (point for curve in curves for point in curve["points"]):
        assert point["step_seconds"]["value"] > 0 and point["peak_bytes"] is None
    assert not threads_of_groups()


def test_torchrun_starts_the_ranks_and_the_first_speaks_for_them(alone, tmp_path):
    tokens = command(tmp_path / "run", "data=2")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    done = subprocess.run(
        [*torchrun, "-m", "crossover", *tokens], capture_output=True, text=True, env=ENVIRONMENT, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert losses(json.loads(done.stdout)) == pytest.approx(losses(alone), rel=1e-4)


def test_a_layout_that_cannot_be_used_is_refused_with_every_reason(tmp_path, capsys):
    assert main(command(tmp_path / "run", "data=2,tensor=3,pipeline=3,gradients=powersgd,shard_parameters=true")) == 2
    told = capsys.readouterr().err
    for reason in (
        "pipeline=3 x interleave=1 needs 3 blocks of 2",
        "tensor=3 does not divide the hidden of lstm, 16",
        "gradients=powersgd under a pipeline are not carried out by this version",
        "shard_parameters beside pipeline=3 is not carried out by this version",
    ):
        assert reason in told
    assert not (tmp_path / "run").exists()


def test_a_rank_that_cannot_begin_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("crossover.train.ranks.LOADED", [tmp_path / "gone.py"])
    assert main(command(tmp_path / "run", "data=2")) == 1
    assert "crossover: rank 1 cannot begin: plugin" in capsys.readouterr().err


def test_ctrl_c_stops_all_ranks_and_one_device_goes_on(tmp_path, run):
    folder = tmp_path / "run"
    often = ("--set", "train.checkpoint_seconds=0.2")
    process = started(command(folder, "data=2", "200steps", *often))
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if "step" in line and "loss" in line:
            process.send_signal(signal.SIGINT)
            break
    told += process.stderr.readlines()
    assert process.wait(timeout=60) == 130, "".join(told)
    assert told[-1].startswith("interrupted: what is finished is saved")
    document = run(*command(folder, "single", "200steps", "--resume", str(folder), *often)[:-1])
    assert [step for step, _ in document["losses"]] == list(range(1, 201))


LOST = {
    signal.SIGKILL: r"crossover: rank 1 of 2 is gone at step \d+ \(it was killed, as .*\): what is saved",
    signal.SIGSTOP: r"crossover: rank 1 of 2 does not answer at step \d+: what is saved is kept",
}


@pytest.mark.parametrize("fate", LOST, ids=lambda fate: fate.name)
def test_a_rank_that_dies_or_hangs_is_named_and_what_is_saved_goes_on(fate, tmp_path, run):
    folder = tmp_path / "run"
    often = ("--set", "train.checkpoint_seconds=0.2", "--set", "train.timeout_seconds=3")
    process = started(command(folder, "data=2", "200steps", *often))
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if "step" in line and "loss" in line and (folder / "checkpoint").exists():
            os.kill(follower_of(process.pid), fate)
            break
    told += process.stderr.readlines()
    assert process.wait(timeout=60) == 1, "".join(told)
    assert re.match(LOST[fate], told[-1])
    document = run(*command(folder, "data=2", "200steps", "--resume", str(folder), *often)[:-1])
    assert [step for step, _ in document["losses"]] == list(range(1, 201))


def started(tokens: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crossover", *tokens],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )


def follower_of(pid: int) -> int:
    """The one rank that the process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [
        int(child)
        for child in children
        if b"crossover.parallel.launch" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    assert len(found) == 1, found
    return found[0]


def threads_of_groups() -> list[str]:
    """Threads that this process still has for groups of ranks: they would wake up while other things are timed."""
    gc.collect()
    names = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has just ended
            names.append((thread / "comm").read_text())
    return [name for name in names if "gloo" in name]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
