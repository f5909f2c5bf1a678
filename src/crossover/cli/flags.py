"""The flags that commands share. Light: nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from crossover.data.options import DataOptions
    from crossover.train.settings import TrainSettings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every command.

    Parameters
    ----------
    json
        Print one JSON document on stdout and nothing else there.
    debug
        Show the traceback of an error.
    lang
        Language of sentences: en or zh (the locale's if not given).
    plugin
        Python files that register mixers, models or tasks of your own.
    """

    json: bool = False
    debug: bool = False
    lang: str | None = None
    plugin: Annotated[tuple[Path, ...], Parameter(negative="")] = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """Where data lie and how they are read and split.

    Parameters
    ----------
    data
        A file, a folder, or hf://OWNER/NAME[:SPLIT].
    train
        File of the train split, where the split is given.
    valid
        File of the validation split.
    test
        File of the test split.
    split
        random, time, or group=COLUMN.
    split_seed
        Seed of a random split.
    train_share
        Share of train to train on, drawn by the seed of the split: 0.1 is a tenth.
    text
        Column of texts.
    label
        Column of labels.
    source
        Column of texts to translate.
    target
        Column or columns to forecast, or column of translations.
    aligned
        File of translations, line by line, of the texts in --data.
    time
        Column of timestamps.
    id
        Column that tells the series of a panel apart.
    past
        Columns known up to now, beside what is forecast, separated by commas.
    future
        Columns known for the steps ahead too.
    static
        Columns that are constant in each series.
    calendar
        Take hour, weekday, day of month and month from the timestamps, as covariates known ahead.
    quantiles
        Quantiles to forecast, such as 0.1,0.5,0.9.
    backtest
        Rolling origins to train and test at, one after the other.
    horizon
        Steps to forecast.
    window
        Steps to forecast from.
    deduplicate
        Remove test rows that occur in train.
    rare
        What to do with labels that too few rows have: refuse, drop or keep.
    fill_gaps
        Fill gaps in series by interpolation.
    patch
        Steps of a series that the model reads as one.
    units
        Words, subwords or characters.
    tags
        Part-of-speech tags as a second input.
    """

    data: str | None = None
    train: Path | None = None
    valid: Path | None = None
    test: Path | None = None
    split: str | None = None
    split_seed: int = 0
    train_share: float = 1.0
    text: str | None = None
    label: str | None = None
    source: str | None = None
    target: str | None = None
    aligned: Path | None = None
    time: str | None = None
    id: str | None = None
    past: str | None = None
    future: str | None = None
    static: str | None = None
    calendar: bool = False
    quantiles: str | None = None
    backtest: int | None = None
    horizon: int | None = None
    window: int | None = None
    deduplicate: bool = False
    rare: Literal["refuse", "drop", "keep"] = "refuse"
    fill_gaps: bool = False
    patch: int | None = None
    units: str | None = None
    tags: bool = False

    def options(self, changes: dict[str, Any]) -> DataOptions:
        """The options for tasks; `changes` are the task settings of ``--set task.KEY=VALUE``."""
        from crossover.data.options import DataOptions

        settings = dict(changes)
        for name, value in (("patch", self.patch), ("units", self.units), ("tags", self.tags or None)):
            if value is not None:
                settings.setdefault(name, value)
        names = DataOptions.__dataclass_fields__.keys() - {"settings", "borrowed"}
        return DataOptions(**{name: getattr(self, name) for name in names}, settings=settings)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """How runs are trained.

    Parameters
    ----------
    budget
        What one run may spend: 60s, 500steps, 2Mtokens, 3epochs or 1e15flops.
    batch
        Rows of a batch.
    optimizer
        adamw or sgd.
    lr
        Peak learning rate (the preset's if not given).
    seed
        Seed of a single run; a comparison counts its seeds from it on.
    patience
        Stop after so many validations without a better score (0: never).
    compile
        Compile the model.
    device
        auto, cpu, cuda or mps.
    precision
        auto (measured), fp32 or bf16.
    layout
        How a run is spread over devices, such as data=2.
    config
        TOML file of settings: tables train, task and model.
    set
        A setting by name: train.clip=0.5, task.patch=24, model.dropout=0.2.
    """

    budget: str | None = None
    batch: int | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | None = None
    seed: int = 0
    patience: int = 0
    compile: bool = False
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    layout: str = ""
    config: Path | None = None
    set: Annotated[tuple[str, ...], Parameter(negative="")] = ()

    def changes(self) -> Changes:
        """What ``--config`` and ``--set`` ask for, the latter on top."""
        return Changes.read(self.config, self.set)

    def settings(self, changes: dict[str, Any]) -> TrainSettings:
        """The settings of a run; `changes` are those of ``--set train.KEY=VALUE``."""
        from crossover.config import override
        from crossover.train.settings import TrainSettings, field_name

        base = TrainSettings(
            budget=self.budget,
            batch=self.batch,
            optimizer=self.optimizer,
            learning_rate=self.lr,
            seed=self.seed,
            patience=self.patience,
            compile=self.compile,
        )
        return override(base, {field_name(key): value for key, value in changes.items()}, path="train")


@dataclass(frozen=True)
class Changes:
    """Settings by name, for runs, tasks and models."""

    train: dict[str, Any]
    task: dict[str, Any]
    model: dict[str, Any]

    @classmethod
    def read(cls, file: Path | None, items: tuple[str, ...]) -> Changes:
        """From a TOML file and assignments; a name outside train, task and model is a ConfigError."""
        from crossover.config import load_toml, parse_assignments
        from crossover.errors import ConfigError, unknown

        tables: dict[str, dict[str, Any]] = {"train": {}, "task": {}, "model": {}}
        for table, values in (load_toml(file) if file else {}).items():
            if table not in tables or not isinstance(values, dict):
                raise ConfigError(f"{file}: " + unknown("table", table, tables))
            tables[table].update(values)
        for key, value in parse_assignments(list(items)).items():
            table, dot, name = key.partition(".")
            if table not in tables or not dot:
                raise ConfigError(unknown("setting", key, [f"{table}.NAME" for table in tables]))
            tables[table][name] = value
        return cls(**tables)


COMMON = Common()
DATA = DataFlags()
TRAIN = TrainFlags()
