from __future__ import annotations

import doctest
import re

import pytest

from crossover.errors import ConfigError
from crossover.tasks.questions import stories
from crossover.tasks.questions.stories import KINDS, Question, generate_stories

# A reader of stories that shares nothing with the generator: its own patterns, its own rules.
GOES = [r"(\w+) (?:went|moved) to the (\w+)\.", r"(\w\w)(?:去了|走到了)(\w+)。"]
TAKES = [r"(\w+) (?:took|picked up) the (\w+)\.", r"(\w\w)(?:拿起了|取走了)(\w+)。"]
LEAVES = [r"(\w+) (?:dropped|put down) the (\w+)\.", r"(\w\w)(?:放下了|丢下了)(\w+)。"]
GIVES = [r"\w+ (?:gave|handed) the (\w+) to (\w+)\.", r"\w\w把(\w+?)(?:交给|给)了(\w+)。"]
ASKS = {
    "where": [r"Where is (\w+)\?", r"(\w\w)在哪里？"],
    "before": [r"Where was (\w+) before the (\w+)\?", r"(\w\w)去(\w+)之前在哪里？"],
    "holder": [r"Who has the (\w+)\?", r"(\w+)在谁手里？"],
    "count": [r"How many things does (\w+) carry\?", r"(\w+)拿着几样东西？"],
}
NOBODY = {"english": "nobody", "chinese": "没有人"}
COUNTS = {"english": ["none", "one", "two", "three"], "chinese": ["没有", "一样", "两样", "三样"]}


def match(patterns: list[str], text: str) -> tuple[str, ...] | None:
    return next((found.groups() for pattern in patterns if (found := re.fullmatch(pattern, text))), None)


def read(question: Question, language: str) -> str:
    """The answer, by following the story."""
    ways: dict[str, list[str]] = {}
    holds: dict[str, str] = {}
    for sentence in question.story:
        if went := match(GOES, sentence):
            ways.setdefault(went[0], []).append(went[1])
        elif took := match(TAKES, sentence):
            holds[took[1]] = took[0]
        elif left := match(LEAVES, sentence):
            assert holds.pop(left[1]) == left[0]
        else:
            given = match(GIVES, sentence)
            assert given, sentence
            holds[given[0]] = given[1]
    asked = match(ASKS[question.kind], question.text)
    assert asked, question.text
    if question.kind == "where":
        return ways[asked[0]][-1]
    if question.kind == "before":
        way = ways[asked[0]]
        last = max(step for step in range(1, len(way)) if way[step] == asked[1])
        return way[last - 1]
    if question.kind == "holder":
        return holds.get(asked[0], NOBODY[language])
    return COUNTS[language][list(holds.values()).count(asked[0])]


def drawn(language: str, seed: int = 1) -> list[Question]:
    return [question for story in generate_stories(600, seed=seed, language=language) for question in story]


def test_the_worked_example_of_the_docstring_holds():
    assert doctest.testmod(stories).attempted >= 1
    assert doctest.testmod(stories).failed == 0


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_an_independent_reader_of_the_rules_gets_every_answer_right(language: str):
    assert [question for question in drawn(language) if read(question, language) != question.answer] == []


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_sentence_that_supports_an_answer_holds_it(language: str):
    for question in drawn(language):
        if question.support is None:
            assert question.kind == "count" or question.answer == NOBODY[language]
        else:
            assert question.answer in question.story[question.support]


def test_kinds_are_even_and_no_row_comes_twice():
    questions = drawn("english")
    shares = [sum(q.kind == kind for q in questions) / len(questions) for kind in KINDS]
    assert max(shares) - min(shares) < 0.08
    assert len({(q.story, q.text) for q in questions}) == len(questions)


def test_stories_are_pure_in_their_arguments():
    assert drawn("english") == drawn("english") != drawn("english", seed=2)
    with pytest.raises(ConfigError, match="give a number from 0 up"):
        generate_stories(-1, seed=0, language="english")
