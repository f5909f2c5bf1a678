"""The main job: train every model on every task under the same budget, measure, compare, recommend."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from crossover.errors import DataError, TrainingError
from crossover.measure.clock import UNSTEADY, seconds_of
from crossover.measure.memory import Nursery
from crossover.measure.numerics import Numerics, check_device, choose
from crossover.models.settings import ModelSettings
from crossover.parallel.launch import Team, devices_for
from crossover.study import table
from crossover.study.baselines import fit_baselines
from crossover.study.choice import Choice, save_choice, saved_choice
from crossover.study.contest import Contest, build_task, data_of, enter
from crossover.study.forecast import MEASURING_SECONDS, TRAINING_SHARE, forecast
from crossover.study.machine import machine
from crossover.study.measuring import Measured, measure_contest, typical_shape, workload
from crossover.study.outcome import Attempt, Outcome, by_model
from crossover.study.recommend import recommend
from crossover.study.request import CompareRequest
from crossover.study.store import Store
from crossover.study.verdict import verdicts
from crossover.tasks.base import Task
from crossover.train.budget import Budget
from crossover.train.loop import train
from crossover.train.progress import OnBegin, OnProgress
from crossover.train.ranks import Order, train_together
from crossover.train.record import is_finished
from crossover.train.results import RunResult
from crossover.train.settings import TrainSettings, resolve, under_layout
from crossover.train.tune import search

Tell = Callable[[str], None]

_MOST_MEASURING = 0.3
"""Of a time limit, what measuring may keep from training at most."""


def run_comparison(
    request: CompareRequest,
    folder: Path,
    *,
    tell: Tell | None = None,
    on_progress: OnProgress | None = None,
    on_begin: OnBegin | None = None,
) -> dict[str, Any]:
    """Carry out `request` in `folder` and return its document (docs/study-format.md), saved as ``study.json``.

    A folder that holds part of the same study is gone on with: finished runs are read back. Everything that can be
    wrong with the request is found before the first run. Ctrl-C saves what is finished and is raised again. `tell`
    gets one-line messages, `on_progress` every step, `on_begin` the number of each trial and run before it starts.
    """
    comparison = Comparison(request, folder, tell=tell, on_progress=on_progress, on_begin=on_begin)
    comparison.tell(f"study in {folder}: the same command with --out {folder} goes on with it")
    comparison.tell(comparison.numerics.describe())
    try:
        comparison.carry_out()
    except KeyboardInterrupt:
        comparison.save()
        raise
    return comparison.save()


class Comparison:
    """A comparison under way; see `run_comparison`, which carries one out whole."""

    def __init__(
        self,
        request: CompareRequest,
        folder: Path,
        *,
        tell: Tell | None = None,
        on_progress: OnProgress | None = None,
        on_begin: OnBegin | None = None,
    ) -> None:
        self.started = time.monotonic()
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self.request, self.on_progress, self.on_begin = request, on_progress, on_begin
        self.tell: Tell = tell or (lambda line: None)
        device = check_device(request.device)
        tasks = [build_task(name, request) for name in request.tasks]
        for task in tasks:
            for name in request.models:
                request.layout.check(devices_for(request.layout, device), name, task.spec)
        self._split_tasks: dict[tuple[str, int], Task] = {(t.spec.name, 0): t for t in tasks}
        self.numerics = Numerics.default(device)
        self.settings = self._fit_budget(tasks)
        contests = [self._enter(task) for task in tasks]
        self.store = Store.open(folder, "compare", request.identity())
        self.numerics = self._numerics(device)
        self.outcomes = [
            Outcome(
                contest=contest,
                split_of=request.split_of,
                first_split=request.splits.start,
                folds=request.folds,
            )
            for contest in contests
        ]
        self.pair_difference: float | None = None
        self.unfinished = 0
        self.team: Team | None = None
        self._chosen: dict[tuple[str, str], Choice] = {}

    def carry_out(self, *, measure: bool = True) -> None:
        """Search, fit the baselines, train and, unless quality alone is asked for, measure.

        Runs are trained under the request's layout; all else is done by this process alone.
        """
        with ExitStack() as stack:
            if self.request.layout.devices > 1:
                self.team = stack.enter_context(Team(self.request.layout.devices))
            self._carry_out(measure=measure)

    def _carry_out(self, *, measure: bool) -> None:
        self.tell(forecast(self.request, self.settings, self.outcomes, self.store))
        for outcome in self.outcomes:
            for note in outcome.contest.notes():
                self.tell(f"{outcome.contest.spec.name}: {note}")
        if self.store.load() is None:
            # From its first moment on: a study that is killed is gone on with under the same numerics.
            self.save()
        entries = [(outcome, model) for outcome in self.outcomes for model in outcome.contest.models]
        for outcome in self.outcomes:
            fit_baselines(outcome, self.store, self._task, self.request, self.tell)
        trials = self.request.trials
        for index, (outcome, model) in enumerate(entries):
            self._search(outcome, model, partial(self._begin, "search", len(entries) * trials, index * trials))
        runs = [(seed, *entry) for seed in self.request.runs for entry in entries]
        for earlier, (seed, outcome, model) in enumerate(runs):
            self._begin("train", len(runs), earlier)
            self._attempt(outcome, model, seed)
        if measure:
            self._measure()

    def save(self) -> dict[str, Any]:
        """Write and return the study's document, from whatever is finished."""
        document = self._document()
        self.store.save(document)
        return document

    def _begin(self, stage: str, total: int, earlier: int, index: int = 0) -> None:
        """Tell `on_begin` that the trial or run with `index` begins, after `earlier` ones, of `total`."""
        if self.on_begin is not None:
            self.on_begin(stage, earlier + index + 1, total)

    def _enter(self, task: Task) -> Contest:
        def step_seconds(model: ModelSettings) -> float:
            contest = Contest(task, (model,))
            call = workload(contest, model, typical_shape(task, model, self.settings), self.numerics).prepare()
            return min(seconds_of(call, self.numerics.device) for _ in range(6))

        contest = enter(task, self.request.models, self.request.match, step_seconds, self.request.model_changes)
        for model in contest.models:
            Budget.parse(resolve(self.settings, task.spec, model).budget or task.spec.budget)
        return contest

    def _numerics(self, device: str) -> Numerics:
        """One policy per study: chosen at its first start, read back ever after."""
        saved = self.store.load()
        if saved is not None:
            return Numerics.restore(saved["numerics"])
        return choose(self.request.precision, device)

    def _fit_budget(self, tasks: list[Task]) -> TrainSettings:
        """The run settings; a time limit without a budget sets the budget that lets every run end in time."""
        settings, limit = self.request.train, self.request.time_limit
        if limit is None or settings.budget is not None:
            return settings
        runs = len(tasks) * len(self.request.models) * (len(self.request.runs) + self.request.extra_trials)
        seconds = (limit - self._measuring_seconds()) * TRAINING_SHARE / runs
        return replace(settings, budget=f"{max(seconds, 0.5):.3g}s")

    def _task(self, name: str, seed: int) -> Task:
        """The task as the run `seed` sees it: on its own split, or on its fold's."""
        split = self.request.split_of(seed)
        key = (name, split)
        if key not in self._split_tasks:
            self._split_tasks[key] = build_task(self._registered(name), self.request, split)
        return self._split_tasks[key]

    def _registered(self, name: str) -> str:
        position = [outcome.contest.spec.name for outcome in self.outcomes].index(name)
        return self.request.tasks[position]

    def _out_of_time(self, *, reserve: float = 0.0) -> bool:
        """Whether the time limit, less what is reserved of it, has passed."""
        limit = self.request.time_limit
        return limit is not None and time.monotonic() - self.started > limit - reserve

    def _search(self, outcome: Outcome, model: ModelSettings, on_trial: Callable[[int], None]) -> None:
        """The same search for every model; what was found before is read back."""
        outcome.entered[model.name] = model
        if self.request.trials == 1:
            return
        task = outcome.contest.task
        folder = self.store.run_folder(task.spec.name, model.name)
        chosen = saved_choice(folder, self.request.trials)
        if chosen is None:
            self.tell(f"searching {task.spec.name} {model.name}: {self.request.trials} trials")
            try:
                found = search(
                    task,
                    model,
                    self.settings,
                    trials=self.request.trials,
                    seed=0,
                    numerics=self.numerics,
                    folder=folder / "search",
                    on_progress=self.on_progress,
                    on_trial=on_trial,
                )
            except TrainingError as error:
                # The preset is tried again with every seed, so the runs will tell of the failure too.
                self.tell(f"failed: {error}")
                return
            chosen = save_choice(folder, model, found)
        outcome.searches[model.name] = chosen.document
        outcome.entered[model.name] = chosen.model
        self._chosen[(task.spec.name, model.name)] = chosen

    def _attempt(self, outcome: Outcome, model: ModelSettings, seed: int) -> None:
        """One run, unless the time is up; a run that fails is noted and the study goes on."""
        name = outcome.contest.spec.name
        folder = self.store.run_folder(name, model.name, seed)
        if self._out_of_time(reserve=self._measuring_seconds()):
            self.unfinished += 1
            return
        note = partial(Attempt, seed=seed, folder=folder)
        try:
            result = self._train(outcome, model, seed, folder)
            attempt = note(record=result.record, items=result.items)
        except (TrainingError, DataError, MemoryError) as error:
            self.tell(f"failed: {error}")
            attempt = note(error=str(error) or type(error).__name__)
        outcome.attempts.setdefault(model.name, []).append(attempt)

    def _train(self, outcome: Outcome, model: ModelSettings, seed: int, folder: Path) -> RunResult:
        """One run; what is finished in its folder is read back."""
        name, settings = outcome.contest.spec.name, self._run_settings(outcome, model, seed)
        task, entered = self._task(name, seed), outcome.entered[model.name]
        if self.team is None or is_finished(folder):
            return train(
                task,
                entered,
                settings,
                numerics=self.numerics,
                folder=folder,
                resume=True,
                on_progress=self.on_progress,
                layout=self.request.layout,
            )
        order = Order(
            task=self._registered(name),
            data=data_of(self.request, self.request.split_of(seed)),
            model=entered,
            settings=settings,
            numerics=self.numerics,
            folder=folder,
            resume=True,
            layout=self.request.layout,
        )
        return train_together(self.team, order, task=task, on_progress=self.on_progress)

    def _measuring_seconds(self) -> float:
        """What runs leave of a time limit to the measuring that follows them."""
        wanted = MEASURING_SECONDS * len(self.request.tasks) * len(self.request.models)
        return min(wanted, _MOST_MEASURING * (self.request.time_limit or 0.0))

    def _run_settings(self, outcome: Outcome, model: ModelSettings, seed: int) -> TrainSettings:
        chosen = self._chosen.get((outcome.contest.spec.name, model.name))
        settings = self.settings if chosen is None else chosen.apply(self.settings)
        return under_layout(replace(settings, seed=seed), self.request.layout)

    def _measure(self) -> None:
        # Beside what several devices did stands one that has as many threads as each of them.
        share = max(1, self.numerics.threads // self.team.here) if self.team is not None else self.numerics.threads
        numerics = replace(self.numerics, threads=share).apply()
        with ExitStack() as stack:
            stack.callback(self.numerics.apply)
            nursery = stack.enter_context(Nursery()) if self.request.memory else None
            for outcome in self.outcomes:
                finished = {name: outcome.entered[name] for name in by_model(outcome)}
                if not finished:
                    continue
                folder = self.store.task_folder(outcome.contest.spec.name)
                measured = Measured.load(folder, finished, memory=nursery is not None)
                if measured is None and self._out_of_time():
                    self.tell(f"the time is up: {outcome.contest.spec.name} is not measured until the study goes on")
                    continue
                if measured is None:
                    self.tell(f"measuring {outcome.contest.spec.name}: step time in turn, latency, memory")
                    measured = measure_contest(outcome.contest, finished, self.settings, numerics, nursery)
                    measured.save(folder)
                outcome.measured = measured.models
                self.pair_difference = max(measured.pair_difference, self.pair_difference or 0.0)

    def _document(self) -> dict[str, Any]:
        steady = None if self.pair_difference is None else self.pair_difference <= UNSTEADY
        settings = self.request.to_json()
        return {
            "version": 1,
            "kind": "compare",
            "created": self.created,
            "command": self.request.command,
            "seconds": time.monotonic() - self.started,
            "machine": machine(self.numerics, steady=steady, pair_difference=self.pair_difference),
            "numerics": self.numerics.to_json(),
            "settings": {**settings, "budget": self.settings.budget, "unfinished": self.unfinished},
            "tasks": {outcome.contest.spec.name: table.task_entry(outcome) for outcome in self.outcomes},
            "table": [row for outcome in self.outcomes for row in table.rows(outcome, self.request)],
            "runs": [entry for outcome in self.outcomes for entry in table.run_entries(outcome)],
            "verdicts": verdicts(self.outcomes),
            "recommendation": [recommend(outcome, self.request) for outcome in self.outcomes],
            "trials": [entry for outcome in self.outcomes for entry in outcome.searches.values()],
            "details": [entry for outcome in self.outcomes for entry in table.details(outcome)],
            "samples": [entry for outcome in self.outcomes for entry in table.samples(outcome)],
            "scale": None,
        }
