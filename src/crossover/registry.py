"""One registry for everything that has a name: mixers, presets, tasks, verdict rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from crossover.errors import ConfigError, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered name: what it stands for, in one line, and the object or where to import it from."""

    name: str
    summary: str
    target: T | str


class Registry(Generic[T]):
    """Names to objects. A target given as ``"module:attribute"`` is imported when it is first asked for.

    `group` is an entry-point group whose entries other distributions add; `kind` is the word used in messages.
    """

    def __init__(self, kind: str, *, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, Entry[T]] = {}
        self._aliases: dict[str, str] = {}
        self._discovered = group is None

    def add(self, name: str, target: T | str, summary: str = "", *, aliases: tuple[str, ...] = ()) -> None:
        """Register `target` under `name`; a name that is taken is a ConfigError."""
        for taken in (name, *aliases):
            if taken in self._entries or taken in self._aliases:
                raise ConfigError(f"{self.kind} {taken!r} is registered already: choose another name")
        self._entries[name] = Entry(name, summary, target)
        self._aliases.update(dict.fromkeys(aliases, name))

    def register(self, name: str, summary: str = "", *, aliases: tuple[str, ...] = ()) -> Callable[[T], T]:
        """Decorator form of `add`."""

        def decorate(target: T) -> T:
            self.add(name, target, summary, aliases=aliases)
            return target

        return decorate

    def get(self, name: str) -> T:
        """The object behind `name` or one of its aliases; an unknown name is a ConfigError (did you mean …)."""
        entry = self.entry(name)
        if isinstance(entry.target, str):
            module, _, attribute = entry.target.partition(":")
            resolved: T = getattr(import_module(module), attribute)
            entry = Entry(entry.name, entry.summary, resolved)
            self._entries[entry.name] = entry
        return entry.target  # type: ignore[return-value]

    def entry(self, name: str) -> Entry[T]:
        """The entry behind `name`, without importing its target."""
        self._discover()
        key = self._aliases.get(name, name)
        if key not in self._entries:
            raise ConfigError(unknown(self.kind, name, [*self._entries, *self._aliases]))
        return self._entries[key]

    def names(self) -> list[str]:
        """Registered names, in the order of registration, without aliases."""
        self._discover()
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        self._discover()
        return name in self._entries or name in self._aliases

    def __iter__(self) -> Iterator[Entry[T]]:
        self._discover()
        return iter(list(self._entries.values()))

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for point in entry_points(group=self.group or ""):
            if point.name not in self._entries:
                self.add(point.name, point.value, f"from {point.dist.name if point.dist else point.module}")
