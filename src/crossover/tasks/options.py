"""Reading a user's options for a task: what the task does not know is refused, in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, listing, unknown


@dataclass(frozen=True)
class Choice:
    """A task setting that is one of some words."""

    admissible: tuple[str, ...]
    default: str

    def read(self, task: str, key: str, value: Any) -> str:
        """The word (a truth value is one of the words true and false); anything else is a ConfigError."""
        word = str(value).lower() if isinstance(value, bool) else str(value)
        if word not in self.admissible:
            raise ConfigError(f"task {task!r}: " + unknown(f"value of setting {key!r}", word, self.admissible))
        return word


@dataclass(frozen=True)
class Flag:
    """A task setting that is true or false."""

    default: bool = False

    def read(self, task: str, key: str, value: Any) -> bool:
        """The truth value, given as one or as a word; anything else is a ConfigError."""
        word = str(value).lower()
        if word not in ("true", "false"):
            raise ConfigError(f"task {task!r}: setting {key}={value} is neither true nor false: give one of them")
        return word == "true"


@dataclass(frozen=True)
class Whole:
    """A task setting that is a whole number, given as a number or as its digits."""

    default: int
    minimum: int = 1
    maximum: int | None = None

    def read(self, task: str, key: str, value: Any) -> int:
        """The number; anything else is a ConfigError."""
        try:
            number = int(str(value))
        except ValueError:
            number = self.minimum - 1
        if number < self.minimum or (self.maximum is not None and number > self.maximum):
            bound = "up" if self.maximum is None else f"to {self.maximum}"
            raise ConfigError(
                f"task {task!r}: setting {key}={value} is not a whole number from {self.minimum} {bound}: give one"
            )
        return number


Setting = Choice | Flag | Whole


def read_settings(task: str, given: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """The task's settings with their defaults; an unknown key or value is a ConfigError (did you mean …)."""
    for key in given:
        if key not in known:
            reason = unknown("setting", key, known) if known else f"setting {key!r} is not known: it has no settings"
            raise ConfigError(f"task {task!r}: {reason}")
    return {
        key: setting.read(task, key, given[key]) if key in given else setting.default
        for key, setting in known.items()
    }


def refuse_unread(task: str, options: DataOptions, *, reads: Collection[str]) -> None:
    """Refuse the options that were set but that the task does not read (a ConfigError naming them).

    `settings` is left to `read_settings`.
    """
    if options.borrowed is not None and "borrowed" not in reads:
        raise ConfigError(
            f"no model can start from {options.borrowed.owner} on task {task!r}, which does not read by the "
            "vocabulary of a trained model: name the model without --from, from=RUN or KIND:PATH"
        )
    flags = [
        _flag(field.name)
        for field in fields(options)
        if field.name not in (*reads, "settings") and getattr(options, field.name) != field.default
    ]
    if flags:
        admissible = listing(_flag(name) for name in sorted(reads))
        raise ConfigError(f"task {task!r} does not read {listing(flags)}: it takes {admissible}, leave the rest out")


def _flag(option: str) -> str:
    return "--from" if option == "borrowed" else f"--{option.replace('_', '-')}"
