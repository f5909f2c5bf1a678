"""What tasks say is known to the catalogues: found in the source, so that a new sentence is not forgotten."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import crossover
from crossover.report.messages import translate
from crossover.report.notes import recognised

ROOMS = [Path(path) / room for path in crossover.__path__ for room in ("tasks", "data")]
SILENT = ("catalogue.py", "stories.py", "translation_phrases.py")
"""Their sentences are data: of data sets, and to be read or translated by a model."""
FILES = [path for room in ROOMS for path in sorted(room.glob("*.py")) if path.name not in SILENT]


def written(node: ast.AST) -> str | None:
    """A string of the source, with a sample value for each expression in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "7" for part in node.values)
    return None


def is_error(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error")
    )


def sentences(node: ast.AST) -> Iterator[str]:
    """Whole sentences that are neither docstrings nor errors: the notes."""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if docstring or is_error(node):
        return
    text = written(node)
    if text is None:
        for child in ast.iter_child_nodes(node):
            yield from sentences(child)
    elif text.endswith(".") and " " in text:
        yield text


def descriptions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "description" and (text := written(node.value)):
            yield text


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notes_and_descriptions_are_in_the_catalogues(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unknown = [text for text in (*sentences(tree), *descriptions(tree)) if isinstance(recognised(text), str)]
    assert unknown == [], "add a template to report/notes.py and its translations"


@pytest.mark.parametrize(
    ("said", "chinese"),
    [
        ("3 of 4,000 train texts were cut at 64 words.", "训练集的 4,000 条文本中有 3 条在第 64 个词处截断。"),
        (
            "weekly CO2 at Mauna Loa, 1958-2001: 104 values to the next 26",
            "莫纳罗亚每周二氧化碳浓度，1958-2001 年：由前 104 个值预测后 26 个值",
        ),
        (
            "label 'x' has one example; kept as --rare keep says.",
            "标签 'x' 只有一个样本；按 --rare keep 保留。",
        ),
        (
            "reviews.csv is not UTF-8 (byte 12) and is read as gb18030.",
            "reviews.csv 不是 UTF-8（字节 12），按 gb18030 读取。",
        ),
        ("nobody ever wrote this", "nobody ever wrote this"),
    ],
)
def test_a_note_keeps_its_values_in_another_language(said: str, chinese: str) -> None:
    assert translate("en")(recognised(said)) == said
    assert translate("zh")(recognised(said)) == chinese
