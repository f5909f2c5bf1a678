"""What the experiments on language models share: models of equal parameters, and runs that are gone on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import Bench
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.contest import enter
from crossover.study.store import Store
from crossover.tasks import TASKS
from crossover.tasks.base import Task
from crossover.tasks.language.modeling import FAMILY, LanguageModeling
from crossover.train.loop import train
from crossover.train.results import RunResult
from crossover.train.settings import TrainSettings


class Runs:
    """The runs of one experiment: in a folder of its own by its settings, where finished ones are read back."""

    def __init__(self, bench: Bench, experiment: str, settings: Any) -> None:
        told = json.dumps(asdict(settings), sort_keys=True)
        name = f"{experiment}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
        self.numerics = bench.numerics
        self.store = Store(bench.store.folder / "studies" / name)

    def train(self, name: str, task: Task, model: ModelSettings, settings: TrainSettings) -> RunResult:
        """The run called `name`, its test split unread: the experiment scores it by itself."""
        folder = self.store.run_folder(task.spec.name, name, settings.seed)
        return train(task, model, settings, numerics=self.numerics, folder=folder, resume=True, test=False)


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """What an experiment on a text has: the models, made equal in parameters, and how they are trained.

    No `task` at all says that this level does not measure it; `data` is a text of one's own for
    ``language-modeling``. `block` is the number of steps of a training row.
    """

    models: tuple[str, ...] = ("gpt", "lstm")
    task: str | None = None
    data: str | None = None
    block: int = 128
    width: int = 128
    layers: int = 4
    batch: int = 16
    budget: str = "2000steps"
    seeds: int = 3

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ConfigError(f"seeds={self.seeds}: an interval over seeds needs 2 or more")
        if self.task is not None and TASKS.entry(self.task).name.partition("/")[0] != FAMILY:
            raise ConfigError(f"task {self.task!r} is no language modelling: use {FAMILY} or one of {FAMILY}/…")

    @property
    def sizes(self) -> dict[str, Any]:
        """Of the first model; nothing is dropped out."""
        return {"width": self.width, "layers": self.layers, "dropout": 0.0}


def trained_scope(settings: TextSettings) -> Said:
    """What was trained on which task, and for how long: the first half of a scope."""
    return _(
        "{task}; {models} of equal parameters, width {width}, {layers} layers, {seeds} seeds of {budget} at batch "
        "{batch}",
        task=str(settings.task),
        models=listing(settings.models),
        width=number(settings.width),
        layers=number(settings.layers),
        seeds=number(settings.seeds),
        budget=settings.budget,
        batch=number(settings.batch),
    )


def read_text_task(settings: TextSettings, **options: Any) -> LanguageModeling:
    """The settings' task, of which there is one; DataError where its text is not on the machine."""
    given = DataOptions(data=settings.data, settings={"block": settings.block, **options})
    return cast(LanguageModeling, TASKS.get(str(settings.task))(given))


def equal_models(task: Task, names: Sequence[str], sizes: Mapping[str, Any]) -> dict[str, ModelSettings]:
    """The named models on `task`: the first with `sizes`, the others with as many parameters in their blocks."""
    return dict(zip(names, enter(task, tuple(names), "params", lambda model: 0.0, sizes).models, strict=True))
