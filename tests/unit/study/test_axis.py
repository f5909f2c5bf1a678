from __future__ import annotations

import pytest

from crossover.errors import ConfigError
from crossover.study.axis import parse_axis


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("length=64..512", ("length", (64, 128, 256, 512))),
        ("length=64..500", ("length", (64, 128, 256, 500))),
        ("width=128,64,256", ("width", (64, 128, 256))),
        ("depth = 1..3", ("depth", (1, 2, 3))),
    ],
)
def test_an_axis_is_a_range_that_doubles_or_a_list(text, expected):
    assert parse_axis(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenght=64..512", "did you mean 'length'"),
        ("length", "no whole numbers"),
        ("length=a..b", "no whole numbers"),
        ("length=64", "does not give two positive values"),
        ("length=0..64", "does not give two positive values"),
        ("batch=512..64", "does not give two positive values"),
        ("batch=1..2..3", "no whole numbers"),
    ],
)
def test_a_malformed_axis_is_refused_with_an_example(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_axis(text)
