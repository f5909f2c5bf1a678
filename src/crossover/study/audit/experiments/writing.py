"""What language models write: how well they predict a text, and what the passages are like that they go on with.

Shape suffixes: N passages, B those of a batch, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from crossover.errors import ConfigError, DataError
from crossover.inference.decode import Drawer, Sampling, continuations
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import Bootstrap, Interval, bootstrap, score_interval
from crossover.models.model import SequenceModel
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import UNTRAINED, Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.gradients import mean_interval
from crossover.study.audit.experiments.language_runs import (
    Runs,
    TextSettings,
    equal_models,
    read_text_task,
    trained_scope,
)
from crossover.study.audit.experiments.text_figures import FOLDS, Known, distinct_shares, told_apart
from crossover.study.audit.words import Said, _, number
from crossover.study.outcome import RESAMPLES
from crossover.tasks.base import Sums
from crossover.tasks.language.modeling import LanguageModeling
from crossover.train.evaluate import evaluate
from crossover.train.results import RunResult
from crossover.train.settings import TrainSettings

REAL = "real text"
_BITS = "bits_per_character"
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class WritingSettings(TextSettings):
    """Every model goes on with `passages` openings of the test text, a quarter of a block each, to the block's end.

    Tokens are drawn at `temperature`. `orders` are the n of the n-grams of words that are looked at.
    """

    orders: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    passages: int = 300
    temperature: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        Sampling(temperature=self.temperature)
        if not self.orders or min(self.orders) < 1 or list(self.orders) != sorted(set(self.orders)):
            raise ConfigError(f"orders={list(self.orders)} must be positive numbers in increasing order")
        if self.passages < 2 * FOLDS:
            raise ConfigError(f"passages={self.passages}: telling them apart needs {2 * FOLDS} or more")
        if self.block < 8:
            raise ConfigError(f"block={self.block}: a passage with an opening needs 8 steps or more")


@dataclass(frozen=True)
class Passages:
    """Openings [N, T] of the test text, what really follows each, and as much real text from elsewhere in it."""

    openings_NT: torch.Tensor
    real: list[str]
    other: list[str]


def measure_writing(settings: WritingSettings, bench: Bench) -> Evidence:
    """Bits per character and the ``difference`` from the 5-gram; ``distinct``, ``copied`` and ``told apart``, each
    beside what real text gives."""
    if settings.task is None:
        return Evidence.unmeasured(UNTRAINED)
    try:
        task = read_text_task(settings)
        passages = cut_passages(task, settings)
    except DataError as error:
        return Evidence.unmeasured(str(error))
    known = Known.of(_train_text(task), settings.orders)
    curves = [*_texts(REAL, [passages.real], known, settings, baseline=True)]
    curves.append(_apart(REAL, [told_apart(passages.real, passages.other)], baseline=True))
    predicted: dict[str, list[Sums]] = {}
    runs = Runs(bench, "writing", settings)
    stages = Stages(bench, "writing", len(settings.models))
    for name, model in equal_models(task, settings.models, settings.sizes).items():
        stages.begin(f"{name}, {settings.seeds} seeds of {settings.budget}")
        results = _trained(runs, task, model, settings)
        predicted[name] = [_scored(result, task, settings, bench.numerics) for result in results]
        written = [
            write_passages(result.model, task, passages, settings, bench.numerics, seed)
            for seed, result in enumerate(results)
        ]
        curves += _texts(name, written, known, settings)
        curves.append(_apart(name, [told_apart(passages.real, one) for one in written]))
    curves += _predictions(task, predicted)
    return Evidence(curves=tuple(curves), scope=_scope(settings, bench), how=_how(settings))


def cut_passages(task: LanguageModeling, settings: WritingSettings) -> Passages:
    """Whole blocks spread over the test text, every other of them to be gone on with; DataError for too few."""
    blocks = task.splits["test"]
    whole = blocks.starts_N[blocks.lengths_N == blocks.block]
    if len(whole) < 2 * settings.passages:
        raise DataError(
            f"the test text of {task.spec.name} has {len(whole)} blocks of {blocks.block} steps: {settings.passages} "
            f"passages and as many to compare need {2 * settings.passages}"
        )
    starts_N = whole[np.linspace(0, len(whole) - 1, 2 * settings.passages).astype(np.int64)]
    steps_NT = blocks.tokens[starts_N[:, None] + np.arange(blocks.block)]
    openings_NT, rest_NT = np.split(steps_NT, [blocks.block // 4], axis=1)
    texts = [task.vocabulary.decode(row) for row in rest_NT.tolist()]
    return Passages(torch.from_numpy(openings_NT[::2].copy()), texts[::2], texts[1::2])


def write_passages(
    model: SequenceModel,
    task: LanguageModeling,
    passages: Passages,
    settings: WritingSettings,
    numerics: Numerics,
    seed: int,
) -> list[str]:
    """What the model writes after each opening, as long as what really follows."""
    sampling = Sampling(temperature=settings.temperature, seed=seed)
    steps = settings.block - passages.openings_NT.shape[1]
    texts: list[str] = []
    for openings_BT in passages.openings_NT.split(_ROWS_AT_ONCE):
        choose = Drawer(sampling, len(openings_BT), first=len(texts))
        drawn = list(continuations(model, openings_BT, steps, numerics, choose))
        texts += [task.vocabulary.decode(row) for row in torch.stack(drawn, dim=1).tolist()]
    return texts


def _train_text(task: LanguageModeling) -> str:
    return task.vocabulary.decode(task.splits["train"].tokens.tolist())


def _trained(runs: Runs, task: LanguageModeling, model: ModelSettings, settings: WritingSettings) -> list[RunResult]:
    return [
        runs.train(model.name, task, model, TrainSettings(budget=settings.budget, batch=settings.batch, seed=seed))
        for seed in range(settings.seeds)
    ]


def _scored(result: RunResult, task: LanguageModeling, settings: WritingSettings, numerics: Numerics) -> Sums:
    return evaluate(result.model, task, "test", numerics=numerics, batch_rows=settings.batch, samples=0).items


def _predictions(task: LanguageModeling, predicted: Mapping[str, Sequence[Sums]]) -> list[Curve]:
    """Bits per character of models and n-grams, and each model's less the strong n-gram's."""

    def drawn(items: Sequence[Sums], others: Sequence[Sums] | None = None) -> Bootstrap:
        return bootstrap(items, others, task.summarise, _BITS, block=task.spec.item_block, resamples=RESAMPLES)

    curves = []
    for name, items in predicted.items():
        curves.append(_at_once(name, "bits", drawn(items).interval()))
    for simple in task.baselines("test"):
        items = [simple.items or {}]
        curves.append(_at_once(simple.name, "bits", drawn(items).interval(), baseline=True))
        for name in predicted if simple.kind == "strong" else ():
            difference = drawn(predicted[name], items).interval()
            curves.append(_at_once(name, "difference", difference, against=simple.name))
    return curves


def _texts(
    name: str, texts: Sequence[Sequence[str]], known: Known, settings: WritingSettings, **labels: bool
) -> list[Curve]:
    """What the texts of each seed are like; those of real text are one, and exact but for the passages drawn."""
    items = [known.items(one) for one in texts]
    shares = np.array([distinct_shares(one, settings.orders) for one in texts]).T.tolist()
    copied = [
        score_interval(items, _copied, str(place), resamples=RESAMPLES).cut(0.0, 1.0)
        for place in range(len(settings.orders))
    ]
    distinct = [
        mean_interval(row).cut(0.0, 1.0) if len(row) > 1 else Interval(row[0], row[0], row[0]) for row in shares
    ]
    return [
        Curve(name=name, measure="copied", x=settings.orders, y=tuple(copied), labels=labels),
        Curve(name=name, measure="distinct", x=settings.orders, y=tuple(distinct), labels=labels),
    ]


def _copied(sums: Sums) -> dict[str, float]:
    shares = sums["copied"] / np.maximum(sums["all"], 1e-12)
    return {str(place): float(share) for place, share in enumerate(shares)}


def _apart(name: str, items: Sequence[Sums], **labels: bool) -> Curve:
    interval = score_interval(items, _accuracy, "accuracy", resamples=RESAMPLES).cut(0.0, 1.0)
    return _at_once(name, "told apart", interval, **labels)


def _accuracy(sums: Sums) -> dict[str, float]:
    return {"accuracy": float(sums["correct"] / sums["count"])}


def _at_once(name: str, measure: str, interval: Interval, **labels: str | bool) -> Curve:
    """A single figure as a curve."""
    return Curve(name=name, measure=measure, x=("test text",), y=(interval,), labels=labels)


def _scope(settings: WritingSettings, bench: Bench) -> Said:
    return _(
        "{trained}; {passages} passages of {steps} steps drawn at temperature {temperature}; {device}",
        trained=trained_scope(settings),
        passages=number(settings.passages),
        steps=number(settings.block - settings.block // 4),
        temperature=number(settings.temperature),
        device=bench.device,
    )


def _how(settings: WritingSettings) -> tuple[Said, ...]:
    return (
        _(
            "Each model goes on with openings of {opening} steps from the test text; real text is what stands there. "
            "Words that a passage's ends may cut are left out.",
            opening=number(settings.block // 4),
        ),
        _(
            "A classifier (logistic regression on n-grams of one to four characters) learns on four fifths of the "
            "passages and their real counterparts and tells the rest; 50 % is a guess. Real passages against other "
            "real ones are told for comparison."
        ),
        _(
            "Intervals come from a bootstrap over passages or blocks and seeds, those of distinct n-grams from the "
            "spread over seeds."
        ),
    )


WRITING = Experiment(
    settings=WritingSettings,
    run=measure_writing,
    measures={
        "copied": Axes(
            x=_("n of the n-grams of words"), y=_("share that stands in the training text"), log_x=False, log_y=False
        ),
        "distinct": Axes(x=_("n of the n-grams of words"), y=_("share that is distinct"), log_x=False, log_y=False),
        "bits": Axes(x=_("text"), y=_("bits per character"), log_x=False, log_y=False),
        "difference": Axes(x=_("text"), y=_("difference of bits per character"), log_x=False, log_y=False),
        "told apart": Axes(x=_("text"), y=_("accuracy of the classifier"), log_x=False, log_y=False),
    },
    full={"task": "language-modeling/tinyshakespeare"},
)
