"""The examples run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PLUGINS = {"leaky_mixer.py": "leaky-integrator", "sorting_task.py": "sorting"}
SCRIPTS = ["compare_in_python.py"]


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


def test_the_comparison_in_python_prints_what_it_found(tmp_path):
    out = run(EXAMPLES / "compare_in_python.py", tmp_path)
    assert "lstm against transformer:" in out
    assert "report:" in out
    assert out.count("'label':") == 2
    assert (tmp_path / "compare" / "report.html").is_file()
    assert (tmp_path / "scale" / "study.json").is_file()
