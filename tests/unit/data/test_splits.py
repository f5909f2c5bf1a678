import random
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from crossover.data.splits import find_duplicates, random_split, time_split
from crossover.errors import ConfigError, DataError

SHARES = (0.7, 0.1, 0.2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [400, 2264])
def test_stratified_split_is_train_test_split_twice(seed, n):
    labels = [i % 7 % 3 for i in range(n)]
    rest, test = train_test_split(range(n), test_size=0.2, random_state=seed, stratify=labels)
    train, valid = train_test_split(rest, test_size=0.125, random_state=seed, stratify=[labels[i] for i in rest])
    split = random_split(n, SHARES, seed, stratify=labels)
    assert split["test"].tolist() == sorted(test)
    assert split["valid"].tolist() == sorted(valid)
    assert split["train"].tolist() == sorted(train)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 29), max_size=100), st.integers(0, 9))
def test_groups_stay_on_one_side_and_rows_are_complete(repeated, seed):
    groups = [*range(30), *repeated]
    split = random_split(len(groups), SHARES, seed, groups=groups)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(len(groups)))
    sides = Counter(group for rows in split.values() for group in {groups[i] for i in rows})
    assert set(sides.values()) == {1}


def test_groups_are_stratified_by_their_first_label():
    groups = [i // 2 for i in range(400)]
    labels = [(i // 2) % 4 for i in range(400)]
    test = random_split(400, SHARES, 0, stratify=labels, groups=groups)["test"]
    assert Counter(labels[i] for i in test) == {0: 20, 1: 20, 2: 20, 3: 20}


def test_without_repeated_rows_groups_change_nothing():
    labels = [i % 3 for i in range(300)]
    plain = random_split(300, SHARES, 1, stratify=labels)
    grouped = random_split(300, SHARES, 1, stratify=labels, groups=[f"text {i}" for i in range(300)])
    assert all(np.array_equal(plain[name], grouped[name]) for name in plain)


def test_a_share_of_zero_gives_no_rows():
    split = random_split(100, (0.8, 0.0, 0.2), 0)
    assert [len(split[name]) for name in ("train", "valid", "test")] == [80, 0, 20]


def test_time_split_keeps_the_order():
    split = time_split(7588, SHARES)
    assert [len(split[name]) for name in split] == [5311, 760, 1517]
    assert np.concatenate(list(split.values())).tolist() == list(range(7588))


@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.2, 0.0)])
def test_shares_that_do_not_add_up_are_refused(fractions):
    with pytest.raises(ConfigError, match="add up to 1"):
        random_split(100, fractions, 0)
    with pytest.raises(ConfigError, match="add up to 1"):
        time_split(100, fractions)


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="cannot be split"):
        random_split(1, SHARES, 0)
    with pytest.raises(DataError, match="label 'b' has 1 example"):
        random_split(50, SHARES, 0, stratify=["a"] * 49 + ["b"])
    with pytest.raises(DataError, match="too few"):
        time_split(3, SHARES)
    with pytest.raises(DataError, match="2 labels for 3 rows"):
        random_split(3, SHARES, 0, stratify=["a", "b"])


def test_duplicates_after_normalisation():
    train = ["Profit rose  in the second quarter.", "Ｓales fell", ""]
    found = find_duplicates(train, ["sales FELL", "profit rose in the second quarter.", "nothing alike here"])
    assert (found.exact, found.near, found.indices.tolist()) == (2, 0, [0, 1])


def test_near_duplicates_of_long_texts():
    words = [f"word{i}" for i in range(60)]
    changed = [*words[:59], "other"]
    found = find_duplicates([" ".join(words)], [" ".join(changed), " ".join(words[30:])])
    assert (found.exact, found.near, found.indices.tolist()) == (0, 1, [0])


def test_near_duplicates_of_chinese_text():
    text = "公司公布第二季度净利润同比增长六成并上调全年销售预期至新的高位"
    assert find_duplicates([text], [text + "。"]).near == 1


def _shingles(text):
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(max(len(words) - 2, 1))} if words else set()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text("ab ", max_size=30), max_size=8),
    st.lists(st.text("ab ", max_size=30), max_size=8),
)
def test_near_duplicates_are_those_of_the_definition(train, test):
    def near(text):
        a = _shingles(text)
        return any(a and len(a & b) >= 0.8 * len(a | b) for b in map(_shingles, train))

    known = {" ".join(t.split()) for t in train}
    expected = [i for i, text in enumerate(test) if " ".join(text.split()) in known or near(text)]
    assert find_duplicates(train, test).indices.tolist() == expected


def test_fifty_thousand_rows_take_seconds():
    rng = random.Random(0)
    words = [f"w{i}" for i in range(3000)]
    texts = [" ".join(rng.choices(words, k=20)) for _ in range(50_000)]
    start = time.process_time()
    found = find_duplicates(texts[:40_000], [*texts[40_000:], *texts[:100]])
    assert found.exact == 100
    assert time.process_time() - start < 30
