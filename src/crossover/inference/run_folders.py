"""Which folder holds the trained model that a user means: a run's own, or that of the run a study recommends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossover.errors import CheckpointError, ConfigError, FolderError, listing, unknown
from crossover.inference.saved import ARTIFACTS_FILE


def run_folder(folder: Path, *, task: str | None = None) -> Path:
    """`folder` itself if it is a run, or the run that the study in it recommends; or an error.

    Without `task` the study has one task, or one with a recommended run. Raises CheckpointError for a folder that
    holds neither or a study that cannot be read, ConfigError for a task that the study does not have.
    """
    if (folder / ARTIFACTS_FILE).is_file():
        return folder
    study = folder / "study.json"
    if not study.is_file():
        raise FolderError(f"{folder} holds no finished run and no study: give the folder of one")
    try:
        document = json.loads(study.read_text(encoding="utf-8"))
        chosen = _chosen(folder, {entry["task"]: entry for entry in document["recommendation"]}, task)
        model, run = chosen.get("model"), chosen.get("run")
        best = _best_run(folder, document, chosen["task"]) if chosen and run is None else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{study} cannot be read ({error}): run the study again") from None
    if run is not None:
        return _located(folder, Path(run))
    what = f"the baseline {model!r}, which is no saved model" if model else "no model"
    advice = f"give its best run, {best}" if best else "it has no finished run to give instead"
    raise FolderError(f"the study in {folder} recommends {what}: {advice}")


def _chosen(folder: Path, by_task: Mapping[str, Any], task: str | None) -> Mapping[str, Any]:
    """The recommendation for `task`, or the only one there is ({} for none); ConfigError where that is not clear."""
    if task is not None:
        if task not in by_task:
            raise ConfigError(unknown("task of the study", task, by_task))
        return dict(by_task[task])
    runs = [entry for entry in by_task.values() if entry["run"] is not None]
    entries = runs if len(runs) == 1 else list(by_task.values())
    if len(entries) > 1:
        raise ConfigError(f"the study in {folder} has several tasks: choose one with --task {listing(by_task)}")
    return dict(entries[0]) if entries else {}


def _best_run(study: Path, document: Mapping[str, Any], task: str) -> Path | None:
    """The run of a task with the best validation score, of those that are there; of a backtest, of its last fold."""
    sign = 1 if document["tasks"][task]["higher_is_better"] else -1
    done = [run for run in document["runs"] if run["task"] == task and run["validation"] is not None]
    folds = document["settings"]["data"].get("backtest") or 1
    last = max((run["seed"] % folds for run in done), default=0)
    done = [run for run in done if run["seed"] % folds == last]
    done.sort(key=lambda run: sign * run["validation"], reverse=True)
    places = (find_run(study, Path(run["folder"])) for run in done)
    return next((place for place in places if place is not None), None)


def _located(study: Path, run: Path) -> Path:
    """Where a recommended run lies now; CheckpointError where it is gone."""
    found = find_run(study, run)
    if found is None:
        raise CheckpointError(
            f"the study in {study} recommends {run}, which is not there: give the folder of another run"
        )
    return found


def find_run(study: Path, run: Path) -> Path | None:
    """A finished run of a study: as written, or under its study when that was moved; None where it is gone."""
    parts = run.parts
    under = Path(*parts[parts.index("runs") :]) if "runs" in parts else run
    places = (study / under, study / run, run)
    return next((place for place in places if (place / ARTIFACTS_FILE).is_file()), None)
