"""Settings: frozen dataclasses from mappings, TOML and dotted overrides, with errors that name the path."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from crossover.errors import ConfigError, unknown

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], *, path: str = "") -> T:
    """An instance of the dataclass `cls` from `values`; unknown keys and wrong types are ConfigErrors.

    `path` is where the values stand (``model.attention``) and is named in messages.
    """
    from pydantic import ValidationError

    admissible = [field.name for field in fields(cls) if field.init]  # type: ignore[arg-type]
    for key in values:
        if key not in admissible:
            raise ConfigError(unknown("setting", f"{path}.{key}".strip("."), _prefixed(admissible, path)))
    try:
        return cast(T, _adapter(cast(Any, cls)).validate_python(dict(values)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([path, *(str(part) for part in first["loc"])]).strip(".")
        raise ConfigError(f"{where}={first['input']!r} is not admissible: {_lower(first['msg'])}") from None


def override(settings: T, changes: Mapping[str, Any], *, path: str = "") -> T:
    """A copy of the dataclass `settings` with `changes` applied; keys may be dotted (``mixer.attention.heads``)."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}  # type: ignore[arg-type]
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if not rest:
            values[head] = value
        elif is_dataclass(values.get(head)):
            values[head] = override(values[head], {rest: value}, path=f"{path}.{head}".strip("."))
        elif isinstance(values.get(head), Mapping):
            values[head] = _set_in(values[head], rest.split("."), value)
        else:
            raise ConfigError(unknown("setting", f"{path}.{key}".strip("."), _prefixed(list(values), path)))
    return build(type(settings), values, path=path)


def parse_scalar(text: str) -> Any:
    """A TOML scalar (``3``, ``1e-3``, ``true``), or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def parse_assignments(items: list[str], *, what: str = "--set") -> dict[str, Any]:
    """``["a=1", "b.c=x"]`` as a mapping; an item without ``=`` is a ConfigError."""
    result = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{what} {item!r} is not an assignment: write KEY=VALUE")
        result[key.strip()] = parse_scalar(value.strip())
    return result


def load_toml(path: Path) -> dict[str, Any]:
    """The mapping in a TOML file; a missing or malformed file is a ConfigError that says where."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"settings file {path} does not exist: give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"settings file {path} cannot be read: {error}") from None


def to_toml(values: Mapping[str, Any]) -> str:
    """A mapping of scalars, lists and mappings as TOML; None values are left out, since TOML has no null."""
    lines: list[str] = []
    _write_table(values, (), lines)
    return "\n".join(lines) + "\n"


def to_mapping(settings: Any) -> dict[str, Any]:
    """A dataclass as a plain mapping."""
    return asdict(settings)


def leaves(values: Mapping[str, Any], *, joint: str = ".", path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, by its names from the outside in, joined by `joint`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, joint=joint, path=f"{path}{name}{joint}")
        else:
            yield f"{path}{name}", value


@cache
def _adapter(cls: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _set_in(mapping: Mapping[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
    rest = value if len(keys) == 1 else _set_in(mapping.get(keys[0], {}), keys[1:], value)
    return {**mapping, keys[0]: rest}


def _prefixed(names: list[str], path: str) -> list[str]:
    return [f"{path}.{name}".strip(".") for name in names]


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _write_table(values: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    for key, value in values.items():
        if key not in tables and value is not None:
            lines.append(f"{_key(key)} = {_literal(value)}")
    for key, value in tables.items():
        here = (*path, key)
        lines += ["", "[" + ".".join(_key(part) for part in here) + "]"]
        _write_table(value, here, lines)


def _key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else _literal(key)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
