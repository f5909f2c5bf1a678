"""Questions as people write them: a context and a question in one text, in a table's line or in a JSON object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossover.data.encoding import read_text
from crossover.data.units import cut_sentences
from crossover.errors import DataError

QUESTION_MARKS = ("?", "？")


def split_question(text: str) -> tuple[str, str]:
    """Context and question of a text: what stands before and after its tab, or its last sentence as the question.

    Raises DataError where there is no question, or nothing before it.

    >>> split_question("Ann went to the garden. Where is Ann?")
    ('Ann went to the garden.', 'Where is Ann?')
    """
    if "\t" in text:
        context, _, question = text.rpartition("\t")
    else:
        stripped = text.rstrip()
        last = (cut_sentences(stripped) or [""])[-1]
        context, question = stripped[: len(stripped) - len(last)], last
        if not last.endswith(QUESTION_MARKS):
            raise DataError(
                f"{_short(text)} has no question: end it with one and its question mark, or put a tab before it"
            )
    if not context.strip() or not question.strip():
        missing = "context" if question.strip() else "question"
        raise DataError(
            f"{_short(text)} has no {missing}: write the context, then a tab or a space, then the question"
        )
    return context.rstrip(), question.strip()


def join_question(context: str, question: str) -> str:
    """The text that `split_question` takes apart again."""
    return f"{context}\t{' '.join(question.split())}"


def read_questions(path: Path) -> list[str]:
    """The questions of a file, each as a text for `split_question`.

    A file is JSON of SQuAD's form, or has on each line an object with "context" and "question", or a context, a tab
    and a question, or a text that ends in its question. Raises DataError, with the line, for anything else.
    """
    text = read_text(path).text
    document = _whole(text)
    if document is not None:
        return [
            join_question(paragraph["context"], asked["question"])
            for article in document
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ]
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return [_line(line, f"line {number} of {path}") for number, line in lines]


def _whole(text: str) -> list[dict[str, Any]] | None:
    """The articles of a document of SQuAD's form; None where the text is none."""
    try:
        articles = json.loads(text)["data"]
        for article in articles:
            for paragraph in article["paragraphs"]:
                if not all(isinstance(asked["question"], str) for asked in paragraph["qas"]):
                    return None
                paragraph["context"].strip()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return list(articles)


def _line(line: str, where: str) -> str:
    if not line.lstrip().startswith("{"):
        try:
            split_question(line)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        return line
    try:
        asked = json.loads(line)
        context, question = asked["context"], asked["question"]
        if not isinstance(context, str) or not isinstance(question, str):
            raise TypeError("both are texts")
        return join_question(context, question)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is no JSON object with a context and a question ({type(error).__name__}: {error}): correct it"
        ) from error


def _short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else "…" + text[-limit:])
