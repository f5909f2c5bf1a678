from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from crossover.tasks.translation.pairs import (
    LeakFinder,
    Pairs,
    group_by_source,
    remove_leaks,
    split_by_group,
    split_pairs,
)


def pairs(*sources: str) -> Pairs:
    return group_by_source((source, f"译文 {source}") for source in sources)


def near(left: str, right: str) -> bool:
    _, by_source_N = LeakFinder(group_by_source([(left, "甲")])).find(group_by_source([(right, "乙")]))
    return bool(by_source_N[0])


def words_differ_by_one(left: list[str], right: list[str]) -> bool:
    """The definition: the same words but for one exchanged, added or left out."""
    if len(left) == len(right):
        return sum(a != b for a, b in zip(left, right, strict=True)) <= 1
    short, long = sorted((left, right), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long))) and bool(short)


def test_references_of_a_source_are_merged_in_order_and_repeated_ones_dropped():
    grouped = group_by_source([("b", "1"), ("a", "2"), ("b", "3"), ("b", "1"), ("B", "4")])
    assert grouped == Pairs(("b", "a", "B"), (("1", "3"), ("2",), ("4",)))
    assert len(grouped) == 3
    assert grouped.flat() == [("b", "1"), ("b", "3"), ("a", "2"), ("B", "4")]
    assert grouped.take([2, 0]) == Pairs(("B", "b"), (("4",), ("1", "3")))


def test_a_split_has_its_shares_and_every_source_once():
    given = pairs(*(f"sentence {i}" for i in range(100)))
    parts = split_pairs(given, seed=0)
    assert [len(parts[split]) for split in ("train", "valid", "test")] == [80, 10, 10]
    assert sorted(source for part in parts.values() for source in part.sources) == sorted(given.sources)
    assert split_pairs(given, seed=0) == parts
    assert split_pairs(given, seed=1) != parts
    halves = split_pairs(given, 0, (0.5, 0.25, 0.25))
    assert [len(halves[split]) for split in ("train", "valid", "test")] == [50, 25, 25]


def test_sources_that_differ_in_case_and_spaces_stand_on_one_side():
    given = pairs(*(form for i in range(30) for form in (f"Good day {i}", f"good  day {i}")))
    for part in split_pairs(given, seed=3).values():
        assert len(part) == 2 * len({" ".join(source.lower().split()) for source in part.sources})


def test_a_group_stands_on_one_side():
    rows = [(f"line {i}", f"行 {i}") for i in range(200)]
    parts = split_by_group(rows, [f"file{i // 10}" for i in range(200)], seed=0)
    sides = [{int(source.split()[1]) // 10 for source in part.sources} for part in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20
    assert min(map(len, sides)) == 2


def test_a_source_of_several_groups_is_grouped_on_each_side():
    rows = [(source, f"{source} {i}") for i in range(10) for source in ("Example", f"line {i}")]
    parts = split_by_group(rows, [f"file{i // 2}" for i in range(20)], seed=0)
    assert all("Example" in part.sources for part in parts.values())
    train = dict(zip(parts["train"].sources, parts["train"].references, strict=True))
    assert len(train["Example"]) == 8
    cleared, _ = remove_leaks({**parts, "valid": pairs("apart from all others")} | {"test": _with_own(parts["test"])})
    assert cleared["test"].sources == ("nothing like the rest",)


def _with_own(test: Pairs) -> Pairs:
    return group_by_source([*test.flat(), ("nothing like the rest", "其他")])


def test_a_test_row_goes_if_a_reference_or_its_source_is_near_train():
    train = group_by_source(
        [("I like green tea.", "我喜欢绿茶。"), ("Good night to you.", "晚安！"), ("Stop!", "停！")]
    )
    test = group_by_source(
        [
            ("Sleep well, my dear friend.", " 晚安！ "),
            ("I like black tea.", "我喜欢红茶。"),
            ("I like tea.", "我喜欢茶。"),
            ("I really like green tea!", "我真的喜欢绿茶。"),
            ("i like GREEN tea", "我喜欢喝绿茶。"),
            ("I like red wine.", "我喜欢红酒。"),
            ("Tea like green I.", "茶。"),
            ("Run!", "跑！"),
        ]
    )
    parts, notes = remove_leaks({"train": train, "valid": pairs("Entirely new words here."), "test": test})
    assert parts["test"].sources == ("I like red wine.", "Tea like green I.", "Run!")
    assert parts["train"] == train
    assert notes == (
        "Of 8 test sentences 1 have a reference that stands in train and 4 a source that is at most one word from a "
        "training sentence; together 5, removed.",
    )


def test_one_of_several_references_in_train_is_enough():
    train = group_by_source([("Hello there, sir.", "您好")])
    by_reference_N, by_source_N = LeakFinder(train).find(Pairs(("Hi.", "Ho."), (("嗨", "您 好", "您好"), ("您 好",))))
    assert by_reference_N.tolist() == [True, False]
    assert by_source_N.tolist() == [False, False]


def test_valid_is_cleared_too():
    parts, notes = remove_leaks(
        {"train": pairs("one two three"), "valid": pairs("one two four", "five six seven"), "test": pairs("a b c d")}
    )
    assert parts["valid"].sources == ("five six seven",)
    assert len(notes) == 1 and notes[0].startswith("Of 2 valid sentences 0 have")


def test_a_split_without_leaks_is_left_alone_and_nothing_is_said():
    splits = {"train": pairs("one two three"), "valid": pairs("four five six"), "test": pairs("seven eight nine")}
    assert remove_leaks(splits) == (splits, ())


def test_a_split_of_which_nothing_would_be_left_is_kept_and_said_to_be():
    splits = {"train": pairs("one two three"), "valid": pairs("four five six"), "test": pairs("one two nine")}
    parts, notes = remove_leaks(splits)
    assert parts == splits
    assert notes[0].startswith("Of 1 test sentences") and notes[0].endswith("kept because none would be left.")


def test_one_word_apart_is_what_the_definition_says():
    rng = np.random.default_rng(0)
    sentences = [list(rng.choice(["a", "b", "c"], size=rng.integers(2, 6))) for _ in range(60)]
    for left, right in combinations(sentences, 2):
        assert near(" ".join(left), " ".join(right)) == words_differ_by_one(left, right), (left, right)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("我喜欢茶", "我喜欢酒", True),
        ("我喜欢茶", "我不喜欢酒", False),
        ("Don't go there", "Do go there", True),
        ("Wait.", "WAIT!", True),
        ("Wait.", "Go.", False),
        ("Wait here.", "Wait.", True),
        ("...", "!!", False),
        ("...", "...", True),
    ],
)
def test_words_are_compared_without_case_and_punctuation_and_chinese_by_character(left, right, expected):
    assert near(left, right) == near(right, left) == expected


def test_thirty_thousand_sentences_are_cleared_in_seconds():
    rng = np.random.default_rng(0)
    sentences = [" ".join(map(str, row)) for row in rng.integers(2000, size=(30_000, 8)).tolist()]
    train, valid, test = pairs(*sentences[:28_000]), pairs(*sentences[28_000:29_000]), pairs(*sentences[29_000:])
    parts, _ = remove_leaks({"train": train, "valid": valid, "test": test})
    assert len(parts["test"]) == 1000
