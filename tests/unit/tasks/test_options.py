from __future__ import annotations

import pytest

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.tasks.options import Choice, Whole, read_settings, refuse_unread

KNOWN = {"as": Choice(("rows", "patches"), "rows"), "patch": Whole(24), "share": Whole(0, 0, 50)}


def test_settings_take_their_defaults_and_digits_as_numbers():
    assert read_settings("t", {}, KNOWN) == {"as": "rows", "patch": 24, "share": 0}
    given = {"as": "patches", "patch": "12", "share": 50}
    assert read_settings("t", given, KNOWN) == {"as": "patches", "patch": 12, "share": 50}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pach": 3}, "did you mean 'patch'"),
        ({"as": "row"}, "did you mean 'rows'"),
        ({"patch": 0}, "patch=0 is not a whole number from 1 up"),
        ({"share": 51}, "share=51 is not a whole number from 0 to 50"),
        ({"patch": 2.5}, "patch=2.5 is not a whole number"),
        ({"patch": "many"}, "patch=many is not a whole number"),
    ],
)
def test_unknown_keys_and_values_are_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_settings("t", given, KNOWN)


def test_a_task_without_settings_says_so():
    with pytest.raises(ConfigError, match="it has no settings"):
        read_settings("t", {"patch": 1}, {})


def test_options_that_are_not_read_are_named():
    refuse_unread("t", DataOptions(window=3), reads=("window",))
    with pytest.raises(ConfigError, match=r"does not read --text or --fill-gaps: it takes --window"):
        refuse_unread("t", DataOptions(window=3, text="a", fill_gaps=True), reads=("window",))
