"""What the causal mask is for: a language model with it and without, on a text whose entropy is known.

Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, section 3.2.3: the decoder's self-attention hides
the steps after each one, which the encoder's sees.
Shape suffixes: N rows, T steps of a row, P lengths of a prefix.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields, replace
from math import log
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from crossover.errors import ConfigError
from crossover.inference.forward import batch_outputs
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import bootstrap, score_interval
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths
from crossover.study.audit.experiments.language_runs import Runs, equal_models
from crossover.study.audit.words import Said, _, listing, number
from crossover.study.outcome import RESAMPLES
from crossover.tasks.base import Batch, Sums, Task
from crossover.tasks.language.blocks import TextBlocks
from crossover.tasks.language.modeling import SETTINGS, LanguageModeling
from crossover.tasks.objectives import IGNORE
from crossover.train.settings import TrainSettings

SHARES = (0.4, 0.3, 0.2, 0.1)
"""Probabilities of the symbols that may follow one."""
SYMBOLS = "abcdefghijklmnop"
ENTROPY, CHANCE = "the text's own chances", "equal chances"
"""What predicts each symbol with the probability that it was drawn with, and with that of a guess."""
MASKED, UNMASKED = "causal mask", "no mask"
IN_VIEW, ALONE = "row in view", "prefix alone"
_TRAIN, _VALID = 100_000, 4_000


@dataclass(frozen=True, kw_only=True)
class MaskingSettings:
    """Every model with the causal mask and without, `seeds` times, on the same batches for the same steps.

    `prefixes` are the numbers of symbols after which the next one is predicted, below `block`, at whose last step it
    is in no model's sight. `rows` blocks are scored. `learning_rate` is every model's.
    """

    models: tuple[str, ...] = ("gpt",)
    prefixes: tuple[int, ...] = (2, 4, 8, 16, 31)
    block: int = 32
    width: int = 32
    layers: int = 1
    batch: int = 32
    budget: str = "300steps"
    learning_rate: float = 1e-2
    rows: int = 250
    seeds: int = 3

    def __post_init__(self) -> None:
        check_lengths("prefixes", self.prefixes)
        if self.prefixes[-1] >= self.block:
            raise ConfigError(f"prefixes up to {self.prefixes[-1]} need a block of more steps, not {self.block}")
        if self.seeds < 2:
            raise ConfigError(f"seeds={self.seeds}: an interval over seeds needs 2 or more")


@dataclass(frozen=True, kw_only=True)
class InnerSteps(TextBlocks):
    """Blocks of a text whose last step is not scored: the symbol after it stands in no row."""

    def gather(self, rows_B: np.ndarray) -> Batch:
        """The batch of these blocks."""
        batch = super().gather(rows_B)
        last_B1 = (batch.lengths_B - 1)[:, None]
        return replace(batch, targets=batch.targets.scatter(1, last_B1, IGNORE))


def measure_masking(settings: MaskingSettings, bench: Bench) -> Evidence:
    """Loss of the next symbol at the end of each prefix: of the prefix alone, and with the row that follows in view.

    ``difference`` curves hold differences over all prefixes: of the loss with the row in view and the chain's own,
    which no model undercuts that does not see the next symbol; of the loss from the prefix alone and that of equal
    shares; and of this loss without the mask and with it.
    """
    task, losses_NP = chain_task(settings)
    chain, chance = _items(losses_NP), _items(np.full_like(losses_NP, log(len(SYMBOLS))))
    curves = [_curve(ENTROPY, [chain], settings, baseline=True), _curve(CHANCE, [chance], settings, baseline=True)]
    runs = Runs(bench, "masking", settings)
    stages = Stages(bench, "masking", 2 * len(settings.models))
    for name, model in equal_models(task, settings.models, _sizes(settings)).items():
        alone: dict[str, list[Sums]] = {}
        for mask in (MASKED, UNMASKED):
            stages.begin(f"{name}, {mask}, {settings.seeds} seeds of {settings.budget}")
            trained = _trained(runs, task, model, mask, settings)
            in_view, alone[mask] = (
                [next_losses(one, task, settings, bench.numerics, reads=reads) for one in trained]
                for reads in (IN_VIEW, ALONE)
            )
            curves += [
                _curve(name, in_view, settings, mask=mask, reads=IN_VIEW),
                _curve(name, alone[mask], settings, mask=mask, reads=ALONE),
                _difference(name, in_view, [chain], mask=mask, against=ENTROPY),
                _difference(name, alone[mask], [chance], mask=mask, against=CHANCE),
            ]
        curves.append(_difference(name, alone[UNMASKED], alone[MASKED], mask=UNMASKED, against=MASKED))
    return Evidence(curves=tuple(curves), scope=_scope(settings, bench), how=_how(settings))


def chain_task(settings: MaskingSettings) -> tuple[LanguageModeling, np.ndarray]:
    """Language modelling of a random chain of symbols, and what the chain itself loses at each prefix, [N, P].

    Each symbol is followed by one of four, with `SHARES`; which four is drawn once. All symbols are equally frequent.
    """
    rng = np.random.default_rng(7)
    after_SK = rng.permutation(len(SYMBOLS))[
        (np.arange(len(SYMBOLS))[:, None] + np.arange(len(SHARES))) % len(SYMBOLS)
    ]
    texts, drawn = {}, {}
    sizes = {"train": _TRAIN, "valid": _VALID, "test": settings.rows * settings.block + 1}
    for split, size in sizes.items():
        drawn[split] = rng.choice(len(SHARES), size=size, p=SHARES)
        state, symbols = 0, []
        for choice in drawn[split]:
            state = after_SK[state, choice]
            symbols.append(SYMBOLS[state])
        texts[split] = "".join(symbols)
    given = {name: setting.default for name, setting in SETTINGS.items()} | {"block": settings.block}
    task = LanguageModeling("chain", texts, given)  # type: ignore[arg-type]
    task.splits = {
        split: InnerSteps(**{field.name: getattr(blocks, field.name) for field in fields(blocks)})
        for split, blocks in task.splits.items()
    }
    losses_NT = -np.log(np.array(SHARES))[drawn["test"][1:]].reshape(settings.rows, settings.block)
    return task, losses_NT[:, np.array(settings.prefixes) - 1]


@torch.inference_mode()
def next_losses(model: nn.Module, task: Task, settings: MaskingSettings, numerics: Numerics, *, reads: str) -> Sums:
    """The loss of the symbol after each prefix of every test row, [N, P]: read in the whole row, or by itself."""
    found = []
    for given in task.batches("test", seed=0, epoch=0, batch=4 * settings.batch):
        losses_PB = []
        for length in settings.prefixes:
            read = given if reads == IN_VIEW else _cut(given, length)
            outputs_BTV, batch = batch_outputs(model, read, numerics)
            last = length - 1
            losses_PB.append(F.cross_entropy(outputs_BTV[:, last], batch.targets[:, last], reduction="none"))
        found.append(torch.stack(losses_PB, dim=1))
    return _items(torch.cat(found).numpy(force=True))


def _cut(batch: Batch, length: int) -> Batch:
    return replace(
        batch,
        inputs=batch.inputs[:, :length],
        targets=batch.targets[:, :length],
        lengths_B=torch.full_like(batch.lengths_B, length),
    )


def _items(losses_NP: np.ndarray) -> Sums:
    return {"losses": losses_NP.astype(np.float64), "rows": np.ones(len(losses_NP))}


def _summarise(sums: Sums) -> dict[str, float]:
    """The mean loss over all prefixes, and at each of them by its place."""
    losses_P = sums["losses"] / sums["rows"]
    return {"loss": float(losses_P.mean()), **{str(p): float(loss) for p, loss in enumerate(losses_P)}}


def _trained(
    runs: Runs, task: LanguageModeling, model: ModelSettings, mask: str, settings: MaskingSettings
) -> list[nn.Module]:
    """One model a seed; without the mask it is an encoder, on the same batches of the same task."""
    if mask == UNMASKED:
        task, model = copy(task), replace(model, causal=False)
        task.spec = replace(task.spec, causal=False)
    return [
        runs.train(
            f"{model.name}, {mask}",
            cast(Task, task),
            model,
            TrainSettings(
                budget=settings.budget,
                batch=settings.batch,
                learning_rate=settings.learning_rate,
                seed=seed,
                evaluations=1,
            ),
        ).model
        for seed in range(settings.seeds)
    ]


def _sizes(settings: MaskingSettings) -> dict[str, float]:
    return {"width": settings.width, "layers": settings.layers, "dropout": 0.0}


def _curve(name: str, runs: list[Sums], settings: MaskingSettings, **labels: str | bool) -> Curve:
    """The loss at each prefix."""
    return Curve(
        name=name,
        measure="loss",
        x=settings.prefixes,
        y=tuple(score_interval(runs, _summarise, str(p), resamples=RESAMPLES) for p in range(len(settings.prefixes))),
        labels=labels,
    )


def _difference(name: str, runs: list[Sums], others: list[Sums], **labels: str) -> Curve:
    """The mean loss over all prefixes, less that of the others on the same rows."""
    drawn = bootstrap(runs, others, _summarise, "loss", resamples=RESAMPLES)
    return Curve(name=name, measure="difference", x=("all prefixes",), y=(drawn.interval(),), labels=labels)


def _scope(settings: MaskingSettings, bench: Bench) -> Said:
    return _(
        "{models} of width {width} with {layers} layers, {seeds} seeds of {budget} on blocks of {block} symbols of a "
        "generated text, {device}",
        models=listing(settings.models),
        width=number(settings.width),
        layers=number(settings.layers),
        seeds=number(settings.seeds),
        budget=settings.budget,
        block=number(settings.block),
        device=bench.device,
    )


def _how(settings: MaskingSettings) -> tuple[Said, ...]:
    return (
        _(
            "Each of {symbols} symbols is followed by one of {choices}, with probabilities {shares}: less than their "
            "entropy, {entropy} nats, no model can lose that does not see the next symbol.",
            symbols=number(len(SYMBOLS)),
            choices=number(len(SHARES)),
            shares=listing(number(share) for share in SHARES),
            entropy=f"{-sum(share * log(share) for share in SHARES):.2f}",
        ),
        _(
            "The model is trained with the mask and without, from the same weights, on the same batches; without it "
            "every step sees the whole row, as in an encoder."
        ),
        _("The last step of a row is not trained, since the symbol after it stands in no row."),
        _(
            "On {rows} new rows the symbol after each prefix is predicted twice: with the row that follows in view, "
            "as in training, and from the prefix alone, as in writing.",
            rows=number(settings.rows),
        ),
    )


MASKING = Experiment(
    settings=MaskingSettings,
    run=measure_masking,
    measures={
        "loss": Axes(x=_("symbols of the prefix"), y=_("loss of the next symbol, nats"), log_y=False),
        "difference": Axes(x=_("prefixes"), y=_("difference of losses, nats"), log_x=False, log_y=False),
    },
    full={"models": ("gpt", "transformer", "lstm"), "budget": "1000steps", "rows": 500, "seeds": 5},
)
