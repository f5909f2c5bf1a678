from __future__ import annotations

import pytest

from crossover.errors import ConfigError
from crossover.train.budget import Budget, Spent


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("60s", "seconds", 60),
        ("5m", "seconds", 300),
        ("1.5h", "seconds", 5400),
        ("90 seconds", "seconds", 90),
        ("500steps", "steps", 500),
        ("1step", "steps", 1),
        ("2ksteps", "steps", 2000),
        ("2Mtokens", "tokens", 2e6),
        ("3epochs", "epochs", 3),
        ("0.5epochs", "epochs", 0.5),
        ("1e15flops", "flops", 1e15),
        ("1e15FLOPs", "flops", 1e15),
        ("2Pflops", "flops", 2e15),
    ],
)
def test_a_number_and_a_unit_are_read(text: str, kind: str, amount: float) -> None:
    assert Budget.parse(text) == Budget(kind, amount)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0s", "-5steps", "0tokens", "1e999flops", "-0epochs"])
def test_nothing_to_spend_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not above zero"):
        Budget.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("60", "no unit"),
        ("60parsecs", "unknown unit 'parsecs'"),
        ("60Msteps2", "no number with a unit"),
        ("", "no number with a unit"),
        ("steps", "no number with a unit"),
        ("nans", "no number with a unit"),
        ("0.5steps", "less than one of its steps"),
    ],
)
def test_what_is_no_budget_is_refused_with_examples(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"{reason}.*60s"):
        Budget.parse(text)


def test_what_is_printed_can_be_read_again() -> None:
    for text in ("60s", "500steps", "2000000tokens", "0.5epochs", "1e+15flops"):
        assert str(Budget.parse(text)) == text
        assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


def test_the_fraction_runs_from_zero_to_one_and_no_further() -> None:
    budget = Budget("tokens", 100)
    assert [budget.fraction(Spent(tokens=n)) for n in (0, 25, 100, 130)] == [0, 0.25, 1, 1]
    assert Budget("seconds", 60).fraction(Spent(seconds=15, steps=1000)) == 0.25
