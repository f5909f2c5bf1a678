from __future__ import annotations

import numpy as np
import pytest

from crossover.tasks.speech.word_errors import error_rates, error_statistics, marked

SAID = ["one two three", "four", "five six"]
HEARD = ["one too three three", "", "five six"]


def _sums(said: list[str], heard: list[str]) -> dict[str, np.ndarray]:
    return {name: values.sum(0) for name, values in error_statistics(said, heard).items()}


def test_errors_are_those_of_the_shortest_edit() -> None:
    items = error_statistics(SAID, HEARD)
    assert items["word_errors"].tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert items["exact"].tolist() == [0, 0, 1]
    assert items["character_errors"].tolist() == [7, 4, 0]


def test_rates_are_for_each_word_and_character_said() -> None:
    rates = error_rates(_sums(SAID, HEARD))
    assert rates["wer"] == pytest.approx(3 / 6)
    assert rates["cer"] == pytest.approx(11 / 25)
    assert [rates[kind] for kind in ("substitutions", "deletions", "insertions")] == pytest.approx([1 / 6] * 3)
    assert rates["exact_match"] == pytest.approx(1 / 3)


def test_much_that_is_added_exceeds_one() -> None:
    assert error_rates(_sums(["one"], ["one one one one"]))["wer"] == 3


def test_no_texts_have_statistics_of_the_same_shape() -> None:
    none, some = error_statistics([], []), error_statistics(SAID, HEARD)
    assert {name: values.shape[1:] for name, values in none.items()} == {
        name: values.shape[1:] for name, values in some.items()
    }


def test_errors_are_marked_where_they_are() -> None:
    assert marked("one two three four", "one too three four") == "one [two→too] three four"
    assert marked("one two three", "two three four") == "[-one-] two three [+four+]"
    assert marked("one", "one") == "one"
    assert marked("one", "") == "[-one-]"
