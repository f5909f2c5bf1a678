"""What pre-training gains: models that start from it against twins of their size with new weights, task by task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crossover.errors import ConfigError, DataError, TrainingError
from crossover.models.presets import parse_model, preset_name, with_setting
from crossover.study.audit.evidence import UNTRAINED, Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.cases import Case, QualitySettings
from crossover.study.audit.experiments.contrasts import Contrast, alone, margin_of
from crossover.study.audit.experiments.quality import (
    Found,
    carry_out,
    contrast_curves,
    in_buckets,
    scope_of,
    score_curves,
)
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.contest import enter, read_task
from crossover.study.outcome import by_model
from crossover.train.loop import train
from crossover.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(QualitySettings):
    """Every model is trained on the case `pretraining`, and then on every case from there and from new weights.

    `model_changes` are for the pre-training, where the first model sets the parameters of the others: what starts
    from it has its sizes.
    """

    pretraining: Case = field(
        default_factory=lambda: Case(name="Python's documentation", task="masked-language-modeling/python-docs")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pretraining.options()
        if self.gains:
            raise ConfigError("gains of one case over another are the experiment quality's: leave them out")


@dataclass(frozen=True)
class _Starts:
    """A model as it enters the cases: started from its pre-training, and its twin with new weights."""

    model: str
    pretrained: str
    fresh: str


def measure_pretraining(settings: PretrainingSettings, bench: Bench) -> Evidence:
    """Scores of every model from both starts, and what each gains, corrected together."""
    if not settings.cases:
        return Evidence.unmeasured(UNTRAINED)
    try:
        starts = _pretrain(settings, bench)
    except (DataError, TrainingError) as error:
        return Evidence.unmeasured(_("{case}: {reason}", case=settings.pretraining.name, reason=str(error)))
    names = tuple(name for start in starts for name in (start.pretrained, start.fresh))
    entered = QualitySettings(models=names, cases=settings.cases, seeds=settings.seeds, trials=settings.trials)
    trained, untrained = carry_out(entered, bench)
    cases, without = in_buckets(entered, trained)
    return Evidence(
        curves=(*_named(score_curves(cases), starts), *_named(_gains(cases, starts), starts)),
        scope=scope_of(entered, trained, bench),
        how=_how(settings),
        missing=(*untrained, *without),
    )


def _pretrain(settings: PretrainingSettings, bench: Bench) -> list[_Starts]:
    """Train every model on the texts without labels; runs that the study's folder already holds are read back."""
    case = settings.pretraining
    task = read_task(case.task, case.options(), ())
    # How long a step takes is asked only where models are matched by it.
    contest = enter(task, settings.models, "params", lambda model: 0.0, settings.model_changes)
    told = {key: getattr(case, key) for key in ("task", "data", "budget")}
    told |= {"models": settings.models, "model_changes": settings.model_changes}
    place = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    stages = Stages(bench, "pre-training", len(settings.models))
    starts = []
    for name, model in zip(settings.models, contest.models, strict=True):
        stages.begin(name)
        kind = preset_name(parse_model(name))
        folder = bench.store.folder / "pretraining" / place / kind
        train(task, model, TrainSettings(budget=case.budget), numerics=bench.numerics, folder=folder, resume=True)
        started = with_setting(kind, "from", str(folder))
        starts.append(_Starts(name, started, with_setting(started, "fresh", "true")))
    return starts


def _gains(cases: Mapping[str, Found], starts: list[_Starts]) -> list[Curve]:
    """The score from pre-training less that from new weights, of each model in each case."""
    return contrast_curves(
        "gain",
        [
            Contrast(case, alone(found.outcome), start.pretrained, start.fresh, margin_of(found.outcome))
            for case, found in cases.items()
            for start in starts
            if {start.pretrained, start.fresh} <= by_model(found.outcome).keys()
        ],
    )


def _named(curves: list[Curve], starts: list[_Starts]) -> list[Curve]:
    """The curves under the names of the models, where each started being a condition."""
    by_name = {start.pretrained: (start.model, "pre-trained") for start in starts}
    by_name |= {start.fresh: (start.model, "new weights") for start in starts}
    named = []
    for curve in curves:
        model, began = by_name.get(curve.name, (curve.name, ""))
        labels = {key: value for key, value in curve.labels.items() if key != "against"}
        if curve.measure == "score" and began:
            labels["start"] = began
        named.append(replace(curve, name=model, labels=labels))
    return named


def _how(settings: PretrainingSettings) -> tuple[Said, ...]:
    case = settings.pretraining
    return (
        _(
            "Each of {models} was first trained on {task} for {budget}, then {seeds} times on each case from there, "
            "and as often from new weights at the same size. Gains are from a paired bootstrap over test rows and "
            "seeds, corrected by Holm over all.",
            models=listing(settings.models),
            task=case.task,
            budget=case.budget or _("the budget of the task"),
            seeds=number(settings.seeds),
        ),
    )


PRETRAINING = Experiment(
    settings=PretrainingSettings,
    run=measure_pretraining,
    measures={
        "score": Axes(x=_("case"), y=_("test score"), log_x=False, log_y=False),
        "gain": Axes(x=_("case"), y=_("gain in test score"), log_x=False, log_y=False),
    },
    full={"seeds": 5},
)
