"""What models reach on tasks under one budget: comparisons as `crossover compare` makes them, as evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from crossover.config import build
from crossover.data.options import DataOptions
from crossover.errors import ConfigError, DataError
from crossover.measure.statistics import Interval
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Label, Stages
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.compare import Comparison
from crossover.study.outcome import Outcome, by_model
from crossover.study.request import CompareRequest
from crossover.study.verdict import verdicts_by_outcome
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task under one condition: `data` are fields of `DataOptions`, its ``settings`` among them.

    `budget` None is the task's own; `resplit` draws a new split for every seed.
    """

    name: str
    task: str
    data: Mapping[str, Any] = field(default_factory=dict)
    budget: str | None = None
    resplit: bool = False

    def options(self) -> DataOptions:
        """Its data options, checked."""
        options: DataOptions = build(DataOptions, self.data, path=f"{self.name}.data")
        return options


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """Every model on every case, `seeds` times, with the parameters of the first model.

    `model_changes` are dotted model settings that all get. No case at all says that this level does not measure it.
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    cases: tuple[Case, ...] = ()
    seeds: int = 3
    trials: int = 1
    model_changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"case {name!r} is given twice: name each once")
        for case in self.cases:
            case.options()

    def request(self, case: Case, bench: Bench) -> CompareRequest:
        """The comparison that a case is."""
        return CompareRequest(
            tasks=(case.task,),
            models=self.models,
            data=case.options(),
            train=TrainSettings(budget=case.budget),
            seeds=self.seeds,
            trials=self.trials,
            resplit=case.resplit,
            device=bench.numerics.device,
            precision=bench.numerics.precision,
            memory=False,
            model_changes=dict(self.model_changes),
        )


def measure_quality(settings: QualitySettings, bench: Bench) -> Evidence:
    """Scores of every model and baseline in every case, and the verdicts of all pairs, corrected together."""
    outcomes: dict[str, Outcome] = {}
    missing: list[Said] = []
    if not settings.cases:
        missing.append(_("the level quick does not train for this claim: --level full does"))
    stages = Stages(bench, "quality", len(settings.cases))
    for case in settings.cases:
        stages.begin(case.name)
        try:
            outcomes[case.name] = _outcome(settings, case, bench)
        except DataError as error:
            bench.tell(f"{case.name}: {error}")
            missing.append(_("{case}: {reason}", case=case.name, reason=str(error)))
    return Evidence(
        curves=(*_scores(outcomes), *_differences(outcomes)),
        scope=_scope(settings, outcomes, bench),
        how=_how(settings),
        missing=tuple(missing),
    )


def _outcome(settings: QualitySettings, case: Case, bench: Bench) -> Outcome:
    """A case's study, in a folder of its own, where an interrupted one is gone on with."""
    told = json.dumps(asdict(replace(settings, cases=(case,))), sort_keys=True)
    folder = bench.store.folder / "studies" / hashlib.sha256(told.encode()).hexdigest()[:12]
    comparison = Comparison(settings.request(case, bench), folder, tell=bench.tell)
    comparison.carry_out(measure=False)
    comparison.save()
    return comparison.outcomes[0]


def _scores(outcomes: Mapping[str, Outcome]) -> list[Curve]:
    """One curve for each model and baseline, over the cases that have it."""
    names = dict.fromkeys(name for outcome in outcomes.values() for name in (*by_model(outcome), *outcome.baselines))
    curves = []
    for name in names:
        scores = {case: outcome.score(name) for case, outcome in outcomes.items()}
        found = {case: score for case, score in scores.items() if score is not None}
        labels: dict[str, Label] = {"baseline": True} if any(name in o.baselines for o in outcomes.values()) else {}
        if not any(outcome.contest.spec.higher_is_better for outcome in outcomes.values()):
            labels["lower_is_better"] = True
        if found:
            curves.append(Curve(name=name, measure="score", x=tuple(found), y=tuple(found.values()), labels=labels))
    return curves


def _differences(outcomes: Mapping[str, Outcome]) -> list[Curve]:
    """One curve for each pair and case: the corrected interval, and who is better by its task's margin."""
    cases = {id(outcome): case for case, outcome in outcomes.items()}
    return [
        Curve(
            name=verdict["a"],
            measure="difference",
            x=(cases[id(outcome)],),
            y=(Interval.from_json(verdict["corrected"]),),
            labels={"against": verdict["b"], "verdict": verdict["verdict"]},
        )
        for outcome, verdict in verdicts_by_outcome(list(outcomes.values()))
        if verdict["metric"] == outcome.contest.spec.metric
    ]


def _scope(settings: QualitySettings, outcomes: Mapping[str, Outcome], bench: Bench) -> Said:
    return _(
        "{cases}; equal parameters, {seeds} seeds, {device}",
        cases=listing(_case_scope(name, outcome) for name, outcome in outcomes.items()) or _("nothing"),
        seeds=number(settings.seeds),
        device=bench.device,
    )


def _case_scope(name: str, outcome: Outcome) -> Said:
    spec, task = outcome.contest.spec, outcome.contest.task
    records = [record for found in by_model(outcome).values() for record in found]
    return _(
        "{case}: {metric} on {rows} test rows of {task}, {budget} a run",
        case=name,
        metric=spec.metric,
        rows=f"{task.size('test'):,}",
        task=spec.name,
        budget=records[0].budget if records else spec.budget,
    )


def _how(settings: QualitySettings) -> tuple[Said, ...]:
    return (
        _(
            "Each of {models} was trained {seeds} times with the parameters of {first}; settings tried for each: "
            "{trials}. Differences are from a paired bootstrap over test rows and seeds, corrected by Holm over all.",
            models=listing(settings.models),
            seeds=number(settings.seeds),
            first=settings.models[0],
            trials=number(settings.trials),
        ),
    )


QUALITY = Experiment(
    settings=QualitySettings,
    run=measure_quality,
    measures={
        "score": Axes(x=_("case"), y=_("test score"), log_x=False, log_y=False),
        "difference": Axes(x=_("case"), y=_("difference of test scores"), log_x=False, log_y=False),
    },
    full={"seeds": 5},
)
