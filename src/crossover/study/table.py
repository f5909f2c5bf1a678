"""From outcomes to the parts of ``study.json``: table, runs, tasks, details, samples; see docs/study-format.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from crossover.measure.statistics import Interval
from crossover.models.presets import family_of
from crossover.models.settings import ModelSettings
from crossover.study.commands import train_command
from crossover.study.outcome import Outcome, mean_score
from crossover.study.request import CompareRequest
from crossover.tasks.base import Baseline
from crossover.train.record import RunRecord, finite


def task_entry(outcome: Outcome) -> dict[str, Any]:
    """What a report must know of the task."""
    spec, task = outcome.contest.spec, outcome.contest.task
    return {
        "family": spec.family,
        "description": spec.description,
        "metric": spec.metric,
        "higher_is_better": spec.higher_is_better,
        "margin": spec.margin,
        "margin_kind": spec.margin_kind,
        "objective": spec.objective,
        "unit": spec.unit,
        "rows": {split: task.size(split) for split in ("train", "valid", "test")},
        "labels": list(spec.labels),
        "notes": list(outcome.contest.notes()),
        "references": [vars(reference) for reference in spec.references],
        "baselines": [
            {
                "name": name,
                "kind": results[0].kind,
                "score": mean_score(results),
                "seconds": mean(result.seconds for result in results),
                "parameters": results[0].parameters,
                "summary": finite(_mean_summary(results)),
            }
            for name, results in outcome.baselines.items()
        ],
    }


def rows(outcome: Outcome, request: CompareRequest) -> list[dict[str, Any]]:
    """The rows of one task: models in the order given, then baselines."""
    return [
        *(
            _model_row(outcome, settings, request)
            for settings in outcome.contest.models
            if outcome.done(settings.name)
        ),
        *(_baseline_row(outcome, name) for name in outcome.baselines),
    ]


def _model_row(outcome: Outcome, settings: ModelSettings, request: CompareRequest) -> dict[str, Any]:
    spec, name = outcome.contest.spec, settings.name
    records = outcome.records(name)
    latest = outcome.latest(name)[0]
    first, score = latest.record or records[0], outcome.score(name)
    measured = outcome.measured.get(name, {})
    best = outcome.best_baseline()
    return {
        "task": spec.name,
        "model": name,
        "family": family_of(settings),
        "mixer": "+".join(settings.mixers),
        "parameters": first.parameters,
        "parameters_without_embedding": first.parameters_without_embedding,
        "seeds": -(-len(records) // outcome.folds),
        "folds": outcome.folds,
        "metric": spec.metric,
        "score": score.to_json() if score else None,
        "validation": outcome.validation(name),
        "baseline": mean_score(outcome.baselines[best]) if best else None,
        "steps": round(mean(record.steps for record in records)),
        "train_seconds": mean(record.train_seconds for record in records),
        "higher_is_better": spec.higher_is_better,
        "tuning_seconds": outcome.searches.get(name, {}).get("seconds", 0.0),
        "learning_rate": first.learning_rate,
        "dropout": first.dropout,
        "layers": first.layers,
        "width": first.width,
        "batch": first.batch,
        "budget": first.budget,
        "summary": _mean_summary(records),
        **{key: measured.get(key) for key in _MEASURED},
        **(_under_layout(first, measured) if len(first.ranks) > 1 else {}),
        "precision": first.precision,
        "layout": first.layout,
        "run": str(latest.folder),
        "command": train_command(spec, outcome.entered.get(name, settings), first, request),
    }


def _under_layout(record: RunRecord, alone: Mapping[str, Any]) -> dict[str, Any]:
    """What a run over several ranks took, in place of what one device measured, and how much faster that is."""
    return {
        "speed_up": _speed_up(alone.get("step_seconds"), record.step_seconds),
        "step_seconds": record.step_seconds.to_json(),
        "tokens_per_second": record.tokens_per_second.to_json(),
        "utilisation": None,
        "peak_bytes": None,
    }


def _speed_up(alone: Mapping[str, float] | None, together: Interval) -> dict[str, float] | None:
    """Time of one device over that of all; the interval holds whatever both of theirs allow."""
    if alone is None:
        return None
    return {
        "value": alone["value"] / together.value,
        "low": alone["low"] / together.high,
        "high": alone["high"] / together.low,
    }


_MEASURED = (
    "step_seconds",
    "tokens_per_second",
    "flops_forward",
    "flops_backward",
    "utilisation",
    "peak_bytes",
    "inference_bytes",
    "latency",
    "state_bytes",
)


def _baseline_row(outcome: Outcome, name: str) -> dict[str, Any]:
    spec, results = outcome.contest.spec, outcome.baselines[name]
    score = outcome.score(name)
    value = mean_score(results)
    best = outcome.best_baseline()
    return {
        "task": spec.name,
        "model": name,
        "family": "baseline",
        "mixer": None,
        "parameters": results[0].parameters,
        "parameters_without_embedding": None,
        "seeds": -(-len(results) // outcome.folds),
        "folds": outcome.folds,
        "metric": spec.metric,
        "score": score.to_json() if score else {"value": value, "low": None, "high": None},
        "validation": outcome.validation(name),
        "baseline": mean_score(outcome.baselines[best]) if best else None,
        "steps": None,
        "train_seconds": mean(result.seconds for result in results),
        "higher_is_better": spec.higher_is_better,
        "tuning_seconds": None,
        "learning_rate": None,
        "dropout": None,
        "summary": finite(_mean_summary(results)),
        **dict.fromkeys(_MEASURED),
        "precision": None,
        "layout": None,
        "run": None,
        "command": None,
    }


def run_entries(outcome: Outcome) -> list[dict[str, Any]]:
    """One entry per run, failed ones included."""
    entries = []
    for name, attempts in outcome.attempts.items():
        for attempt in attempts:
            record = attempt.record
            entries.append(
                {
                    "task": outcome.contest.spec.name,
                    "model": name,
                    "seed": attempt.seed,
                    "folder": str(attempt.folder),
                    "status": "done" if record else "failed",
                    "error": attempt.error,
                    "score": record.summary.get(record.metric) if record else None,
                    "validation": record.validation if record else None,
                    "curve": record.curve if record else [],
                    "summary": record.summary if record else {},
                    "ranks": record.ranks if record and len(record.ranks) > 1 else [],
                    "layout": record.layout if record else None,
                    "step_seconds": record.step_seconds.to_json() if record else None,
                    "prediction": record.prediction if record else None,
                    "solvers": record.solvers if record else {},
                    "newton": record.newton if record else None,
                }
            )
    return entries


def details(outcome: Outcome) -> list[dict[str, Any]]:
    """What a report draws of each model, from its best run by validation."""
    return [
        {"task": record.task, "model": record.model, **record.details}
        for record in _best_records(outcome)
        if record.details
    ]


def samples(outcome: Outcome) -> list[dict[str, Any]]:
    """Some predictions of each model, from its best run by validation."""
    return [
        {"task": record.task, "model": record.model, "items": record.samples}
        for record in _best_records(outcome)
        if record.samples
    ]


def _best_records(outcome: Outcome) -> Sequence[RunRecord]:
    sign = 1 if outcome.contest.spec.higher_is_better else -1
    found = []
    for settings in outcome.contest.models:
        records = [attempt.record for attempt in outcome.latest(settings.name) if attempt.record is not None]
        if records:
            found.append(max(records, key=lambda record: sign * record.validation))
    return found


def _mean_summary(results: Sequence[RunRecord] | Sequence[Baseline]) -> dict[str, float | None]:
    """The mean of each score over the runs that have it; None where none has."""
    values = {name: [result.summary.get(name) for result in results] for name in results[0].summary}
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    return {name: mean(found) if found else None for name, found in known.items()}
