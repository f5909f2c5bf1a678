"""What the integration tests share: commands typed as a user types them, in a folder with good files and bad ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossover.cli import main

Run = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Types a command with ``--json``; gives the one document on stdout after an exit code of 0."""

    def typed(*tokens: object) -> Any:
        capsys.readouterr()
        code = main([*(str(token) for token in tokens), "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    return typed


def sentences(rows: int = 40) -> str:
    return "".join(
        f"report {i} tells of {'gains' if i % 2 else 'losses'} no {7 * i},{'up' if i % 2 else 'down'}\n"
        for i in range(rows)
    )


def waves(rows: int = 120) -> list[tuple[str, str]]:
    return [(str(i), f"{math.sin(i / 5):.4f}") for i in range(rows)]


def as_csv(header: str, rows: list[tuple[str, ...]]) -> str:
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def changed(rows: list[tuple[str, str]], at: int, value: str) -> list[tuple[str, str]]:
    return [(time, value if i == at else x) for i, (time, x) in enumerate(rows)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache without data sets, shared so that the machine is measured once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the tests name."""
    files = {
        "good.csv": "text,label\n" + sentences(),
        "empty.csv": "",
        "lines.en": "one\ntwo\nthree\n",
        "lines.zh": "一\n二\n",
        "holes.zh": "一\n\n三\n",
        "pairs.tsv": "english\tchinese\none\t一\ntwo\t二\n",
        "header.csv": "text,label\n",
        "colons.csv": "text:label\n" + sentences().replace(",", ":"),
        "single.csv": "text,label\n" + sentences() + "an odd one out,strange\n",
        "unseen.csv": "text,label\nfine gains,up\nbad losses,down\nwhat,flat\nwhich,flat\n",
        "waves.csv": as_csv("day,x", waves()),
        "short.csv": as_csv("day,x", waves(20)),
        "gaps.csv": as_csv("day,x", changed(changed(waves(), 50, ""), 51, "NaN")),
        "words.csv": as_csv("day,x", changed(waves(), 50, "hello")),
        "ragged.csv": as_csv("day,x", changed(waves(), 50, "1,2")),
        "unsorted.csv": as_csv("day,x", [*waves()[60:], *waves()[:60]]),
        "repeated.csv": as_csv("day,x", [(str(min(i, 100)), x) for i, (_, x) in enumerate(waves())]),
        "short.txt": "too short",
        "rhyme.txt": "the cat sat on the mat. " * 80,
        "series.ts": "@problemName p\n@classLabel true a b\n@data\n1,2,x:a\n",
        "plugin.py": "raise ValueError('a mistake in the plugin')\n",
        "nothing.py": "NAME = 'registers nothing'\n",
        "settings.toml": "[train]\nbudgt = '3steps'\n",
        "broken.toml": "[train\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "thesis.txt").write_text("not to be overwritten", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(cache))
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Types a command that must be refused; gives the sentence, having checked all else."""

    def typed(*tokens: str, code: int = 2) -> str:
        before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
        capsys.readouterr()
        returned = main([*tokens, "--json"])
        printed = capsys.readouterr()
        assert (returned, printed.out) == (code, ""), printed.err
        lines = printed.err.splitlines()
        assert len(lines) == 1, f"one sentence, not {lines}"
        assert lines[0].startswith("crossover: ")
        after = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
        assert {path: after.get(path) for path in before} == before, "a file was changed"
        assert after.keys() == before.keys(), f"{after.keys() - before.keys()} left behind"
        return lines[0]

    return typed
