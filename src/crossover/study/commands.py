"""The command behind a row: what to type to train its run again, alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from crossover.data.options import DataOptions
from crossover.models.presets import describe_model
from crossover.models.settings import ModelSettings
from crossover.parallel.layout import Layout
from crossover.study.contest import prepare_model
from crossover.study.request import CompareRequest
from crossover.tasks.base import TaskSpec
from crossover.train.record import RunRecord
from crossover.train.settings import TrainSettings, resolve

_OF_THE_RECORD = ("budget", "batch", "learning_rate", "seed")
"""Settings that the record tells with their values; the request may have left them open."""
_FLAGS = ("optimizer", "patience", "compile")


def train_command(spec: TaskSpec, model: ModelSettings, record: RunRecord, request: CompareRequest) -> str:
    """The ``crossover train`` of the run with this `record`, of `model` as it was trained."""
    words = ["crossover", "train", spec.name, exact_name(model, spec)]
    words += ["--budget", record.budget, "--lr", repr(record.learning_rate), "--batch", str(record.batch)]
    words += ["--seed", str(record.seed), "--precision", record.precision]
    words += ["--layout", str(request.layout)] if request.layout != Layout() else []
    words += _train_words(resolve(request.train, spec, model), request.train)
    words += _data_words(request, record.seed)
    words += [word for file in request.plugins for word in ("--plugin", str(file))]
    return shlex.join(words)


def exact_name(model: ModelSettings, spec: TaskSpec) -> str:
    """A name that enters `spec`'s task as exactly `model`, whatever the task's recipe and defaults are."""
    described = describe_model(model)
    entered = prepare_model(described, spec)
    simple = [field.name for field in fields(ModelSettings) if field.name not in ("name", "mixers", "mixer")]
    open_ones = [name for name in simple if getattr(entered, name) != getattr(model, name)]
    if not open_ones:
        return described
    name, _, rest = described.partition("[")
    given = [rest.rstrip("]")] if rest else []
    return f"{name}[{','.join([*given, *(f'{key}={_text(getattr(model, key))}' for key in open_ones)])}]"


def _train_words(resolved: TrainSettings, asked: TrainSettings) -> Iterator[str]:
    defaults = TrainSettings()
    for field in fields(TrainSettings):
        value = getattr(asked, field.name)
        if field.name == "batch_by" and resolved.batch_by == "tokens":
            value = resolved.batch_by
        if field.name in _OF_THE_RECORD or value == getattr(defaults, field.name):
            continue
        if field.name in _FLAGS:
            yield from _flag(field.name, value)
        else:
            yield from ("--set", f"train.{field.name}={_text(value)}")


def _data_words(request: CompareRequest, seed: int) -> Iterator[str]:
    for field in fields(DataOptions):
        value = getattr(request.data, field.name)
        if field.name == "split_seed" and request.resplit:
            value += seed
        if field.name != "settings" and value != field.default:
            yield from _flag(field.name, value)
    settings = dict(request.data.settings)
    if request.data.backtest is not None:
        settings["fold"] = request.split_of(seed)
    for key, value in settings.items():
        yield from ("--set", f"task.{key}={_text(value)}")


def _flag(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def _text(value: Any) -> str:
    """A value as ``--set`` and brackets read it."""
    if isinstance(value, tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
