"""Files in the form of SQuAD (Rajpurkar et al. 2016, 2018): contexts, questions, and answers that stand in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossover.data.encoding import read_text
from crossover.errors import DataError, listing


@dataclass(frozen=True)
class SpanQuestion:
    """A question about a context; `answers` are texts with the character of the context that each begins at.

    There is none where the context holds no answer (``is_impossible``). `article` is what the context is a part of.
    """

    id: str
    context: str
    text: str
    answers: tuple[tuple[str, int], ...]
    article: str = ""

    @property
    def references(self) -> tuple[str, ...]:
        """What counts as right: any of the answers, or saying nothing where there is none."""
        return tuple(dict.fromkeys(text for text, _ in self.answers)) or ("",)


def read_squad(path: Path) -> tuple[list[SpanQuestion], tuple[str, ...]]:
    """The questions of a file, and what was found in reading it.

    Raises DataError for a file that is no JSON or lacks a key, and, with the question's id, for an empty question and
    an answer that does not stand where the file says.
    """
    decoded = read_text(path)
    try:
        document = json.loads(decoded.text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}): correct it") from error
    questions = [
        _question(_object(asked, where), context, article, where)
        for context, article, asked, where in _questions(document, path)
    ]
    if not questions:
        raise DataError(f"{path} holds no question: give a file with some under data, paragraphs, qas")
    return questions, decoded.notes


def _questions(document: Any, path: Path) -> Iterator[tuple[str, str, Any, str]]:
    """Every question with its context, its article and a name for it, by its id where it has one."""
    articles = _list(document, "data", str(path))
    for a, article in enumerate(articles, start=1):
        for p, paragraph in enumerate(_list(article, "paragraphs", f"{path}, article {a}"), start=1):
            place = f"{path}, article {a}, paragraph {p}"
            context = _text(_object(paragraph, place), "context", place)
            if not context.strip():
                raise DataError(f"{place} has an empty context: give one, or leave the paragraph out")
            for q, asked in enumerate(_list(paragraph, "qas", place), start=1):
                named = asked.get("id") if isinstance(asked, dict) else None
                yield context, str(a), asked, f"{path}, question {named!r}" if named else f"{place}, question {q}"


def _question(asked: dict[str, Any], context: str, article: str, where: str) -> SpanQuestion:
    text = _text(asked, "question", where)
    if not text.strip():
        raise DataError(f"{where} is empty: write the question, or leave it out")
    impossible = asked.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise DataError(f"{where}: is_impossible is {impossible!r}: write true or false")
    answers = [] if impossible else [_answer(answer, context, where) for answer in _list(asked, "answers", where)]
    if not answers and not impossible:
        raise DataError(f"{where} has no answer: give one, or mark it with is_impossible=true")
    return SpanQuestion(str(asked.get("id", where)), context, text.strip(), tuple(dict.fromkeys(answers)), article)


def _answer(answer: Any, context: str, where: str) -> tuple[str, int]:
    text, start = _text(_object(answer, where), "text", where), answer.get("answer_start")
    if not text.strip():
        raise DataError(f"{where} has an empty answer: write it, or mark the question with is_impossible=true")
    if not isinstance(start, int) or isinstance(start, bool):
        raise DataError(
            f"{where}: answer_start is {start!r}: give the number of the character that {text!r} begins at"
        )
    if start >= 0 and context[start : start + len(text)] == text:
        return text, start
    found = [place for place in range(len(context)) if context.startswith(text, place)]
    if not found:
        raise DataError(f"{where}: the answer {text!r} does not stand in its context: correct the answer")
    raise DataError(
        f"{where}: the answer {text!r} does not stand at answer_start={start}: it stands at {listing(found[:5])}, "
        "correct answer_start"
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where} is {type(value).__name__}, not an object: write it as SQuAD does")
    return value


def _list(value: Any, key: str, where: str) -> list[Any]:
    found = _object(value, where).get(key)
    if not isinstance(found, list):
        raise DataError(f"{where} has no list {key!r}: write it as SQuAD does (data, paragraphs, qas, answers)")
    return found


def _text(value: dict[str, Any], key: str, where: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise DataError(f"{where} has no text {key!r}: write it as SQuAD does (data, paragraphs, qas, answers)")
    return found


def squad_document(questions: Sequence[SpanQuestion]) -> dict[str, Any]:
    """The document that `read_squad` reads back: an article for each name of one, a paragraph for each context."""
    articles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for question in questions:
        asked = {
            "id": question.id,
            "question": question.text,
            "answers": [{"text": text, "answer_start": start} for text, start in question.answers],
            "is_impossible": not question.answers,
        }
        articles.setdefault(question.article, {}).setdefault(question.context, []).append(asked)
    data = [
        {"title": title, "paragraphs": [{"context": context, "qas": asked} for context, asked in contexts.items()]}
        for title, contexts in articles.items()
    ]
    return {"version": "v2.0", "data": data}
