"""What a comparison is asked to do: one frozen value, from the command line or from Python."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from crossover.data.options import DataOptions
from crossover.errors import ConfigError, listing
from crossover.parallel.layout import Layout
from crossover.train.settings import TrainSettings

DEFAULT_TASKS = ("sentiment/headlines", "classification/digits", "recall", "parity")
_IDENTITY = ("tasks", "models", "data", "train", "match", "resplit", "precision", "layout", "model_changes")
DEFAULT_MODELS = ("lstm", "transformer")
LOW_POWER_SEEDS = 4
"""With fewer than five seeds a study says "low power"."""

MATCHES = ("params", "flops", "step", "none")
Match = Literal["params", "flops", "step", "none"]


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Tasks x models x seeds under one budget.

    `trials` is the number of settings that the search tries for every model (1: none, the preset's rate). `match`
    names what is made equal to the first model's: parameters without ends, forward FLOPs per token, measured step
    time, or nothing. Seeds count from `train.seed` on, so that a study can be split over machines by seed. `resplit`
    draws a new split for every seed; `data.backtest` trains every seed at so many folds.
    `max_latency` is in seconds at batch 1, the 99th percentile; `max_memory` in bytes, the peak of inference;
    `time_limit` in seconds for the whole command. `model_changes` are dotted model settings that every model gets
    (``{"dropout": 0.2}``). `command` and `plugins` (files that were loaded for it) are told again with each row.
    """

    tasks: tuple[str, ...] = DEFAULT_TASKS
    models: tuple[str, ...] = DEFAULT_MODELS
    data: DataOptions = field(default_factory=DataOptions)
    train: TrainSettings = field(default_factory=TrainSettings)
    seeds: int = 5
    trials: int = 1
    match: Match = "params"
    resplit: bool = False
    max_latency: float | None = None
    max_memory: float | None = None
    time_limit: float | None = None
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    layout: Layout = field(default_factory=Layout)
    memory: bool = True
    model_changes: dict[str, Any] = field(default_factory=dict)
    command: str | None = None
    plugins: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in ("seeds", "trials"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} is {getattr(self, name)}: give 1 or more")
        for name in ("max_latency", "max_memory", "time_limit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"--{name.replace('_', '-')} is {value}: give a positive amount")
        if self.match not in MATCHES:
            raise ConfigError(f"--match is {self.match!r}: use {listing(MATCHES)}")
        if self.data.backtest is not None and self.resplit:
            raise ConfigError("--backtest and --resplit both say how the data are split: give one of them")
        if self.data.backtest is not None and "fold" in self.data.settings:
            raise ConfigError("a comparison trains at every fold of --backtest: leave task.fold out")
        for kind, names in (("task", self.tasks), ("model", self.models)):
            if not names:
                raise ConfigError(f"no {kind} to compare: name one or more")
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigError(f"{kind} {twice[0]!r} is given twice: name each once")

    @property
    def folds(self) -> int:
        """Rolling origins that every model is trained at; 1 without a backtest."""
        return self.data.backtest or 1

    @property
    def runs(self) -> range:
        """Runs of each model of a task: run r has the seed r."""
        first = self.train.seed * self.folds
        return range(first, first + self.seeds * self.folds)

    @property
    def splits(self) -> range:
        """Different splits among the runs."""
        return self.runs if self.resplit else range(self.folds)

    def split_of(self, run: int) -> int:
        """The split that a run is trained and tested on: one of its own, or that of a fold."""
        return run if self.resplit else run % self.folds

    @property
    def extra_trials(self) -> int:
        """Runs of the search for each model of a task."""
        return self.trials if self.trials > 1 else 0

    def identity(self) -> dict[str, Any]:
        """What makes this study this one: a folder is continued only by a request of the same identity.

        Seeds, trials, limits and the device's time may change from one call to the next; they add runs, or change
        the recommendation, and leave finished runs valid.
        """
        values = replace(self, train=replace(self.train, seed=0)).to_json()
        return {name: values[name] for name in _IDENTITY}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = asdict(self)
        values["tasks"], values["models"] = list(self.tasks), list(self.models)
        values["train"] = self.train.to_json()
        values["data"] = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(self.data).items()}
        values["layout"] = str(self.layout)
        values["plugins"] = [str(file) for file in self.plugins]
        return values
