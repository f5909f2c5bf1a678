"""Small stories by rule, with questions that need memory: who is where, who has what, and what was before.

A story is made of things that happen, one sentence each: someone goes to a place, takes something, puts it down, or
gives it to someone. Four kinds of question, each as frequent as the others:

- **where**: the place that someone went to last.
- **before**: the place where someone was before going, the last time, to another.
- **holder**: who has a thing, or nobody.
- **count**: how many things someone carries, up to three.

Of the answers that a kind admits where it is asked, each is as frequent as the others, so that guessing helps little.
There is no noise: whoever has followed the story is always right.

>>> first, *_, last = generate_stories(1, seed=4, language="english")[0]
>>> print(*first.story)
Clara moved to the garden. Ben moved to the school. Clara moved to the library. Ben took the apple.
>>> print(first.text, first.kind, first.answer)
How many things does Ben carry? count one
>>> print(*last.story[-2:], last.text, last.kind, last.answer)
Anna moved to the garden. Anna dropped the umbrella. Where is Anna? where garden
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Literal

from crossover.errors import ConfigError

Language = Literal["english", "chinese"]
KINDS = ("where", "before", "holder", "count")
QUESTIONS = 3
"""Questions in one story."""
PEOPLE, PLACES, THINGS = 3, 4, 3
"""How many of each a story has."""


@dataclass(frozen=True)
class Question:
    """A question, the sentences before it, its answer (a class), and what kind of question it is.

    `support` is the sentence of the story that the answer stands in, where it is known and stands in one.
    """

    story: tuple[str, ...]
    text: str
    answer: str
    kind: str
    support: int | None = None


@dataclass(frozen=True)
class Lexicon:
    """A language's names and sentences."""

    people: tuple[str, ...]
    places: tuple[str, ...]
    things: tuple[str, ...]
    go: tuple[str, ...]
    take: tuple[str, ...]
    drop: tuple[str, ...]
    give: tuple[str, ...]
    questions: Mapping[str, str]
    nobody: str
    counts: tuple[str, ...]


ENGLISH = Lexicon(
    people=("Anna", "Ben", "Clara", "David", "Emma", "Frank"),
    places=("kitchen", "garden", "office", "library", "station", "market", "school", "cellar"),
    things=("apple", "book", "lamp", "umbrella", "key", "ball"),
    go=("{person} went to the {place}.", "{person} moved to the {place}."),
    take=("{person} took the {thing}.", "{person} picked up the {thing}."),
    drop=("{person} dropped the {thing}.", "{person} put down the {thing}."),
    give=("{person} gave the {thing} to {other}.", "{person} handed the {thing} to {other}."),
    questions={
        "where": "Where is {person}?",
        "before": "Where was {person} before the {place}?",
        "holder": "Who has the {thing}?",
        "count": "How many things does {person} carry?",
    },
    nobody="nobody",
    counts=("none", "one", "two", "three"),
)
CHINESE = Lexicon(
    people=("小明", "小红", "小刚", "小丽", "老王", "老李"),
    places=("厨房", "花园", "办公室", "图书馆", "车站", "市场", "学校", "地下室"),
    things=("苹果", "书", "台灯", "雨伞", "钥匙", "皮球"),
    go=("{person}去了{place}。", "{person}走到了{place}。"),
    take=("{person}拿起了{thing}。", "{person}取走了{thing}。"),
    drop=("{person}放下了{thing}。", "{person}丢下了{thing}。"),
    give=("{person}把{thing}给了{other}。", "{person}把{thing}交给了{other}。"),
    questions={
        "where": "{person}在哪里？",
        "before": "{person}去{place}之前在哪里？",
        "holder": "{thing}在谁手里？",
        "count": "{person}拿着几样东西？",
    },
    nobody="没有人",
    counts=("没有", "一样", "两样", "三样"),
)
LEXICONS: Mapping[str, Lexicon] = {"english": ENGLISH, "chinese": CHINESE}


class _World:
    """Who is where and has what, and the sentences that told it.

    `visits` are places with the sentence that told of them; `holders` who has a thing, or None, likewise.
    """

    def __init__(self, random: Random, words: Lexicon) -> None:
        self.random, self.words = random, words
        self.people = random.sample(words.people, PEOPLE)
        self.places = random.sample(words.places, PLACES)
        self.things = random.sample(words.things, THINGS)
        self.visits: dict[str, list[tuple[str, int]]] = {person: [] for person in self.people}
        self.holders: dict[str, tuple[str | None, int]] = {}
        self.met: set[str] = set()
        self.told: list[str] = []

    def happen(self) -> None:
        """One more sentence: half of them are ways, the others are about things."""
        now = len(self.told)
        person = self.random.choice(self.people)
        other = self.random.choice([p for p in self.people if p != person])
        held = [thing for thing in self.things if self._holder(thing) == person]
        free = [thing for thing in self.things if self._holder(thing) is None]
        can = ["take"] * 2 * bool(free) + ["drop", "give"] * bool(held)
        deed = "go" if not can or self.random.random() < 0.5 else self.random.choice(can)
        place, thing = "", ""
        if deed == "go":
            here = self.visits[person][-1][0] if self.visits[person] else None
            place = self.random.choice([p for p in self.places if p != here])
            self.visits[person].append((place, now))
        else:
            thing = self.random.choice(free if deed == "take" else held)
            self.holders[thing] = {"take": person, "drop": None, "give": other}[deed], now
        self.met |= {person, other} if deed == "give" else {person}
        sentence = self.random.choice(getattr(self.words, deed))
        self.told.append(sentence.format(person=person, place=place, thing=thing, other=other))

    def ask(self, kind: str) -> Question | None:
        """A question of a kind about what was told so far; None where it cannot be asked yet."""
        askable = defaultdict(list)
        for answer, support, about in self._askable(kind):
            askable[answer].append((support, about))
        if not askable:
            return None
        answer = self.random.choice(sorted(askable))
        support, about = self.random.choice(askable[answer])
        return Question(tuple(self.told), self.words.questions[kind].format(**about), answer, kind, support)

    def _askable(self, kind: str) -> list[tuple[str, int | None, dict[str, str]]]:
        """Every question of a kind: its answer, the sentence that holds it, and what it is about."""
        if kind == "holder":
            return [
                (holder or self.words.nobody, told if holder else None, {"thing": thing})
                for thing, (holder, told) in self.holders.items()
            ]
        if kind == "count":
            holders = [holder for holder, _ in self.holders.values()]
            return [(self.words.counts[holders.count(p)], None, {"person": p}) for p in self.people if p in self.met]
        if kind == "where":
            return [(*visits[-1], {"person": person}) for person, visits in self.visits.items() if visits]
        return [
            (*before, {"person": person, "place": place})
            for person, visits in self.visits.items()
            for place, before in {place: before for before, (place, _) in pairwise(visits)}.items()
        ]

    def _holder(self, thing: str) -> str | None:
        return self.holders.get(thing, (None, 0))[0]


def generate_stories(
    count: int, *, seed: int, language: Language, kinds: tuple[str, ...] = KINDS
) -> list[list[Question]]:
    """`count` stories, each with `QUESTIONS` questions at growing length; no two rows are the same.

    Pure in its arguments. Raises ConfigError for a negative count.
    """
    if count < 0:
        raise ConfigError(f"cannot generate {count} stories: give a number from 0 up")
    random, seen = Random(seed), set[tuple[tuple[str, ...], str]]()
    stories: list[list[Question]] = []
    while len(stories) < count:
        questions = _draw(random, LEXICONS[language], kinds)
        if all((question.story, question.text) not in seen for question in questions):
            seen.update((question.story, question.text) for question in questions)
            stories.append(questions)
    return stories


def _draw(random: Random, words: Lexicon, kinds: tuple[str, ...]) -> list[Question]:
    world, questions = _World(random, words), list[Question]()
    while len(questions) < QUESTIONS:
        for _ in range(random.randint(2, 4)):
            world.happen()
        kind = random.choice(kinds)
        question = world.ask(kind)
        while question is None:
            world.happen()
            question = world.ask(kind)
        questions.append(question)
    return questions
