from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from crossover.errors import DataError
from crossover.tasks.questions.squad import SpanQuestion, read_squad, squad_document

CONTEXT = "Ann went to the garden. Ben went to the garden."
QUESTION = {"id": "q1", "question": "Where is Ben?", "answers": [{"text": "garden", "answer_start": 40}]}


def document(**changes: Any) -> dict[str, Any]:
    question = {**deepcopy(QUESTION), **changes}
    return {"data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": [question]}]}]}


def written(folder: Path, value: Any) -> Path:
    path = folder / "squad.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path: Path):
    questions = [
        SpanQuestion("a", CONTEXT, "Where is Ann?", (("garden", 16), ("the garden", 12)), "1"),
        SpanQuestion("b", CONTEXT, "Where is Cid?", (), "1"),
        SpanQuestion("c", "小明去了厨房。", "小明在哪里？", (("厨房", 4),), "2"),
    ]
    read, notes = read_squad(written(tmp_path, squad_document(questions)))
    assert read == questions and notes == ()
    assert [question.references for question in read] == [("garden", "the garden"), ("",), ("厨房",)]


def answers(text: Any, start: Any) -> list[dict[str, Any]]:
    return [{"text": text, "answer_start": start}]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            document(answers=answers("garden", 30)),
            "'q1': the answer 'garden' does not stand at .*30: it stands at 16 or 40",
        ),
        (document(answers=answers("garden", -7)), "it stands at 16 or 40, correct answer_start"),
        (document(answers=answers("attic", 3)), "'q1': the answer 'attic' does not stand in its context"),
        (document(answers=answers("garden", "40")), "'q1': answer_start is '40'"),
        (document(answers=answers("garden", True)), "'q1': answer_start is True"),
        (document(answers=answers(" ", 3)), "'q1' has an empty answer"),
        (document(answers=answers(None, 3)), "'q1' has no text 'text'"),
        (document(answers=[]), "'q1' has no answer: give one, or mark it with is_impossible=true"),
        (document(answers=None), "'q1' has no list 'answers'"),
        (document(is_impossible="no"), "'q1': is_impossible is 'no'"),
        ("[" * 100_000, "is no JSON"),
        (document(question="  "), "'q1' is empty"),
        (document(question=None), "'q1' has no text 'question'"),
        (document(id=None, question=""), "article 1, paragraph 1, question 1 is empty"),
        ({"data": []}, "holds no question"),
        ({"version": 1}, "has no list 'data'"),
        ([1], "is list, not an object"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "article 1, paragraph 1 has no text 'context'"),
        ({"data": [{"paragraphs": [{"context": " ", "qas": []}]}]}, "article 1, paragraph 1 has an empty context"),
        ({"data": [{"paragraphs": [{"context": "a", "qas": [3]}]}]}, "question 1 is int, not an object"),
        ('{"data": [', "is no JSON"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence_with_its_question(tmp_path: Path, value: Any, sentence: str):
    with pytest.raises(DataError, match=sentence) as told:
        read_squad(written(tmp_path, value))
    assert str(told.value).count("\n") == 0


def test_a_question_without_an_answer_may_have_plausible_ones(tmp_path: Path):
    changes = {"is_impossible": True, "answers": [], "plausible_answers": answers("garden", 40)}
    (question,), _ = read_squad(written(tmp_path, document(**changes)))
    assert question.answers == ()
