from __future__ import annotations

import numpy as np

from crossover.tasks.text.linear import fit_linear_text, word_pairs

GOOD = [["profit", "rose", name] for name in "abcdefgh"]
BAD = [["profit", "fell", name] for name in "abcdefgh"]


def test_features_are_words_and_pairs_of_neighbours():
    assert word_pairs(["a", "b", "c"]) == ["a", "b", "c", "a b", "b c"]
    assert word_pairs([]) == []


def test_the_svm_learns_which_word_decides():
    fitted = fit_linear_text(GOOD + BAD, np.repeat([1, 0], 8), [GOOD[0], BAD[0]], np.array([1, 0]))
    assert fitted.predict([["sales", "rose"], ["sales", "fell"]]).tolist() == [1, 0]
    assert fitted.parameters == len(fitted.vectorizer.vocabulary_) + 1
    assert fitted.seconds > 0


def test_validation_chooses_among_penalties_and_weightings():
    # Train has x with 1 nineteen times, and once with 0 beside a word of its own: how much that one row counts is
    # what the candidates differ in.
    train = [["x"]] * 19 + [["x", "own"]]
    targets = np.array([1] * 19 + [0])
    for wanted in (0, 1):
        fitted = fit_linear_text(train, targets, [["x", "own"]], np.array([wanted]))
        assert fitted.predict([["x", "own"]]).tolist() == [wanted]


def test_ridge_predicts_values():
    texts = [["good"] * n + ["bad"] * (4 - n) for n in range(5)] * 4
    values = np.tile(np.arange(5.0), 4)
    fitted = fit_linear_text(texts, values, texts[:5], values[:5], regression=True)
    predicted = fitted.predict(texts[:5])
    assert np.all(np.diff(predicted) > 0)
    assert np.mean((predicted - values[:5]) ** 2) < 0.2
