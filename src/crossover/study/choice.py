"""What a search chose for a model on a task, kept in the study's folder so that it is searched once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from crossover.config import build
from crossover.files import write_json
from crossover.models.settings import ModelSettings
from crossover.train.record import finite
from crossover.train.settings import TrainSettings
from crossover.train.tune import Search

_FILE = "search.json"


@dataclass(frozen=True)
class Choice:
    """The chosen model settings, rate and batch, and the search as ``study.json`` tells it."""

    model: ModelSettings
    learning_rate: float
    batch: int
    batch_by: Literal["rows", "tokens"]
    document: dict[str, Any]

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """`settings` with the chosen rate and batch, in the unit (rows or tokens) that the search counted it in."""
        return replace(settings, learning_rate=self.learning_rate, batch=self.batch, batch_by=self.batch_by)


def save_choice(folder: Path, model: ModelSettings, found: Search) -> Choice:
    """Keep what `found` chose; the model keeps the name it competes under."""
    chosen = replace(found.best.model, name=model.name)
    document = {**found.to_json(), "seconds": found.seconds}
    stored = {
        "model": asdict(chosen),
        "learning_rate": found.best.settings.learning_rate,
        "batch": found.best.settings.batch,
        "batch_by": found.best.settings.batch_by,
        "document": finite(document),
    }
    write_json(folder / _FILE, stored)
    return _read(stored)


def saved_choice(folder: Path, trials: int) -> Choice | None:
    """What an earlier search of as many trials chose; None where there was none."""
    path = folder / _FILE
    if not path.is_file():
        return None
    choice = _read(json.loads(path.read_text(encoding="utf-8")))
    return choice if len(choice.document["trials"]) == trials else None


def _read(stored: dict[str, Any]) -> Choice:
    return Choice(
        build(ModelSettings, stored["model"], path="model"),
        stored["learning_rate"],
        stored["batch"],
        stored["batch_by"],
        stored["document"],
    )
