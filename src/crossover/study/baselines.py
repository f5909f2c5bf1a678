"""Baselines of a study: fitted once per split, kept in its folder, read back on resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from crossover.files import write_file, write_json
from crossover.study.outcome import Outcome
from crossover.study.request import CompareRequest
from crossover.study.store import Store
from crossover.tasks.base import Baseline, Sums, Task
from crossover.train.record import finite


def fit_baselines(
    outcome: Outcome,
    store: Store,
    task_of: Callable[[str, int], Task],
    request: CompareRequest,
    tell: Callable[[str], None],
) -> None:
    """Fill `outcome.baselines` (one result per split) and `outcome.baselines_valid`.

    A baseline that some splits do not have (a season that is found in some folds only) is left out.
    """
    name = outcome.contest.spec.name
    splits = request.splits
    validations: dict[str, list[float]] = {}
    for split in splits:
        folder = store.task_folder(name) / f"baselines{split}"
        results = _load(folder)
        if results is None:
            tell(f"fitting the baselines of {name}" + (f", split {split}" if len(splits) > 1 else ""))
            task = task_of(name, split)
            valid = {baseline.name: baseline.score for baseline in task.baselines("valid")}
            _save(folder, task.baselines("test"), valid)
            results = _load(folder)
        for baseline, validation in results or []:
            outcome.baselines.setdefault(baseline.name, []).append(baseline)
            if validation is not None:
                validations.setdefault(baseline.name, []).append(validation)
    for partial in [name for name, found in outcome.baselines.items() if len(found) < len(splits)]:
        tell(f"{name}: baseline {partial!r} is not there on every split and is left out")
        del outcome.baselines[partial]
        validations.pop(partial, None)
    outcome.baselines_valid = {name: sum(scores) / len(scores) for name, scores in validations.items()}


def _save(folder: Path, baselines: list[Baseline], valid: dict[str, float]) -> None:
    for index, baseline in enumerate(baselines):
        if baseline.items is not None:
            buffer = BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **baseline.items)  # type: ignore[arg-type]
            write_file(folder / f"{index}.npz", buffer.getbuffer())
    entries = [
        {
            "name": baseline.name,
            "kind": baseline.kind,
            "score": baseline.score,
            "validation": valid.get(baseline.name),
            "seconds": baseline.seconds,
            "parameters": baseline.parameters,
            "summary": dict(baseline.summary),
            "items": baseline.items is not None,
        }
        for baseline in baselines
    ]
    write_json(folder / "baselines.json", finite({"baselines": entries}))


def _load(folder: Path) -> list[tuple[Baseline, float | None]] | None:
    path = folder / "baselines.json"
    if not path.is_file():
        return None
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["baselines"]
    results = []
    for index, entry in enumerate(entries):
        held, validation = entry.pop("items"), entry.pop("validation")
        results.append((Baseline(**entry, items=_items(folder / f"{index}.npz") if held else None), validation))
    return results


def _items(path: Path) -> Sums:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
