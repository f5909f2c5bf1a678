from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossover.config import build, leaves, load_toml, override, parse_assignments, parse_scalar, to_mapping, to_toml
from crossover.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, kw_only=True)
class Outer:
    size: int = 1
    flag: bool = False
    inner: Inner = field(default_factory=Inner)
    extras: dict[str, dict[str, Any]] = field(default_factory=dict)


def test_a_settings_value_is_built_from_a_mapping() -> None:
    assert build(Outer, {"size": 3, "inner": {"rate": 2}}) == Outer(size=3, inner=Inner(rate=2.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"siez": 3}, "unknown setting 'model.siez': did you mean 'model.size'"),
        ({"size": "three"}, "model.size='three' is not admissible"),
        ({"size": 1.5}, r"model\.size=1\.5 is not admissible"),
        ({"inner": {"kind": "c"}}, r"model\.inner\.kind='c' is not admissible: input should be 'a' or 'b'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(Outer, values, path="model")


def test_dotted_overrides_reach_into_dataclasses_and_mappings() -> None:
    base = Outer(extras={"lstm": {"bias": 1.0}})
    changed = override(base, {"size": 4, "inner.rate": 0.5, "extras.lstm.bias": 2.0, "extras.gru.bias": 3.0})
    assert changed == Outer(size=4, inner=Inner(rate=0.5), extras={"lstm": {"bias": 2.0}, "gru": {"bias": 3.0}})
    assert base == Outer(extras={"lstm": {"bias": 1.0}}), "the original is left as it was"


@pytest.mark.parametrize("key", ["inner.rat", "size.of", "nothing", "nothing.at.all"])
def test_an_override_of_what_is_not_there_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="unknown setting"):
        override(Outer(), {key: 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("true", True), ('"3"', "3"), ("plain", "plain"), ("[1, 2]", [1, 2]), ("", "")],
)
def test_scalars_are_read_as_toml_or_as_they_stand(text: str, value: Any) -> None:
    found = parse_scalar(text)
    assert found == value and type(found) is type(value)


def test_assignments() -> None:
    assert parse_assignments(["a=1", " b.c = x ", "d=e=f"]) == {"a": 1, "b.c": "x", "d": "e=f"}
    for item in ("a", "=1", " = 1"):
        with pytest.raises(ConfigError, match="write KEY=VALUE"):
            parse_assignments([item])


def test_a_settings_file_is_read_or_told_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[train]\nclip = 0.5\n", encoding="utf-8")
    assert load_toml(path) == {"train": {"clip": 0.5}}
    path.write_text("[train\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.toml cannot be read: .*line 1"):
        load_toml(path)
    path.write_bytes(b"\xff\xfe\x00")
    for broken in (path, tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_toml(broken)
    with pytest.raises(ConfigError, match="does not exist"):
        load_toml(tmp_path / "none.toml")


KEYS = st.text(min_size=1, max_size=8)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.lists(st.integers(-9, 9), max_size=3),
)
VALUES = st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS, max_size=3), max_size=5)


@given(VALUES)
def test_written_toml_is_read_back_as_the_same(values: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(values)) == values


def test_none_is_left_out_and_tables_come_after_the_values() -> None:
    text = to_toml({"table": {"b": 2, "c": None, "deep": {"d": (1, 2)}}, "a": 'quote " and \\ and \n'})
    assert tomllib.loads(text) == {"a": 'quote " and \\ and \n', "table": {"b": 2, "deep": {"d": [1, 2]}}}
    assert text.index("a =") < text.index("[table]")


def test_a_settings_value_as_a_mapping() -> None:
    assert to_mapping(Outer()) == {"size": 1, "flag": False, "inner": {"rate": 0.1, "kind": "a"}, "extras": {}}


def test_leaves_have_the_names_above_them() -> None:
    nested = {"a": 1, "b": {"c": [2], "d": {"e": None}}, "f": {}}
    assert dict(leaves(nested)) == {"a": 1, "b.c": [2], "b.d.e": None}
    assert dict(leaves(nested, joint="_")) == {"a": 1, "b_c": [2], "b_d_e": None}
