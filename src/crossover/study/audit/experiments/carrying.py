"""What a state carried from segment to segment is worth: memory on against off at equal FLOPs, on one text.

Dai et al. 2019, "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context", arXiv 1901.02860; of a
recurrent model the same is truncated backpropagation through time. Shape suffixes: N blocks of the test text, P parts
of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from torch import nn

from crossover.costs import Shape
from crossover.errors import ConfigError, DataError
from crossover.measure.statistics import bootstrap, decide, score_interval
from crossover.models.counting import model_cost
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import UNTRAINED, Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths
from crossover.study.audit.experiments.language_runs import (
    Runs,
    TextSettings,
    equal_models,
    read_text_task,
    trained_scope,
)
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.outcome import RESAMPLES
from crossover.tasks.base import Batch, Sums, Task
from crossover.tasks.language.modeling import LanguageModeling
from crossover.train.budget import Budget
from crossover.train.evaluate import evaluate
from crossover.train.settings import TrainSettings

ON, OFF = "memory on", "memory off"


@dataclass(frozen=True, kw_only=True)
class CarryingSettings(TextSettings):
    """Every model trained on `batch` streams of segments of `block` steps, its state carried on or not.

    `contexts` are the numbers of steps after which the state starts anew in scoring, whole segments beyond the first.
    `budget` is a number of steps, those with memory; without it there are as many more as cost the same FLOPs.
    """

    models: tuple[str, ...] = ("transformer-xl", "lstm", "mingru")
    contexts: tuple[int, ...] = (128, 256, 512, 1024, 2048, 4096)
    block: int = 64
    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lengths("contexts", self.contexts)
        if any(context % self.block for context in self.contexts) or self.contexts[0] == self.block:
            raise ConfigError(
                f"contexts={list(self.contexts)} must be multiples of block={self.block}, from the second on"
            )
        if Budget.parse(self.budget).kind != "steps":
            raise ConfigError(f"budget={self.budget}: equal FLOPs need a number of steps, like 2000steps")


class Restarting:
    """The same batches in the same order, of which every `every`-th says that it continues no other."""

    def __init__(self, task: LanguageModeling, every: int) -> None:
        self.task, self.every = task, every

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def batches(self, *args: Any, **given: Any) -> Iterator[Batch]:
        """As the task's."""
        for place, batch in enumerate(self.task.batches(*args, **given), start=given.get("start", 0)):
            yield replace(batch, continues=batch.continues and place % self.every > 0)


def measure_carrying(settings: CarryingSettings, bench: Bench) -> Evidence:
    """``loss`` against the context, ``loss by position`` in a segment, and per context the ``difference``: the loss
    with memory less the loss without, on the segments beyond the first, corrected by Holm over a model's contexts."""
    if settings.task is None:
        return Evidence.unmeasured(UNTRAINED)
    try:
        task = read_text_task(settings, carry=True)
        places_N = segment_places(task, settings)
    except DataError as error:
        return Evidence.unmeasured(str(error))
    runs = Runs(bench, "carrying", settings)
    stages = Stages(bench, "carrying", 2 * len(settings.models))
    curves: list[Curve] = []
    models = equal_models(task, settings.models, settings.sizes)
    for name, model in models.items():
        found: dict[str, dict[int, list[Sums]]] = {}
        for memory in (ON, OFF):
            stages.begin(f"{name}, {memory}, {settings.seeds} seeds")
            trained = _trained(runs, task, model, memory, settings)
            found[memory] = {
                context: [_scored(one, task, context, settings, bench) for one in trained]
                for context in (settings.block, *settings.contexts)
            }
            curves.append(_by_context(name, task, found[memory], memory=memory))
            read = settings.contexts[-1] if memory == ON else settings.block
            curves.append(_by_position(name, task, found[memory][read], memory=memory))
        curves += _differences(name, task, found, places_N)
    steps = listing(f"{name} {steps_without(model, task, settings):,}" for name, model in models.items())
    how = (*_how(settings), _("Training steps without memory: {steps}.", steps=steps))
    return Evidence(curves=tuple(curves), scope=_scope(settings, bench), how=how)


def segment_places(task: LanguageModeling, settings: CarryingSettings) -> np.ndarray:
    """The place of each block of the test text in its stream, [N]; DataError where no stream is long enough."""
    places_N = np.zeros(task.size("test"), dtype=np.int64)
    read = task.batches("test", seed=0, epoch=0, batch=2 * settings.batch)
    for place, batch in enumerate(read):
        places_N[batch.rows_B.numpy()] = place
    longest = (int(places_N.max()) + 1) * settings.block
    if longest < settings.contexts[-1]:
        raise DataError(
            f"the test text of {task.spec.name} is read in streams of {longest} steps: contexts up to "
            f"{settings.contexts[-1]} need a longer text"
        )
    return places_N


def steps_without(model: ModelSettings, task: LanguageModeling, settings: CarryingSettings) -> int:
    """Training steps without memory that cost the FLOPs of the budget's steps with it."""
    steps = Budget.parse(settings.budget).amount
    costs = [_step_flops(model, task, settings, context) for context in (settings.contexts[-1], 0)]
    return round(steps * costs[0] / costs[1])


def _step_flops(model: ModelSettings, task: LanguageModeling, settings: CarryingSettings, context: int) -> float:
    """FLOPs of a training step behind `context` steps, without those for keys that are not there."""
    shape = Shape(batch=settings.batch, time=settings.block, context=context)
    cost = model_cost(model, task.spec.inputs, task.spec.outputs, shape, causal=True)
    return sum(
        (term.flops_forward + term.flops_backward) * (1 - term.flops_skipped / max(term.flops_forward, 1))
        for term in cost.terms
    )


def _trained(
    runs: Runs, task: LanguageModeling, model: ModelSettings, memory: str, settings: CarryingSettings
) -> list[nn.Module]:
    """One model a seed; without memory every batch starts anew, and nothing else differs."""
    subject = task if memory == ON else Restarting(task, 1)
    budget = settings.budget if memory == ON else f"{steps_without(model, task, settings)}steps"
    return [
        runs.train(
            f"{model.name}, {memory}",
            cast(Task, subject),
            model,
            TrainSettings(budget=budget, batch=settings.batch, seed=seed, evaluations=5),
        ).model
        for seed in range(settings.seeds)
    ]


def _scored(model: nn.Module, task: LanguageModeling, context: int, settings: CarryingSettings, bench: Bench) -> Sums:
    """Test items where the state starts anew after every `context` steps."""
    read = cast(Task, Restarting(task, context // settings.block))
    return evaluate(
        model, read, "test", numerics=bench.numerics, batch_rows=settings.batch, samples=0, carry=True
    ).items


def _by_context(name: str, task: LanguageModeling, found: Mapping[int, Sequence[Sums]], *, memory: str) -> Curve:
    return Curve(
        name=name,
        measure="loss",
        x=tuple(found),
        y=tuple(
            score_interval(items, task.summarise, "loss", block=task.spec.item_block, resamples=RESAMPLES)
            for items in found.values()
        ),
        labels={"memory": memory},
    )


def _by_position(name: str, task: LanguageModeling, items: Sequence[Sums], *, memory: str) -> Curve:
    """At the first step of each part of a segment, counted from 1."""
    parts = items[0]["loss_by_position"].shape[1]
    intervals = [
        score_interval(items, partial(_part_loss, part=part), "loss", resamples=RESAMPLES) for part in range(parts)
    ]
    firsts = task.objective.edges_P[:-1] + 1
    return Curve(
        name=name,
        measure="loss by position",
        x=tuple(int(first) for first in firsts),
        y=tuple(intervals),
        labels={"memory": memory},
    )


def _part_loss(sums: Sums, part: int) -> dict[str, float]:
    return {"loss": float(sums["loss_by_position"][part] / sums["count_by_position"][part])}


def _differences(
    name: str, task: LanguageModeling, found: Mapping[str, Mapping[int, Sequence[Sums]]], places_N: np.ndarray
) -> Iterator[Curve]:
    """A curve per context: the corrected interval, and ``verdict`` a where memory is better, b where it is worse."""
    block, *contexts = found[ON]
    compared = []
    for context in contexts:
        beyond_N = places_N % (context // block) > 0
        on, off = (
            [{key: values[beyond_N] for key, values in run.items()} for run in items]
            for items in (found[ON][context], found[OFF][block])
        )
        compared.append(bootstrap(on, off, task.summarise, "loss", block=task.spec.item_block, resamples=RESAMPLES))
    decisions = decide(compared, [0.0] * len(compared), [False] * len(compared))
    for context, decision in zip(contexts, decisions, strict=True):
        labels = {"verdict": decision.verdict}
        yield Curve(name=name, measure="difference", x=(context,), y=(decision.corrected,), labels=labels)


def _scope(settings: CarryingSettings, bench: Bench) -> Said:
    return _(
        "{trained}; segments of {block} steps, context {first} to {last}; {device}",
        trained=trained_scope(settings),
        block=number(settings.block),
        first=number(settings.contexts[0]),
        last=number(settings.contexts[-1]),
        device=bench.device,
    )


def _how(settings: CarryingSettings) -> tuple[Said, ...]:
    return (
        _(
            "Each model is trained on the same segments in the same order, from the same weights: with memory its "
            "state goes on from segment to segment, without it every segment starts from nothing."
        ),
        _(
            "Equal are parameters and counted training FLOPs: attention to keys that are not there is not counted, "
            "and training without memory takes more steps for it."
        ),
        _(
            "Scored is the test text, the state started anew after every so many steps of context. Differences are "
            "those on the segments beyond the first, from a paired bootstrap over segments and seeds, corrected by "
            "Holm over the contexts."
        ),
    )


CARRYING = Experiment(
    settings=CarryingSettings,
    run=measure_carrying,
    measures={
        "loss": Axes(x=_("steps of context"), y=_("loss of the next character, nats"), log_y=False),
        "loss by position": Axes(x=_("step of the segment"), y=_("loss of the next character, nats"), log_y=False),
        "difference": Axes(x=_("steps of context"), y=_("loss with memory less loss without, nats"), log_y=False),
    },
    full={"task": "language-modeling/tinyshakespeare"},
)
