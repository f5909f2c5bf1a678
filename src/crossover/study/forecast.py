"""What a comparison still has to do and when it will end, said before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from crossover.study.choice import saved_choice
from crossover.study.outcome import Outcome
from crossover.study.request import CompareRequest
from crossover.study.store import Store
from crossover.train.budget import Budget
from crossover.train.record import is_finished
from crossover.train.settings import TrainSettings, resolve

TRAINING_SHARE = 0.7
"""Of the time before measuring, what training takes; the rest is baselines and validating."""
MEASURING_SECONDS = 7.0
"""What measuring takes for each model of a task: steps in turn, latency, memory (2 cores, small models)."""


def forecast(request: CompareRequest, settings: TrainSettings, outcomes: Sequence[Outcome], store: Store) -> str:
    """How many runs and trials there are and how many of them are done, and when the rest will have ended.

    The end is told where every budget is in seconds, or where a time limit sets it.
    """
    left = seconds = 0.0
    for outcome in outcomes:
        spec = outcome.contest.spec
        for model in outcome.contest.models:
            open_runs = sum(not is_finished(store.run_folder(spec.name, model.name, seed)) for seed in request.runs)
            searched = saved_choice(store.run_folder(spec.name, model.name), request.trials) is not None
            units = open_runs + (0 if searched else request.extra_trials)
            budget = Budget.parse(resolve(settings, spec, model).budget or spec.budget)
            left += open_runs
            if units:
                seconds += units * budget.amount / TRAINING_SHARE if budget.kind == "seconds" else float("inf")
                seconds += MEASURING_SECONDS
    return f"{_counts(request, round(left))}; {_end(seconds, request.time_limit)}"


def _counts(request: CompareRequest, left: int) -> str:
    tasks, models = len(request.tasks), len(request.models)
    runs = tasks * models * len(request.runs)
    counts = [_counted(tasks, "task"), _counted(models, "model"), _counted(request.seeds, "seed")]
    factors = " x ".join([*counts, *([_counted(request.folds, "fold")] if request.data.backtest else [])])
    said = f"{_counted(runs, 'run')} ({factors})"
    if request.extra_trials:
        said += f" and {_counted(tasks * models * request.extra_trials, 'search trial')}"
    return said if left == runs else f"{said}, {runs - left:,} of them finished"


def _end(seconds: float, limit: float | None) -> str:
    if limit is not None and limit < seconds:
        return f"the time limit ends it about {_clock(limit)}, finished or not"
    if seconds == float("inf"):
        return "their budgets are not in seconds, so the first runs will show when it ends"
    return f"about {seconds / 60:.1f} minutes, ends about {_clock(seconds)}"


def _clock(seconds: float) -> str:
    return f"{datetime.now().astimezone() + timedelta(seconds=seconds):%H:%M:%S}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
