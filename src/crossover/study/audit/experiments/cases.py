"""The cases that an experiment on quality trains on, alone or in series: by share of train, by buckets of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isinf
from typing import Any

from crossover.config import build
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, unknown
from crossover.parallel.layout import SINGLE, Layout
from crossover.study.audit.evidence import Bench
from crossover.study.request import CompareRequest
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task under one condition: `data` are fields of `DataOptions`, its ``settings`` among them.

    `budget` None is the task's own, `train` are further fields of `TrainSettings`, and `model_changes` dotted model
    settings that all models get here; `layout` is what it is trained under; `resplit` draws a new split for every
    seed. `shares` of train make a series of cases, each trained apart. `edges` make a series of buckets of the test
    rows, scored apart: by the statistic `by` of a row (the ``words`` of a source), above one edge and at most at the
    next.
    """

    name: str
    task: str
    data: Mapping[str, Any] = field(default_factory=dict)
    budget: str | None = None
    model_changes: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    layout: str = SINGLE
    resplit: bool = False
    shares: tuple[float, ...] = ()
    by: str = ""
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.by) != bool(self.edges) or (self.shares and self.edges):
            raise ConfigError(f"case {self.name!r}: give shares, or both by and edges, or none of them")
        for what, given in (("shares", self.shares), ("edges", self.edges)):
            if list(given) != sorted(set(given)):
                raise ConfigError(f"case {self.name!r}: {what}={list(given)}: give them in increasing order")

    def trained(self) -> tuple[Case, ...]:
        """The cases that are trained: itself, or one for each share."""
        if not self.shares:
            return (self,)
        return tuple(
            replace(
                self, name=of_series(self.name, _percent(share)), data={**self.data, "train_share": share}, shares=()
            )
            for share in self.shares
        )

    def options(self) -> DataOptions:
        """Its data options, checked."""
        options: DataOptions = build(DataOptions, self.data, path=f"{self.name}.data")
        return options

    def train_settings(self) -> TrainSettings:
        """How it is trained, checked."""
        settings: TrainSettings = build(TrainSettings, self.train, path=f"{self.name}.train")
        return replace(settings, budget=self.budget)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much better the scores are in one case than `over` another, on the same test rows."""

    name: str
    case: str
    over: str


@dataclass(frozen=True, kw_only=True)
class Course:
    """Cases along which a number grows (a horizon, a lag): `at` is what it is in each of `cases`."""

    name: str
    cases: tuple[str, ...]
    at: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.cases) != len(self.at) or len(self.at) < 3 or list(self.at) != sorted(set(self.at)):
            raise ConfigError(
                f"course {self.name!r} has {len(self.cases)} cases at {list(self.at)}: give three or more, each with "
                "a number, in increasing order"
            )


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """Every model on every case, `seeds` times, with the parameters of the first model.

    `gains` of one case over another are taken for each model and compared between models; along each of `courses`
    the scores of every seed are kept, so that their growth can be fitted. `model_changes` are dotted model settings
    that all get. No case at all says that this level does not measure it.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    cases: tuple[Case, ...] = ()
    gains: tuple[Gain, ...] = ()
    courses: tuple[Course, ...] = ()
    seeds: int = 3
    trials: int = 1
    model_changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"case {name!r} is given twice: name each once")
        for case in self.cases:
            for trained in case.trained():
                trained.options()
            case.train_settings()
        asked = [(f"gain {found.name!r}", name) for found in self.gains for name in (found.case, found.over)]
        asked += [(f"course {course.name!r}", name) for course in self.courses for name in course.cases]
        for whose, name in asked:
            if name not in names:
                raise ConfigError(f"{whose}: " + unknown("case", name, names))

    def training(self, case: Case) -> dict[str, Any]:
        """What tells the training of a case from others: not its name, and not how its test rows are read."""
        of_case = {key: getattr(case, key) for key in ("task", "data", "budget", "resplit")}
        of_case |= {"train": case.train} if case.train else {}
        of_case |= {"layout": case.layout} if case.layout != SINGLE else {}
        of_case |= {"model_changes": self.changes(case)}
        return {**of_case, **{key: getattr(self, key) for key in ("models", "seeds", "trials")}}

    def changes(self, case: Case) -> dict[str, Any]:
        """The model settings that all models get in a case."""
        return {**self.model_changes, **case.model_changes}

    def request(self, case: Case, bench: Bench) -> CompareRequest:
        """The comparison that a case is."""
        return CompareRequest(
            tasks=(case.task,),
            models=self.models,
            data=case.options(),
            train=case.train_settings(),
            seeds=self.seeds,
            trials=self.trials,
            resplit=case.resplit,
            device=bench.numerics.device,
            precision=bench.numerics.precision,
            layout=Layout.parse(case.layout),
            memory=False,
            model_changes=self.changes(case),
        )


def of_series(name: str, at: str) -> str:
    """The name of a case at one place of its series."""
    return f"{name}, {at}"


def _percent(share: float) -> str:
    return f"{100 * share:g} % of train"


def between(low: float, high: float) -> str:
    """Whole numbers above `low` and at most `high`, in words."""
    if isinf(low):
        return f"up to {high:g}"
    return f"over {low:g}" if isinf(high) else f"{low + 1:g} to {high:g}"
