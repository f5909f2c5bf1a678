"""The house holds: imports run one way, files have one subject, and importing the package costs next to nothing."""

from __future__ import annotations

import ast
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crossover

SOURCE = Path(crossover.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

ORDER = (
    {"errors", "registry", "config", "costs", "sharding", "files", "plugins"},
    {"recurrence"},
    {"models"},
    {"data"},
    {"tasks"},
    {"parallel"},
    {"planning"},
    {"measure", "inference"},
    {"train"},
    {"testing"},
    {"study"},
    {"report"},
    {"api"},
    {"cli"},
    {"demo", "__main__"},
)
"""A room may import from its own row and from the rows above it."""
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import at any depth, but for those under TYPE_CHECKING."""
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        nodes += ast.iter_child_nodes(node)


def inner_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import from crossover itself."""
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "crossover" and len(parts) > 1 and not parts[1].startswith("__"):
            yield line, parts[1] if parts[1] in RANK else "api"


def test_every_file_stands_in_a_room_of_the_order():
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms <= set(RANK), f"give {sorted(rooms - set(RANK))} a place in the order"


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) != "__init__"], ids=name_of)
def test_imports_run_one_way(path):
    room = room_of(path)
    wrong = [
        f"line {line}: {room} imports {other}" for line, other in inner_imports(path) if RANK[other] > RANK[room]
    ]
    assert not wrong


def test_rooms_of_the_same_row_do_not_import_each_other_in_a_circle():
    edges = {
        (room_of(path), other)
        for path in FILES
        for _, other in inner_imports(path)
        if room_of(path) in RANK and room_of(path) != other and RANK[other] == RANK[room_of(path)]
    }
    assert not [(a, b) for a, b in edges if (b, a) in edges]


def test_models_recurrence_and_tasks_know_nothing_of_processes():
    found = [
        f"{name_of(path)}:{line}"
        for path in FILES
        if room_of(path) in ("models", "recurrence", "tasks")
        for line, name in imports(path)
        if name.startswith("torch.distributed")
    ]
    assert not found


def test_the_import_reader_sees_what_functions_import_and_not_what_types_need(tmp_path):
    file = tmp_path / "example.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import crossover.cli\nelse:\n    import json\n"
        "def f():\n    from crossover import api\n    import torch.distributed as dist\n",
        encoding="utf-8",
    )
    assert sorted(imports(file)) == [
        (1, "typing.TYPE_CHECKING"),
        (5, "json"),
        (7, "crossover.api"),
        (8, "torch.distributed"),
    ]


def test_no_file_is_over_400_lines():
    long = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: lines for name, lines in long.items() if lines > 400}


def test_no_assert_in_the_source():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not found


def cpu_seconds_and_modules(code: str) -> tuple[float, set[str]]:
    """CPU time of a fresh interpreter that runs `code` above that of one that runs nothing, and what it imported."""
    report = "import json, sys; sys.stderr.write(json.dumps(sorted(sys.modules)))"
    empty, _ = _run(report)
    seconds, modules = _run(f"{code}\n{report}")
    return seconds - empty, modules


def _run(code: str) -> tuple[float, set[str]]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, set(json.loads(done.stderr))


HEAVY = {"torch", "numpy", "polars", "plotly", "pydantic", "sklearn", "statsmodels", "jieba", "tokenizers"}


def test_import_crossover_is_light():
    seconds, modules = cpu_seconds_and_modules("import crossover")
    assert seconds < 0.3
    assert not HEAVY & modules


def test_help_is_light():
    code = "import sys\nfrom crossover.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    seconds, modules = cpu_seconds_and_modules(code)
    assert seconds < 0.5
    assert not HEAVY & modules


@pytest.mark.parametrize("name", crossover.__all__)
def test_every_public_name_can_be_had(name):
    assert getattr(crossover, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'compere'"):
        crossover.compere  # noqa: B018
