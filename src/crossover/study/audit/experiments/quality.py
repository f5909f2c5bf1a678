"""What models reach on tasks under one budget: comparisons as `crossover compare` makes them, as evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

from crossover.errors import DataError
from crossover.measure.statistics import Interval
from crossover.parallel.layout import SINGLE
from crossover.study.audit.evidence import UNTRAINED, Axes, Bench, Curve, Evidence, Experiment, Label, Stages
from crossover.study.audit.experiments.cases import Case, QualitySettings, between, of_series
from crossover.study.audit.experiments.contrasts import Contrast, by_bucket, decided, gain, margin_of, trend
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.compare import Comparison
from crossover.study.outcome import Outcome, by_model
from crossover.study.verdict import verdicts_by_outcome


@dataclass(frozen=True)
class Found:
    """What came out of a case, and the series of cases that it is of; "" where it stands by itself."""

    outcome: Outcome
    series: str = ""


def measure_quality(settings: QualitySettings, bench: Bench) -> Evidence:
    """Scores of every model and baseline in every case, and the verdicts of all pairs, corrected together."""
    if not settings.cases:
        return Evidence.unmeasured(UNTRAINED)
    trained, missing = carry_out(settings, bench)
    cases, without = in_buckets(settings, trained)
    return Evidence(
        curves=(
            *score_curves(cases),
            *_differences(cases),
            *_trends(settings, cases),
            *_gains(settings, trained),
            *_courses(settings, trained),
            *_by_kind(trained),
        ),
        scope=scope_of(settings, trained, bench),
        how=_how(settings),
        missing=(*missing, *without),
    )


def carry_out(settings: QualitySettings, bench: Bench) -> tuple[dict[str, Found], list[Said]]:
    """What came out of every case that is trained, and what could not be."""
    found: dict[str, Found] = {}
    missing: list[Said] = []
    cases = [(case, trained) for case in settings.cases for trained in case.trained()]
    stages = Stages(bench, "quality", len(cases))
    for case, trained in cases:
        stages.begin(trained.name)
        try:
            outcome = _outcome(settings, trained, bench)
        except DataError as error:
            bench.tell(f"{trained.name}: {error}")
            missing.append(_("{case}: {reason}", case=trained.name, reason=str(error)))
            continue
        found[trained.name] = Found(outcome, case.name if case.shares else "")
    return found, missing


def in_buckets(settings: QualitySettings, trained: Mapping[str, Found]) -> tuple[dict[str, Found], list[Said]]:
    """The cases that are judged: those that were trained, or their buckets."""
    by = {case.name: case for case in settings.cases if case.edges}
    judged: dict[str, Found] = {}
    missing: list[Said] = []
    for name, found in trained.items():
        case = by.get(name)
        if case is None:
            judged[name] = found
            continue
        try:
            buckets = by_bucket(found.outcome, case.by, case.edges)
        except KeyError:
            missing.append(_("{case}: its rows have no {statistic}", case=name, statistic=case.by))
            continue
        judged |= {
            of_series(name, f"{between(low, high)} {case.by}"): Found(outcome, name)
            for (low, high), outcome in buckets.items()
        }
    return judged, missing


def _outcome(settings: QualitySettings, case: Case, bench: Bench) -> Outcome:
    """A case's study, in a folder of its own for what it trains, where an interrupted one is gone on with."""
    told = json.dumps(settings.training(case), sort_keys=True)
    folder = bench.store.folder / "studies" / hashlib.sha256(told.encode()).hexdigest()[:12]
    comparison = Comparison(settings.request(case, bench), folder, tell=bench.tell)
    comparison.carry_out(measure=False)
    comparison.save()
    return comparison.outcomes[0]


def score_curves(cases: Mapping[str, Found]) -> list[Curve]:
    """One curve for each model and baseline, over the cases that have it."""
    outcomes = {case: found.outcome for case, found in cases.items()}
    names = dict.fromkeys(name for outcome in outcomes.values() for name in (*by_model(outcome), *outcome.baselines))
    curves = []
    for name in names:
        scores = {case: outcome.score(name) for case, outcome in outcomes.items()}
        found = {case: score for case, score in scores.items() if score is not None}
        labels: dict[str, Label] = {"baseline": True} if any(name in o.baselines for o in outcomes.values()) else {}
        labels |= _direction(outcomes.values())
        if found:
            curves.append(Curve(name=name, measure="score", x=tuple(found), y=tuple(found.values()), labels=labels))
    return curves


def _direction(outcomes: Iterable[Outcome]) -> dict[str, Label]:
    """The label of scores of which less is better."""
    return {} if any(outcome.contest.spec.higher_is_better for outcome in outcomes) else {"lower_is_better": True}


def _differences(cases: Mapping[str, Found]) -> list[Curve]:
    """One curve for each pair and case: the corrected interval, and who is better by its task's margin."""
    names = {id(found.outcome): case for case, found in cases.items()}
    curves = []
    for outcome, verdict in verdicts_by_outcome([found.outcome for found in cases.values()]):
        if verdict["metric"] != outcome.contest.spec.metric:
            continue
        case = names[id(outcome)]
        labels: dict[str, Label] = {"against": verdict["b"], "verdict": verdict["verdict"]}
        if cases[case].series:
            labels["series"] = cases[case].series
        corrected = Interval.from_json(verdict["corrected"])
        curves.append(Curve(name=verdict["a"], measure="difference", x=(case,), y=(corrected,), labels=labels))
    return curves


def _trends(settings: QualitySettings, cases: Mapping[str, Found]) -> list[Curve]:
    """How much the difference of two models grows from one bucket to the next, in each case that has buckets."""
    contrasts = []
    for name in (case.name for case in settings.cases if case.edges):
        buckets = [found.outcome for found in cases.values() if found.series == name]
        if len(buckets) > 1:
            pairs = combinations(by_model(buckets[0]), 2)
            contrasts += [Contrast(name, trend(buckets), a, b) for a, b in pairs]
    return contrast_curves("trend", contrasts)


def _gains(settings: QualitySettings, trained: Mapping[str, Found]) -> list[Curve]:
    """Each model's gain, and the differences of gains between models."""
    single, pairs = [], []
    for wanted in settings.gains:
        if wanted.case in trained and wanted.over in trained:
            case, over = trained[wanted.case].outcome, trained[wanted.over].outcome
            parts, margin = gain(case, over), margin_of(case)
            models = [name for name in by_model(case) if name in by_model(over)]
            single += [Contrast(wanted.name, parts, model, margin=margin) for model in models]
            pairs += [Contrast(wanted.name, parts, a, b, margin) for a, b in combinations(models, 2)]
    return [*contrast_curves("gain", single), *contrast_curves("interaction", pairs)]


def _courses(settings: QualitySettings, trained: Mapping[str, Found]) -> list[Curve]:
    """Each model's scores along each course, those of every seed among them, over the cases that it finished."""
    curves = []
    for course in settings.courses:
        reached = [
            (at, trained[case].outcome) for at, case in zip(course.at, course.cases, strict=True) if case in trained
        ]
        labels = {"series": course.name, **_direction(outcome for _at, outcome in reached)}
        for name in dict.fromkeys(model for _at, outcome in reached for model in by_model(outcome)):
            scored = [(at, outcome, score) for at, outcome in reached if (score := outcome.score(name)) is not None]
            curves.append(
                Curve(
                    name=name,
                    measure="score along",
                    x=tuple(at for at, _outcome, _score in scored),
                    y=tuple(score for _at, _outcome, score in scored),
                    labels=labels,
                    samples=tuple(
                        tuple(record.score.value for record in outcome.records(name) if record.score is not None)
                        for _at, outcome, _score in scored
                    ),
                )
            )
    return curves


def _by_kind(trained: Mapping[str, Found]) -> list[Curve]:
    """Each model's score on each kind of row, in the cases whose tasks tell kinds apart: mean and range of seeds."""
    curves = []
    for case, found in trained.items():
        labels = {"series": case, **_direction([found.outcome])}
        prefix = f"{found.outcome.contest.spec.metric}@"
        for name, records in by_model(found.outcome).items():
            kinds = [key for key in records[0].summary if key.startswith(prefix)]
            samples = tuple(tuple(record.summary[key] for record in records) for key in kinds)
            if kinds:
                curves.append(
                    Curve(
                        name=name,
                        measure="score by kind",
                        x=tuple(key.removeprefix(prefix) for key in kinds),
                        y=tuple(Interval(mean(seeds), min(seeds), max(seeds)) for seeds in samples),
                        labels=labels,
                        samples=samples,
                    )
                )
    return curves


def contrast_curves(measure: str, contrasts: Sequence[Contrast]) -> list[Curve]:
    """One curve for each contrast: its interval and which side of 0 it is on, corrected over all of them."""
    curves = []
    for contrast, decision in decided(contrasts):
        labels: dict[str, Label] = {"verdict": decision.verdict, "margin": contrast.margin}
        if contrast.b is not None:
            labels["against"] = contrast.b
        curves.append(
            Curve(name=contrast.a, measure=measure, x=(contrast.name,), y=(decision.corrected,), labels=labels)
        )
    return curves


def scope_of(settings: QualitySettings, trained: Mapping[str, Found], bench: Bench) -> Said:
    """The cases with their sizes and budgets, the seeds and the device; "" where nothing was trained."""
    if not trained:
        return ""
    return _(
        "{cases}; equal parameters, {seeds} seeds, {device}",
        cases=listing(_case_scope(name, found.outcome) for name, found in trained.items()),
        seeds=number(settings.seeds),
        device=bench.device,
    )


def _case_scope(name: str, outcome: Outcome) -> Said:
    spec, task = outcome.contest.spec, outcome.contest.task
    records = [record for found in by_model(outcome).values() for record in found]
    told: Said = name
    if records and records[0].layout != SINGLE:
        told = _("{case} ({layout})", case=name, layout=records[0].layout)
    if outcome.folds > 1:
        told = _("{case} at {count} rolling origins", case=told, count=number(outcome.folds))
    return _(
        "{case}: {metric} on {rows} test rows of {task}, {budget} a run",
        case=told,
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
        *(
            _(
                "{gain}: how much better the score is on {case} than on {over}, over the same test rows and seeds.",
                gain=gained.name,
                case=gained.case,
                over=gained.over,
            )
            for gained in settings.gains
        ),
    )


QUALITY = Experiment(
    settings=QualitySettings,
    run=measure_quality,
    measures={
        "score": Axes(x=_("case"), y=_("test score"), log_x=False, log_y=False),
        "difference": Axes(x=_("case"), y=_("difference of test scores"), log_x=False, log_y=False),
        "trend": Axes(x=_("case"), y=_("growth of the difference from bucket to bucket"), log_x=False, log_y=False),
        "gain": Axes(x=_("case"), y=_("gain in test score"), log_x=False, log_y=False),
        "score by kind": Axes(x=_("kind of row"), y=_("test score"), log_x=False, log_y=False),
        "score along": Axes(x=_("place along the course"), y=_("test score")),
        "interaction": Axes(x=_("case"), y=_("difference of gains"), log_x=False, log_y=False),
    },
    full={"seeds": 5},
)
