from __future__ import annotations

import doctest
import re
from collections import Counter
from itertools import pairwise

import pytest

from crossover.data.text import split_words
from crossover.errors import ConfigError
from crossover.tasks.text import headlines
from crossover.tasks.text.headlines import LABELS, generate_headlines

# A reader of headlines that shares nothing with the generator: its own lists of words, its own rules.
AHEAD = ["overtakes", "outsells", "beats", "outgrows", "超过", "领先", "战胜", "压倒"]
BEHIND = ["trails", "lags", "underperforms", "chases", "落后", "输给", "不如", "逊于"]
DENIED = ["deny", "doubt", "否认", "怀疑"]
FALLING = ["fall", "shrink", "下降", "恶化"]
UNWANTED = ["costs", "debts", "losses", "成本", "债务", "亏损"]
GOOD = ["contract", "award", "breakthrough", "upgrade", "合同", "奖项", "突破", "升级"]
BAD = ["recall", "strike", "lawsuit", "blackout", "召回", "罢工", "诉讼", "停电"]
SECOND_IS_LATER = ["before", "preceding", "此后", "随后"]
SECOND_IS_EARLIER = ["after", "following", "此前", "之前"]


def first_place(words: list[str], text: str) -> int | None:
    return min((text.find(word) for word in words if word in text), default=None)


def read(text: str) -> int:
    """The sign of the sentiment of `text`."""
    text = text.lower()
    figures = [int(number) for number in re.findall(r"\d+", text)]
    if figures:
        rise = (figures[0] > figures[1]) - (figures[0] < figures[1])
        return -rise if any(word in text for word in UNWANTED) else rise
    order = re.search("|".join(SECOND_IS_LATER + SECOND_IS_EARLIER), text)
    if order and ("迎来" in text or " for " in text):
        parts = (text[: order.start()], text[order.end() :])
        counted = parts[order[0] in SECOND_IS_LATER]
        return any(word in counted for word in GOOD) - any(word in counted for word in BAD)
    verb = first_place(AHEAD + BEHIND, text)
    if verb is not None:
        ahead = 1 if first_place(AHEAD, text) is not None else -1
        return ahead if text.index("$") < verb else -ahead
    if "match" in text or "equals" in text or "匹敌" in text or "媲美" in text or "whether" in text or "是否" in text:
        return 0
    signs = (any(word in text for word in DENIED), " not " in text or "不会" in text, any(w in text for w in FALLING))
    return -1 if sum(signs) % 2 else 1


def test_the_worked_example_of_the_docstring_holds():
    assert doctest.testmod(headlines).attempted >= 1
    assert doctest.testmod(headlines).failed == 0


def test_an_independent_reader_of_the_rules_gets_every_label_right():
    wrong = [h for h in generate_headlines(4000, seed=1) if LABELS[read(h.text) + 1] != h.label]
    assert wrong == []


def test_headlines_differ_and_depend_on_the_seed_alone():
    first = generate_headlines(500, seed=3)
    assert first == generate_headlines(500, seed=3)
    assert first[:200] == generate_headlines(200, seed=3)
    assert len({h.text for h in first}) == 500
    assert first != generate_headlines(500, seed=4)


def test_kinds_languages_and_labels_are_even():
    counts = Counter((h.kind, h.language, h.label) for h in generate_headlines(6000, seed=0))
    assert len(counts) == 4 * 2 * 3
    assert min(counts.values()) > 0.75 * 250
    assert max(counts.values()) < 1.25 * 250


def test_no_word_or_pair_of_neighbours_tells_positive_from_negative():
    headlines_ = [h for h in generate_headlines(6000, seed=0) if h.label != "neutral"]
    by_gram: dict[tuple[str, ...], Counter[str]] = {}
    for h in headlines_:
        words = split_words(h.text.lower())
        for gram in {*((word,) for word in words), *pairwise(words)}:
            by_gram.setdefault(gram, Counter())[h.label] += 1
    events = {*GOOD, *BAD}
    for gram, counts in by_gram.items():
        total = sum(counts.values())
        if total < 60 or any(word in events or word.isdigit() for word in gram):
            continue
        spread = 4 * (total * 0.25) ** 0.5
        assert abs(counts["positive"] - total / 2) < spread, (gram, counts)


def test_chinese_headlines_are_cut_into_the_same_few_words():
    counts = Counter(word for h in generate_headlines(5000, seed=0) for word in split_words(h.text.lower()))
    assert len(counts) < 300
    assert min(counts.values()) > 10


def test_a_negative_count_is_refused():
    with pytest.raises(ConfigError, match="-1 headlines"):
        generate_headlines(-1, seed=0)
    assert generate_headlines(0, seed=0) == []
