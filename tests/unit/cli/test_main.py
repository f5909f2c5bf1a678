from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from crossover import __version__
from crossover.cli import _COMMANDS, build_app, main
from crossover.cli.output import command_line, print_columns, print_document, print_fields, typed_as

HEAVY = ("torch", "sklearn", "statsmodels", "polars", "plotly", "pydantic", "babel", "jinja2")


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr()
    assert f"Usage: crossover {command}" in printed.out and printed.err == ""


def test_the_overview_says_of_each_command_what_its_own_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    overview = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert main([]) == 0
    assert " ".join(capsys.readouterr().out.replace("│", " ").split()) == overview, "nothing asked is help asked"
    for command, (_, summary) in _COMMANDS.items():
        assert command in overview and summary in overview


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_the_overview_is_quick_and_loads_nothing_heavy() -> None:
    """The seconds are of the processor, best of three, so that a busy machine does not fail it."""
    program = (
        "import sys, time\n"
        "from crossover.cli import main\n"
        "code = main(['--help'])\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(code, heavy, time.process_time(), file=sys.stderr)\n"
    )
    told = []
    for _ in range(3):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        told.append(run.stderr.strip().rsplit(" ", 1))
    assert {first for first, _ in told} == {"0 []"}
    assert min(float(seconds) for _, seconds in told) < 0.5


def test_help_of_a_command_does_not_load_torch() -> None:
    program = (
        "import sys\nfrom crossover.cli import _COMMANDS, main\n"
        "codes = {main([name, '--help']) for name in _COMMANDS}\n"
        "print(codes, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "{0} False"


def test_the_module_and_the_script_return_the_code() -> None:
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "crossover", "compar"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "crossover: unknown command 'compar': did you mean 'compare'?\n"


@pytest.mark.parametrize("command", [["models"], ["models", "--json"], ["doctor", "--device", "cpu"], ["--help"]])
def test_nobody_reading_the_output_ends_a_command_without_a_word(command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = subprocess.run(
            [sys.executable, "-m", "crossover", *command], stdout=writer, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writer)
    assert run.stderr == "" and run.returncode in (1, 141)


def test_an_error_of_our_own_making_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossover.models.presets.family_of", lambda settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["models"])


def test_a_command_that_cannot_be_imported_does_not_hide_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(_COMMANDS, "broken", ("nowhere:broken", "Does not exist."))
    assert main(["brokn"]) == 2
    assert capsys.readouterr().err == "crossover: unknown command 'brokn': did you mean 'broken'?\n"


def test_every_command_is_registered() -> None:
    assert {name for name in build_app() if not name.startswith("-")} == set(_COMMANDS)


def test_the_command_line_is_what_was_typed_or_called() -> None:
    with typed_as(["compare", "--models", "lstm[width=8,layers=1]", "--data", "my file.csv"]):
        assert command_line() == "crossover compare --models 'lstm[width=8,layers=1]' --data 'my file.csv'"
        with typed_as(["tasks"]):
            assert command_line() == "crossover tasks"
        assert command_line().startswith("crossover compare")


def test_a_document_is_json_whatever_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    print_document({"a": float("nan"), "b": [float("inf"), 1.5], "c": "中文"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"a": None, "b": [None, 1.5], "c": "中文"} and "中文" in printed


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("a", "long one", "x"), ("abc", "b", "")])
    assert capsys.readouterr().out == "a    long one  x\nabc  b\n"
    print_columns([])
    assert capsys.readouterr().out == ""


def test_fields_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"layers": 2, "causal": None, "tied": False, "mixer": {"attention": {"heads": 4}}}
    print_fields({"a": "x", "none": None, "empty": [], "flag": True, "notes": ["One.", "Two."], "settings": settings})
    assert capsys.readouterr().out == (
        "a: x\nflag: yes\nnotes:\n  One.\n  Two.\nsettings: layers=2, tied=false, mixer.attention.heads=4\n"
    )
