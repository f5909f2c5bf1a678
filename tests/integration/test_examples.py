"""The examples run as a reader would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FORMAT = (ROOT / "docs" / "study-format.md").read_text(encoding="utf-8")
PLUGINS = {"leaky_mixer.py": "leaky-integrator", "sorting_task.py": "sorting"}
SCRIPTS = ["compare_in_python.py", "stories_as_squad.py"]


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*arguments: str | Path) -> str:
    return run("-c", "import sys; from crossover.cli import main; sys.exit(main())", *arguments)


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*PLUGINS, *SCRIPTS}


@pytest.mark.parametrize("file", PLUGINS)
def test_a_plugin_passes_the_conformance_suite(file):
    lines = command("check", EXAMPLES / file).splitlines()
    assert lines[-1].endswith(" passed, 0 failed")
    assert all(line.startswith(f"ok   {PLUGINS[file]} ") for line in lines[:-1])


def test_a_plugin_mixer_learns_a_plugin_task_and_predicts(tmp_path):
    plugins = [argument for file in PLUGINS for argument in ("--plugin", EXAMPLES / file)]
    task = ["--set", "task.count=3", "--set", "task.values=4", "--set", "model.width=16"]
    out = command(
        "train", "sorting", "leaky-integrator", "--budget", "20steps", "--out", tmp_path / "run", *task, *plugins
    )
    assert "sorting leaky-integrator: accuracy" in out
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> tuple[Path, str]:
    """The folder in which the script in Python worked, and what it printed."""
    folder = tmp_path_factory.mktemp("studies")
    return folder, run(EXAMPLES / "compare_in_python.py", folder)


def test_the_comparison_in_python_prints_what_it_found(studies):
    folder, out = studies
    assert "lstm against transformer:" in out
    assert "report:" in out
    assert out.count("'label':") == 2
    assert (folder / "compare" / "report.html").is_file()


def documented(key: str) -> set[str]:
    """The fields that docs/study-format.md names in the row of `key`."""
    (row,) = (line for line in FORMAT.splitlines() if line.startswith(f"| `{key}` |"))
    return set(re.findall(r'"(\w+)"', row))


@pytest.mark.parametrize("kind", ["compare", "scale"])
def test_a_study_holds_what_its_format_says(studies, kind):
    study = json.loads((studies[0] / kind / "study.json").read_text(encoding="utf-8"))
    keys = {name for line in FORMAT.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])}
    assert study.keys() <= keys
    assert study["machine"].keys() <= documented("machine")
    assert study["numerics"].keys() <= documented("numerics")
    for key in ("table", "runs", "verdicts", "recommendation", "samples"):
        assert (kind == "compare") == bool(study.get(key))
        for row in study.get(key, ()):
            assert row.keys() <= documented(key)
    for task in study["tasks"].values():
        assert task.keys() <= documented("tasks")
    if kind == "scale":
        for curve in study["scale"]["curves"]:
            assert curve.keys() <= documented("scale")
            assert all(point.keys() <= documented("scale") for point in curve["points"])
        assert all(crossing.keys() <= documented("scale") for crossing in study["scale"]["crossings"])


def test_a_run_holds_the_files_that_its_format_says(studies):
    folder = studies[0] / "compare" / "runs" / "sentiment_headlines" / "lstm" / "seed0"
    section = FORMAT.partition("## A run's folder")[2].partition("## A study")[0]
    named = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")} - {"checkpoint/"}
    there = {path.name + ("/" if path.is_dir() else "") for path in folder.iterdir()}
    assert there == named


def test_stories_written_as_squad_are_learned_and_asked(tmp_path):
    files = tmp_path / "stories"
    run(EXAMPLES / "stories_as_squad.py", "--language", "chinese", "--out", files, "--train", "60", "--test", "10")
    told = command(
        "train", "qa", "lstm[layers=1,width=16]", "--train", files / "train.json", "--test", files / "test.json",
        "--budget", "5steps", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "qa lstm[layers=1,width=16]: f1" in told
    asked = json.loads((files / "test.json").read_text(encoding="utf-8"))["data"][0]["paragraphs"][0]
    answered = json.loads(command("predict", tmp_path / "run", f"{asked['context']} {asked['qas'][0]['question']}"))
    start = answered["start"]
    assert start is None or asked["context"][start:].startswith(answered["answer"])
