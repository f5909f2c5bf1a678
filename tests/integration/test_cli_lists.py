"""Commands that say what there is: tasks, models, data sets, and what the machine has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossover.cli import main
from crossover.data.catalogue import CATALOGUE, DataFile, Dataset
from crossover.data.options import DataOptions
from crossover.errors import CrossoverError
from crossover.models.presets import family_of, split_models
from crossover.study.contest import build_task, enter
from crossover.study.request import CompareRequest
from crossover.tasks import TASKS

Run = Callable[..., Any]


def test_tasks_and_models_are_listed_and_explained(run: Run) -> None:
    listed = run("tasks")["tasks"]
    assert {"recall", "parity", "sentiment/headlines", "forecasting/co2"} <= {task["name"] for task in listed}
    for task in listed:
        assert task.keys() >= {"name", "family", "metric", "higher_is_better", "embedded", "description"}
        assert (task["metric"] is not None) == task["embedded"]
    (parity,) = run("tasks", "parity")["tasks"]
    assert parity["metric"] == "accuracy" and "odd" in parity["definition"] and parity["rows"]["test"] == 1000
    listed = run("models")["models"]
    assert {"lstm", "transformer", "llama-like"} <= {model["name"] for model in listed}
    (described,) = run("models", "lstm+attention[layers=4]")["models"]
    assert described["family"] == "hybrid" and described["settings"]["layers"] == 4
    assert all(described[key] for key in ("formula", "cost_law", "source", "example"))


def flags_of(task: dict[str, Any]) -> set[str]:
    return set(re.findall(r"--([a-z-]+)", " ".join(task["flags"])))


@pytest.mark.parametrize("name", ["forecasting", "classification", "text-classification", "language-modeling"])
def test_a_task_on_files_of_ones_own_is_explained_without_them(name: str, run: Run) -> None:
    (task,) = run("tasks", name)["tasks"]
    assert all(task[key] for key in ("description", "definition", "data", "flags", "metric", "baselines"))
    given = {"split": "group=author", "split_seed": 3, "horizon": 2, "window": 4, "rare": "drop", "backtest": 2}
    flags = {flag.replace("-", "_") for flag in flags_of(task)} - {"patch", "units", "tags", "set"}
    options = DataOptions(**{flag: given.get(flag, "file") for flag in flags})
    with pytest.raises(CrossoverError) as caught:
        TASKS.get(name)(options)
    assert "does not read" not in str(caught.value)
    example = shlex.split(task["example"])
    assert example[:3] == ["crossover", "compare", name] and {w[2:] for w in example if w[:2] == "--"} <= {
        *flags_of(task),
        "models",
    }


def test_an_alias_is_explained_as_its_task(run: Run) -> None:
    assert run("tasks", "sentiment") == run("tasks", "text-classification")


def test_a_task_is_explained_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    for name, told in {
        "forecasting/co2": ("definition: Windows of series", "\n  59 of 2284 weeks", "seasonal naive"),
        "classification/digits": ("definition: One of C labels", "rows: train=1257, valid=180, test=360"),
        "parity": ("definition: Whether the ones so far", "notes:\n  Trained on rows", "baselines: Majority"),
    }.items():
        assert main(["tasks", name]) == 0
        printed = capsys.readouterr().out
        assert all(part in printed for part in told), printed
        assert "partial(" not in printed and "['" not in printed and "{'" not in printed


def test_the_example_of_every_model_can_be_entered(run: Run) -> None:
    for model in run("models")["models"]:
        _, _, task, _, names = shlex.split(model["example"])
        request = CompareRequest(tasks=(task,), models=tuple(split_models(names)))
        families = {
            family_of(settings)
            for settings in enter(build_task(task, request), request.models, "none", lambda _: 0.0).models
        }
        assert len(families) == 2, model["example"]


def test_lists_for_people_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("tasks", "models"):
        assert main([command]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 10 and all(line.strip() and "  " in line for line in lines)


def test_data_sets_are_listed_with_their_licence(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path))
    listed = run("data", "list")["data"]
    assert "forecasting/etth1" in {entry["name"] for entry in listed}
    assert all(entry["licence"] and entry["path"] is None for entry in listed)


def test_a_data_set_comes_with_its_licence(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = (DataFile("demo/rows.csv", "https://example.org/rows.csv"),)
    monkeypatch.setitem(CATALOGUE, "demo", Dataset("demo", "rows", "demo/rows.csv", files, "https://home.org", "CC0"))
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "rows.csv").write_text("x\n1\n")
    got = run("data", "get", "demo", "--from", tmp_path / "rows.csv")
    assert got == {"name": "demo", "path": str(tmp_path / "cache" / "data" / "demo" / "rows.csv"), "licence": "CC0"}
    assert main(["data", "get", "demo", "--from", str(tmp_path / "rows.csv")]) == 0
    printed = capsys.readouterr()
    assert printed.out == got["path"] + "\n" and printed.err == "demo is under CC0; see https://home.org.\n"


def test_doctor_says_what_will_be_used(run: Run) -> None:
    found = run("doctor", "--device", "cpu")
    assert found["devices"][0] == "cpu" and found["packages"]["torch"]
    assert found["numerics"]["precision"] in ("fp32", "bf16")
    assert all(command.startswith("pip install") for command in found["missing"])
