from __future__ import annotations

import doctest
import unicodedata

import pytest

from crossover.data import units
from crossover.data.units import cut_sentences, cut_units


def test_the_examples_of_the_docstrings_hold():
    assert doctest.testmod(units).attempted >= 2
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    "text",
    [
        "Zoë’s café, 3.5 km: 小明去了厨房。",
        "it's 1,234.5 – well-known (Q2)!",
        "한국어 and עברית",
        "  \t ",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_every_unit_is_cut_from_the_original_text(text: str, form: str):
    original = unicodedata.normalize(form, text)
    found = cut_units(original)
    assert all(unicodedata.normalize("NFC", original[unit.begin : unit.end]) == unit.text for unit in found)
    assert [unit.text for unit in found] == [unit.text for unit in cut_units(unicodedata.normalize("NFC", text))]
    covered = {place for unit in found for place in range(unit.begin, unit.end)}
    assert all(place in covered for place, character in enumerate(original) if not character.isspace())


def test_a_point_within_a_number_or_a_name_ends_no_sentence():
    assert cut_sentences("It is 3.5 at example.org today. Is it?\nYes") == [
        "It is 3.5 at example.org today.",
        "Is it?",
        "Yes",
    ]
