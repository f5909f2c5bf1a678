"""Typed errors. Each message is one sentence: what was given, what is admissible, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CrossoverError(Exception):
    """Base of every error that Crossover raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(CrossoverError):
    """A request that cannot be carried out: an unknown name, key or value."""

    exit_code = 2


class DataError(CrossoverError):
    """A data file or data set that cannot be used as it is."""

    exit_code = 2


class LayoutError(CrossoverError):
    """A parallel layout that the model, the task or the machine does not admit."""

    exit_code = 2


class MeasurementError(CrossoverError):
    """A measurement that could not be taken, or that contradicts itself."""


class TrainingError(CrossoverError):
    """A run that cannot go on, such as one whose loss is no longer finite."""


class CheckpointError(CrossoverError):
    """A checkpoint, run or study folder that cannot be read, written or continued."""


class FolderError(CheckpointError):
    """A folder that is not what the request takes it for: it holds another study, no run, or is a file."""

    exit_code = 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed; on a CPU torch says so only in words."""
    words = str(error).lower()
    said = isinstance(error, RuntimeError) and ("out of memory" in words or "allocate memory" in words)
    return said or isinstance(error, MemoryError)


def listing(names: Iterable[object]) -> str:
    """Join names for a message: ``a, b or c``."""
    items = [str(name) for name in names]
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" or {items[-1]}" if items else "nothing"


_FEW = 3
"""As many names that begin with what was given are all named."""


def unknown(kind: str, given: str, admissible: Iterable[str]) -> str:
    """The sentence for an unknown name: with the nearest admissible one, or with all of them."""
    options = sorted(admissible)
    begun = [option for option in options if given and option.lower().startswith(given.lower())]
    if 0 < len(begun) <= _FEW:
        return f"unknown {kind} {given!r}: did you mean {listing(map(repr, begun))}?"
    close = get_close_matches(given.lower(), [o.lower() for o in options], n=1, cutoff=0.6)
    if close:
        nearest = next(o for o in options if o.lower() == close[0])
        return f"unknown {kind} {given!r}: did you mean {nearest!r}?"
    return f"unknown {kind} {given!r}: use one of {listing(options)}"
