"""Evidence: what an experiment measured, as curves that any verdict rule can read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from crossover.config import build
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Interval
from crossover.study.audit.words import Said, _
from crossover.study.store import Store

Label = str | float | int | bool
UNTRAINED = _("the level quick does not train for this claim, --level full does")
"""Why nothing is measured where an experiment's settings name nothing to train on."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measured quantity of one model against one variable.

    `x` holds numbers, strictly increasing, or the names of cases; `y` has an interval for each, of width 0 where the
    figure is counted. `labels` say under which condition it was taken (``{"pass": "train"}``). `samples`, where there
    are several seeds, holds their values [x][seed], in the same order for every curve of an experiment.
    """

    name: str
    measure: str
    x: tuple[Any, ...]
    y: tuple[Interval, ...]
    labels: Mapping[str, Label] = field(default_factory=dict)
    samples: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def counted(cls, name: str, measure: str, x: Sequence[float], values: Sequence[float], **labels: Label) -> Curve:
        """A curve of figures that are known exactly."""
        exact = tuple(Interval(float(v), float(v), float(v)) for v in values)
        return cls(name=name, measure=measure, x=tuple(x), y=exact, labels=labels)

    @property
    def values(self) -> tuple[float, ...]:
        """The middle of each interval."""
        return tuple(interval.value for interval in self.y)

    @property
    def title(self) -> str:
        """The name with its condition, as a legend shows it: ``elman, gain 0.5, untrained``; flags are left out."""
        told = [
            f"{key} {value:g}" if isinstance(value, int | float) else str(value)
            for key, value in self.labels.items()
            if not isinstance(value, bool)
        ]
        return ", ".join([self.name, *told])

    def at(self, x: float) -> int | None:
        """The index of `x`, or None."""
        return self.x.index(x) if x in self.x else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "x": list(self.x), "samples": [list(row) for row in self.samples]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Curve:
        """What `to_json` wrote."""
        return cls(
            name=value["name"],
            measure=value["measure"],
            x=tuple(value["x"]),
            y=tuple(Interval.from_json(interval) for interval in value["y"]),
            labels=value["labels"],
            samples=tuple(tuple(row) for row in value["samples"]),
        )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The curves of one experiment, its scope (sizes, budget, device), how it was done, and whether the machine was
    steady (None where no time was measured). `missing` says what could not be measured, `foretold` what was predicted
    instead, and decides nothing."""

    curves: tuple[Curve, ...]
    scope: Said
    how: tuple[Said, ...]
    steady: bool | None = None
    missing: tuple[Said, ...] = ()
    foretold: tuple[Said, ...] = ()

    @classmethod
    def unmeasured(cls, reason: Said) -> Evidence:
        """No curve, and why."""
        return cls(curves=(), scope="", how=(), missing=(reason,))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "curves": [curve.to_json() for curve in self.curves],
            "scope": self.scope,
            "how": list(self.how),
            "steady": self.steady,
            "missing": list(self.missing),
            "foretold": list(self.foretold),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Evidence:
        """What `to_json` wrote."""
        return cls(
            curves=tuple(Curve.from_json(curve) for curve in value["curves"]),
            scope=value["scope"],
            how=tuple(value["how"]),
            steady=value["steady"],
            missing=tuple(value["missing"]),
            foretold=tuple(value.get("foretold", ())),
        )


@dataclass(frozen=True)
class Bench:
    """What an experiment works with: the study's numerics and folder, and where it tells how far it is."""

    numerics: Numerics
    store: Store
    tell: Callable[[str], None]

    @property
    def device(self) -> str:
        """The device and the precision, as a scope names them."""
        return f"{self.numerics.device}, {self.numerics.precision}"


class Stages:
    """Tells how far an experiment of `total` parts is, and how long the rest takes at the pace of those behind it."""

    def __init__(self, bench: Bench, experiment: str, total: int) -> None:
        self._tell, self._experiment, self._total = bench.tell, experiment, total
        self._begun, self._started = 0, time.monotonic()

    def begin(self, part: str) -> None:
        """The next part begins."""
        said = f"{self._experiment} {self._begun + 1} of {self._total}: {part}"
        if self._begun:
            minutes = (time.monotonic() - self._started) / self._begun * (self._total - self._begun) / 60
            said += f" (about {minutes:.1f} minutes left)"
        self._begun += 1
        self._tell(said)

    def skip(self, parts: int) -> None:
        """So many parts are not needed after all."""
        self._total -= parts


@dataclass(frozen=True, kw_only=True)
class Axes:
    """How a measure is drawn: the titles of its axes, and which are logarithmic."""

    x: Said
    y: Said
    log_x: bool = True
    log_y: bool = True


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A measurement with its settings: a dataclass whose defaults are the quick level's, and what `full` changes.

    The dataclass has `models`, the names that are measured. `measures` are those of the curves that it gives.
    """

    settings: type[Any]
    run: Callable[[Any, Bench], Evidence]
    measures: Mapping[str, Axes]
    full: Mapping[str, Any]

    def settings_at(self, level: str, changes: Mapping[str, Any], *, path: str) -> Any:
        """The settings of a level with `changes` on top; an unknown key or wrong value is a ConfigError."""
        return build(self.settings, {**(self.full if level == "full" else {}), **changes}, path=path)
