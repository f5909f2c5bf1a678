"""The comparison from Python, on a genuine small task that is registered for the test."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossover.errors import ConfigError, FolderError, LayoutError
from crossover.parallel.layout import Layout
from crossover.registry import Entry
from crossover.study.compare import run_comparison
from crossover.study.request import CompareRequest
from crossover.tasks import TASKS
from crossover.train.progress import Progress
from crossover.train.settings import TrainSettings
from unit.train.tiny_task import TinyTask

LSTM, GRU = "lstm[width=8,layers=1]", "gru[layers=1]"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {**TASKS._entries, "tiny/sign": Entry("tiny/sign", "a small task", lambda options: TinyTask())}
    monkeypatch.setattr(TASKS, "_entries", entries)


def request(**changes: Any) -> CompareRequest:
    base = CompareRequest(
        tasks=("tiny/sign",),
        models=(LSTM, GRU),
        train=TrainSettings(budget="4steps"),
        seeds=2,
        precision="fp32",
        device="cpu",
        memory=False,
    )
    return replace(base, **changes)


def pairs(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["a"], entry["b"]) for entry in document["verdicts"]]


def statuses(document: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in document["runs"]]


def test_a_study_is_a_document_in_a_folder(tmp_path: Path) -> None:
    document = run_comparison(request(command="crossover compare tiny/sign"), tmp_path / "study")
    assert json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(document)
    )
    assert document["kind"] == "compare" and document["command"] == "crossover compare tiny/sign"
    assert statuses(document) == ["done"] * 4
    assert [row["model"] for row in document["table"]] == [LSTM, GRU, "majority"]
    assert document["machine"]["steady"] in (True, False) and document["numerics"]["precision"] == "fp32"
    assert [(entry["a"], entry["b"]) for entry in document["verdicts"]] == [
        (LSTM, GRU),
        (LSTM, "majority"),
        (GRU, "majority"),
    ]


def test_what_happens_is_told_and_numbered(tmp_path: Path) -> None:
    lines: list[str] = []
    begun: list[tuple[str, int, int]] = []
    seen: list[Progress] = []
    run_comparison(
        request(trials=2),
        tmp_path / "study",
        tell=lines.append,
        on_progress=seen.append,
        on_begin=lambda *part: begun.append(part),
    )
    assert begun == [("search", n, 4) for n in (1, 2, 3, 4)] + [("train", n, 4) for n in (1, 2, 3, 4)]
    assert lines[0].startswith(f"study in {tmp_path / 'study'}")
    assert any("4 runs (1 task x 2 models x 2 seeds) and 4 search trials" in line for line in lines)
    assert {(progress.model, progress.seed) for progress in seen} == {(m, s) for m in (LSTM, GRU) for s in (0, 1)}


def test_a_budget_in_seconds_says_when_it_ends(tmp_path: Path) -> None:
    lines: list[str] = []
    run_comparison(request(train=TrainSettings(budget="0.05s"), seeds=1), tmp_path / "study", tell=lines.append)
    assert any("ends about" in line for line in lines)


def test_every_model_gets_the_same_search_and_trains_with_what_it_found(tmp_path: Path) -> None:
    document = run_comparison(request(trials=3, seeds=1), tmp_path / "study")
    for entry, row in zip(document["trials"], document["table"], strict=False):
        assert len(entry["trials"]) == len(entry["expected_best"]) == 3
        rates = {trial["learning_rate"] for trial in entry["trials"]}
        assert row["learning_rate"] in rates and row["tuning_seconds"] > 0
    again = run_comparison(request(trials=3, seeds=2), tmp_path / "study")
    assert again["trials"] == document["trials"], "what was searched is not searched again"


def test_finished_runs_and_figures_are_read_back(tmp_path: Path) -> None:
    first = run_comparison(request(), tmp_path / "study")
    begun: list[str] = []
    seen: list[Progress] = []
    again = run_comparison(request(max_latency=10.0), tmp_path / "study", tell=begun.append, on_progress=seen.append)
    assert not seen and not any("measuring" in line for line in begun)
    assert again["table"] == first["table"] and again["verdicts"] == first["verdicts"]
    assert again["recommendation"][0]["meets"].keys() == {"latency", "memory"}


@pytest.mark.parametrize("resplit", [False, True])
def test_a_study_split_by_seed_is_the_same_study(resplit: bool, tmp_path: Path) -> None:
    """What two machines did, copied into one folder, is gone on with as if it had been done there."""
    whole = run_comparison(request(resplit=resplit), tmp_path / "whole")
    for seed in (1, 0):
        part = request(resplit=resplit, seeds=1, train=TrainSettings(budget="4steps", seed=seed))
        document = run_comparison(part, tmp_path / f"part{seed}")
        assert [entry["seed"] for entry in document["runs"]] == [seed, seed]
        assert pairs(document) == pairs(whole), "a split's baselines are found, whichever is the first"
    shutil.copytree(tmp_path / "part1" / "runs", tmp_path / "part0" / "runs", dirs_exist_ok=True)
    seen: list[Progress] = []
    both = run_comparison(request(resplit=resplit), tmp_path / "part0", on_progress=seen.append)
    assert not seen
    for document in (whole, both):
        for entry in document["runs"]:
            del entry["folder"], entry["curve"], entry["step_seconds"]
    assert both["runs"] == whole["runs"] and both["verdicts"] == whole["verdicts"]


def test_ctrl_c_saves_what_is_finished_and_is_raised_again(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_comparison(request(), tmp_path / "study", on_progress=stop)
    saved = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert statuses(saved) == ["done", "done"] and len(saved["table"]) == 3
    assert statuses(run_comparison(request(), tmp_path / "study")) == ["done"] * 4


def test_a_study_begins_with_its_file(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        saved = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
        assert saved["runs"] == [] and saved["recommendation"][0]["reason"] == "no run finished"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_comparison(request(), tmp_path / "study", on_progress=stop)


WILD = "gru[layers=1,learning_rate=1e30]"
PLAIN = TrainSettings(budget="30steps", optimizer="sgd", clip=0.0)
"""Without clipping, a rate that no model survives."""


def test_a_run_that_fails_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    lines: list[str] = []
    document = run_comparison(request(models=(LSTM, WILD), train=PLAIN), tmp_path / "study", tell=lines.append)
    assert statuses(document) == ["done", "done", "failed", "failed"]
    failed = document["runs"][2]["error"]
    assert "at step" in failed and "learning rate" in failed and f"failed: {failed}" in lines
    assert [row["model"] for row in document["table"]] == [LSTM, "majority"]


def test_a_search_that_fails_is_told_and_the_study_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    asked = request(models=(LSTM, WILD), train=PLAIN, trials=2, seeds=1)
    document = run_comparison(asked, tmp_path / "study", tell=lines.append)
    assert any(line.startswith(f"failed: all 2 trials of {WILD}") for line in lines)
    assert statuses(document) == ["done", "failed"] and [entry["model"] for entry in document["trials"]] == [LSTM]


def test_a_time_limit_sets_the_budget_and_leaves_the_rest_undone(tmp_path: Path) -> None:
    limited = request(train=TrainSettings(), time_limit=1e-6)
    document = run_comparison(limited, tmp_path / "study")
    assert document["settings"]["unfinished"] == 4 and document["runs"] == []
    assert document["settings"]["budget"] == "0.5s"


def test_models_are_compared_at_equal_parameters(tmp_path: Path) -> None:
    rows = run_comparison(request(models=("lstm[width=32,layers=1]", "gru"), seeds=1), tmp_path / "study")["table"]
    counts = [row["parameters_without_embedding"] for row in rows if row["family"] == "recurrent"]
    assert max(counts) / min(counts) <= 1.03


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tasks": ("tiny/sing",)}, ConfigError, "did you mean 'tiny/sign'"),
        ({"models": ("lstmm",)}, ConfigError, "did you mean 'lstm'"),
        ({"train": TrainSettings(budget="0steps")}, ConfigError, "not above zero"),
        ({"layout": Layout(pipeline=2, sequence=2)}, LayoutError, "pipeline with sequence is not carried out"),
        ({"device": "abacus"}, ConfigError, "unknown device"),
        ({"model_changes": {"widht": 3}}, ConfigError, "did you mean 'model.width'"),
    ],
)
def test_what_is_wrong_is_found_before_the_folder_is_made(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        run_comparison(request(**change), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_another_request_does_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    run_comparison(request(seeds=1), tmp_path / "study")
    with pytest.raises(FolderError, match="another study"):
        run_comparison(request(seeds=1, match="flops"), tmp_path / "study")
