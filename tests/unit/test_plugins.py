from __future__ import annotations

from pathlib import Path

import pytest

from crossover.errors import ConfigError
from crossover.plugins import load_plugin, load_plugins


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plugin_is_run_as_a_module(tmp_path: Path) -> None:
    import sys

    load_plugins((write(tmp_path / "kept_numbers.py", "NUMBERS = [1, 2]\n"),))
    assert sys.modules["crossover_plugin_kept_numbers"].NUMBERS == [1, 2]


@pytest.mark.parametrize("name", ["none.py", "folder.py", "notes.txt"])
def test_what_is_no_python_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    write(tmp_path / "notes.txt", "NUMBERS = 1")
    with pytest.raises(ConfigError, match="cannot be loaded: give the path of a Python file that exists"):
        load_plugin(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0\n", "failed: ZeroDivisionError: division by zero"),
        ("def broken(:\n", "failed: SyntaxError"),
        ("import no_such_package_at_all\n", "failed: ModuleNotFoundError"),
    ],
)
def test_a_plugin_that_fails_is_named_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"mine.py {message}"):
        load_plugin(write(tmp_path / "mine.py", text))


def test_an_error_that_explains_itself_is_passed_on(tmp_path: Path) -> None:
    text = "from crossover.tasks import TASKS\nTASKS.add('parity', None)\n"
    with pytest.raises(ConfigError, match="task 'parity' is registered already: choose another name"):
        load_plugin(write(tmp_path / "mine.py", text))
