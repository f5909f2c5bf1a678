from __future__ import annotations

import math

import numpy as np
import pytest

from crossover.tasks.language.ngrams import KneserNey

A, B, C, D = range(4)
TEXT = np.array([A, B, A, C, A, B])


def probability(context: list[int], token: int, *, train: np.ndarray, vocabulary: int, order: int) -> float:
    model = KneserNey(train, np.array([*context, token]), vocabulary=vocabulary, order=order)
    return math.exp(model.log_probabilities()[-1])


def test_bigrams_of_a_tiny_text_by_hand() -> None:
    """Of ABACAB: n1 = 3, n2 = 1, so D2 = 3/5; left neighbours A 2, B 1, C 1, so D1 = 2/4 and 3 kinds of 4."""
    unigram = {A: 1.5 / 4, B: 0.5 / 4, C: 0.5 / 4, D: 0.0}
    unigram = {token: direct + 0.5 * 3 / 4 / 4 for token, direct in unigram.items()}
    assert sum(unigram.values()) == pytest.approx(1)
    after_a = {A: 0.0, B: (2 - 0.6) / 3, C: (1 - 0.6) / 3, D: 0.0}
    for token, direct in after_a.items():
        expected = direct + 0.6 * 2 / 3 * unigram[token]
        found = probability([A], token, train=TEXT, vocabulary=4, order=2)
        assert found == pytest.approx(expected, rel=1e-12)


def test_unigrams_of_a_tiny_text_by_hand() -> None:
    """Counts 3, 2, 1 of 6: one kind stands once and one twice, so D = 1/3 and 3 kinds share it."""
    expected = [count / 6 + 3 / 3 / 6 / 4 for count in (3 - 1 / 3, 2 - 1 / 3, 1 - 1 / 3, 0)]
    found = [probability([], token, train=TEXT, vocabulary=4, order=1) for token in range(4)]
    assert found == pytest.approx(expected, rel=1e-12)


CONTEXTS = [[], [0], [1, 2], [3, 3, 3], [0, 1, 2, 3], [7, 7, 7, 7], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_probabilities_of_the_next_token_sum_to_one(context: list[int], order: int) -> None:
    train = np.random.default_rng(0).integers(6, size=300)
    whole = sum(probability(context, token, train=train, vocabulary=8, order=order) for token in range(8))
    assert whole == pytest.approx(1, abs=1e-9)


def test_a_token_never_seen_is_possible_and_unlikely() -> None:
    train = np.random.default_rng(0).integers(6, size=300)
    unseen = probability([0, 1], 7, train=train, vocabulary=8, order=5)
    assert 0 < unseen < 0.02


def test_a_regular_text_is_learned_to_the_end() -> None:
    pattern = np.tile([0, 1, 2, 3, 2], 60)
    scored = KneserNey(pattern, np.tile([0, 1, 2, 3, 2], 4), vocabulary=5, order=3).log_probabilities()
    assert -scored.mean() < 0.05
    assert -KneserNey(pattern, pattern[:20], vocabulary=5, order=1).log_probabilities().mean() > 1.0


def test_the_scored_text_is_not_counted() -> None:
    train = np.random.default_rng(0).integers(4, size=200)
    tail = np.random.default_rng(1).integers(4, size=50)
    alone = KneserNey(train, tail[:10], vocabulary=4, order=4)
    longer = KneserNey(train, tail, vocabulary=4, order=4)
    np.testing.assert_allclose(alone.log_probabilities(), longer.log_probabilities()[:10])
    assert alone.parameters == longer.parameters


def test_the_past_reaches_into_train() -> None:
    train = np.tile([0, 1, 2], 40)
    after = KneserNey(train, np.array([0]), vocabulary=3, order=2).log_probabilities()
    broken = KneserNey(train[:-1], np.array([0]), vocabulary=3, order=2).log_probabilities()
    assert after[0] > math.log(0.9) and broken[0] < math.log(0.1)
