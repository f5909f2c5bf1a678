from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

from crossover.errors import DataError
from crossover.tasks.questions import reader as questions
from crossover.tasks.questions.reader import read_questions, split_question


def test_the_example_of_the_docstring_holds():
    assert doctest.testmod(questions).attempted >= 1
    assert doctest.testmod(questions).failed == 0


@pytest.mark.parametrize(
    ("text", "context", "question"),
    [
        ("Ann left. Is she here? Where is Ann?", "Ann left. Is she here?", "Where is Ann?"),
        ("小明去了厨房。小明在哪里？", "小明去了厨房。", "小明在哪里？"),
        ("Ann left.\tname who left", "Ann left.", "name who left"),
        ("  Ann left.\n\nWho? \n", "  Ann left.", "Who?"),
    ],
)
def test_the_question_is_after_the_tab_or_the_last_sentence(text: str, context: str, question: str):
    assert split_question(text) == (context, question)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Ann left. Ben stayed.", "has no question"),
        ("", "has no question"),
        ("Who left?", "has no context"),
        ("\tWho left?", "has no context"),
        ("Ann left.\t ", "has no question"),
    ],
)
def test_a_text_without_context_or_question_is_told(text: str, sentence: str):
    with pytest.raises(DataError, match=sentence):
        split_question(text)


def test_files_of_every_form_give_the_same_questions(tmp_path: Path):
    asked = [("Ann left. Ben stayed.", "Who left?"), ("小明去了厨房。", "小明在哪里？")]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps({"context": c, "question": q}) + "\n" for c, q in asked), encoding="utf-8")
    table = tmp_path / "lines.tsv"
    table.write_text("".join(f"{c}\t{q}\n\n" for c, q in asked), encoding="utf-8")
    plain = tmp_path / "lines.txt"
    plain.write_text("".join(f"{c} {q}\n" for c, q in asked), encoding="utf-8")
    squad = tmp_path / "squad.json"
    paragraphs = [{"context": c, "qas": [{"id": "a", "question": q}]} for c, q in asked]
    squad.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}, indent=1), encoding="utf-8")
    for path in (lines, table, plain, squad):
        assert [split_question(text) for text in read_questions(path)] == asked


@pytest.mark.parametrize(
    "line",
    [
        '{"context": "Ann left."}',
        '{"context": ',
        '{"context": null, "question": "Who left?"}',
        '{"context": "Ann left.", "question": 3}',
        "Ann left.",
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"context": "Ann left.", "question": "Who left?"}\n' + line + "\n")
    with pytest.raises(DataError, match=r"line 2 of .*lines\.jsonl"):
        read_questions(path)
