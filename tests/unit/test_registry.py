from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from crossover import registry as module
from crossover.errors import ConfigError
from crossover.registry import Registry


def test_names_are_kept_in_order_and_aliases_stand_for_them() -> None:
    numbers: Registry[int] = Registry("number")
    numbers.add("two", 2, "a pair", aliases=("pair", "couple"))
    numbers.add("one", 1)
    assert numbers.names() == ["two", "one"]
    assert numbers.get("two") == numbers.get("pair") == numbers.get("couple") == 2
    assert "pair" in numbers and "three" not in numbers
    assert [(entry.name, entry.summary, entry.target) for entry in numbers] == [("two", "a pair", 2), ("one", "", 1)]


def test_the_decorator_registers_what_it_decorates() -> None:
    makers: Registry[object] = Registry("maker")

    @makers.register("zero", "nothing", aliases=("none",))
    def zero() -> int:
        return 0

    assert makers.get("none") is zero and makers.entry("zero").summary == "nothing"


def test_a_name_that_is_taken_is_refused() -> None:
    numbers: Registry[int] = Registry("number")
    numbers.add("two", 2, aliases=("pair",))
    for name, aliases in (("two", ()), ("pair", ()), ("couple", ("two",)), ("couple", ("pair",))):
        with pytest.raises(ConfigError, match="is registered already"):
            numbers.add(name, 3, aliases=aliases)
    assert numbers.names() == ["two"]


def test_an_unknown_name_is_answered_with_the_nearest_alias_too() -> None:
    numbers: Registry[int] = Registry("number")
    numbers.add("two", 2, aliases=("couple",))
    with pytest.raises(ConfigError, match="unknown number 'coupel': did you mean 'couple'"):
        numbers.get("coupel")


def test_a_target_in_words_is_imported_when_it_is_first_asked_for() -> None:
    shapes: Registry[object] = Registry("shape")
    shapes.add("text", "fractions:Fraction", "a ratio")
    assert shapes.entry("text").target == "fractions:Fraction"
    from fractions import Fraction

    assert shapes.get("text") is Fraction
    assert shapes.entry("text").target is Fraction and shapes.entry("text").summary == "a ratio"


def test_other_distributions_add_to_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[EntryPoint]:
        assert group == "crossover.numbers"
        return [EntryPoint("pi", "math:pi", group), EntryPoint("two", "math:tau", group)]

    monkeypatch.setattr(module, "entry_points", points)
    numbers: Registry[float] = Registry("number", group="crossover.numbers")
    numbers.add("two", 2.0)
    assert numbers.names() == ["two", "pi"]
    assert numbers.get("pi") == pytest.approx(3.14159, abs=1e-5)
    assert numbers.get("two") == 2.0, "a name of our own is not taken over"
