"""What a check reports: passed or not, and one sentence that says what was compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from crossover.errors import CrossoverError

Subject = TypeVar("Subject")


class CheckFailedError(CrossoverError):
    """A property that the subject of a check does not have; the message says what was found."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one named check."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A named property: `run` returns a sentence on what held, or raises CheckFailedError."""

    name: str
    run: Callable[[Subject], str]


def run_check(check: Check[Subject], subject: Subject, *, label: str = "") -> CheckResult:
    """Run one check; whatever it raises is a failure, told with the exception's type unless it is our own."""
    name = f"{check.name} ({label})" if label else check.name
    try:
        return CheckResult(name, True, check.run(subject))
    except CheckFailedError as error:
        return CheckResult(name, False, str(error))
    except Exception as error:  # a user's code may raise anything, and that is what is reported
        return CheckResult(name, False, f"it raised {type(error).__name__}: {error}")


def require(condition: bool, sentence: str) -> None:
    """Raise CheckFailedError with `sentence` unless `condition` holds."""
    if not condition:
        raise CheckFailedError(sentence)


def distance(found: Tensor, expected: Tensor, scale: float | None = None) -> float:
    """The norm of the difference over `scale` (default: the norm of `expected`, 1 where that is zero)."""
    if found.numel() == 0:
        return 0.0
    found, expected = found.detach().double(), expected.detach().double()
    whole = float(expected.norm()) if scale is None else scale
    return float((found - expected).norm()) / (whole or 1.0)


def require_close(what: str, found: Tensor, expected: Tensor, tolerance: float, scale: float | None = None) -> float:
    """Require equal shapes and a relative `distance` within `tolerance` (NaN is not); returns the distance."""
    require(
        found.shape == expected.shape, f"{what} has shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
    )
    difference = distance(found, expected, scale)
    require(difference <= tolerance, f"{what} differs by {difference:.2g}, where {tolerance:.0e} is admissible")
    return difference


def worst(differences: Iterable[float]) -> float:
    """The largest difference, 0 where there is none."""
    return max(differences, default=0.0)
