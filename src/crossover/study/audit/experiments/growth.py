"""What must be measured as it grows: time of one layer against length and width, peak memory and state by pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from crossover.errors import ConfigError, unknown
from crossover.measure.clock import time_in_turn
from crossover.measure.latency import state_bytes
from crossover.measure.memory import Nursery
from crossover.measure.numerics import Numerics
from crossover.measure.statistics import median_interval
from crossover.measure.workload import PASSES, Pass, Workload
from crossover.models.counting import count_parameters
from crossover.models.initialise import initialise
from crossover.models.matching import match_parameters
from crossover.models.mixers.base import Span
from crossover.models.model import build_model
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.models.settings import ModelSettings
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths, layer
from crossover.study.audit.words import Said, _, listing, number

_SAMPLES = 3
"""Processes that peak memory is measured in, each by itself."""


@dataclass(frozen=True, kw_only=True)
class TimeSettings:
    """Forward and backward of one layer on `batch` rows: over `lengths` at `width`, over `widths` at `length`.

    All are timed in turn, `rounds` times unless `seconds` are spent first.
    """

    models: tuple[str, ...] = ("elman", "lstm", "gru", "attention")
    lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    width: int = 128
    widths: tuple[int, ...] = (64, 128, 256, 512)
    length: int = 256
    batch: int = 8
    rounds: int = 15
    seconds: float = 30.0

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)
        check_lengths("widths", self.widths)


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    """Peak memory of whole models over `lengths`, in each of `passes`; widths matched in parameters to the first.

    `unfused` names the models that are also measured with the definition of their mixer (scores written out).
    """

    models: tuple[str, ...] = ("lstm", "transformer")
    unfused: tuple[str, ...] = ()
    passes: tuple[str, ...] = PASSES
    lengths: tuple[int, ...] = (256, 512, 1024, 2048)
    width: int = 128
    layers: int = 2
    batch: int = 1

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)
        for kind in self.passes:
            if kind not in PASSES:
                raise ConfigError(unknown("pass", kind, PASSES))
        for name in self.unfused:
            if name not in self.models:
                raise ConfigError(unknown("model in unfused", name, self.models))


def time_layers(settings: TimeSettings, bench: Bench) -> Evidence:
    """Seconds of a layer's forward and backward, all sizes in turn, an A-A pair of the longest first."""
    sizes = sorted(
        {(t, settings.width) for t in settings.lengths} | {(settings.length, width) for width in settings.widths},
        reverse=True,
    )
    calls = {
        f"{name} {time} {width}": layer_pass(name, time, width, settings.batch, bench.numerics)
        for time, width in sizes
        for name in settings.models
    }
    turns = time_in_turn(
        calls, rounds=settings.rounds, device=bench.numerics.device, time_limit=settings.seconds, warmup=1
    )
    curves = []
    for name in settings.models:
        along = {
            "time": [(t, f"{name} {t} {settings.width}") for t in settings.lengths],
            "time by width": [(width, f"{name} {settings.length} {width}") for width in settings.widths],
        }
        for measure, points in along.items():
            seconds = [turns.timings[key].seconds for _x, key in points]
            curves.append(
                Curve(
                    name=name,
                    measure=measure,
                    x=tuple(x for x, _key in points),
                    y=tuple(median_interval(taken) for taken in seconds),
                    samples=tuple(tuple(taken) for taken in seconds),
                )
            )
    return Evidence(
        curves=tuple(curves),
        scope=_(
            "one layer of {models}, forward and backward, batch {batch}, length {from} to {to} at width {width}, "
            "{device}",
            models=listing(settings.models),
            batch=number(settings.batch),
            width=number(settings.width),
            device=bench.device,
            **{"from": number(settings.lengths[0]), "to": number(settings.lengths[-1])},
        ),
        how=(
            _(
                "Times are medians of {rounds} rounds in which all sizes are measured in turn, after a warm-up and a "
                "pair of equal measurements.",
                rounds=number(len(next(iter(turns.timings.values())).seconds)),
            ),
        ),
        steady=turns.steady,
    )


def layer_pass(name: str, time: int, width: int, batch: int, numerics: Numerics) -> Callable[[], Any]:
    """A call that runs one layer forward and backward, gradients of its input and its weights taken."""
    mixer = layer(name, width).build()
    initialise(mixer, 0)
    mixer.to(numerics.device)
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(batch, time, width, generator=generator).to(numerics.device).requires_grad_()

    def run() -> None:
        mixer.zero_grad(set_to_none=True)
        x_BTD.grad = None
        with numerics.autocast():
            y_BTD, _state = mixer(x_BTD, None, Span(carry=False))
        y_BTD.float().sum().backward()

    return run


def measure_memory(settings: MemorySettings, bench: Bench) -> Evidence:
    """Peak bytes of each model, pass and length in fresh processes, and the bytes of the carried state."""
    models = _matched(settings)
    measured: list[Curve] = []
    missing: list[Said] = []
    parts = [
        (kind, name, fused)
        for kind in settings.passes
        for name in models
        for fused in ((True, False) if name in settings.unfused else (True,))
    ]
    stages = Stages(bench, "memory", len(parts))
    with Nursery() as nursery:
        for kind, name, fused in parts:
            stages.begin(f"{name}, {kind}" + ("" if fused else ", without fused kernels"))
            workload = Workload(
                model=models[name],
                batch=settings.batch,
                kind=cast(Pass, kind),
                fused=fused,
                numerics=bench.numerics,
            )
            curve, reasons = _memory_curve(nursery, workload, name, settings.lengths)
            measured.append(curve)
            missing += reasons
    states = [_state_curve(name, model, settings, bench) for name, model in models.items()]
    return Evidence(
        curves=(*(curve for curve in measured if curve.x), *states),
        scope=_(
            "{models} of equal parameters, {layers} layers, batch {batch}, length {from} to {to}, {device}",
            models=listing(f"{name} ({model.width})" for name, model in models.items()),
            layers=number(settings.layers),
            batch=number(settings.batch),
            device=bench.device,
            **{"from": number(settings.lengths[0]), "to": number(settings.lengths[-1])},
        ),
        how=(
            _(
                "Peak memory is what a fresh process grows by above its size before the model is built, measured in "
                "{samples} processes; training includes a step of AdamW.",
                samples=number(_SAMPLES),
            ),
            _("The numbers in brackets are the widths at which the models have equal parameters."),
        ),
        missing=tuple(missing),
    )


def _matched(settings: MemorySettings) -> dict[str, ModelSettings]:
    """The models by name at equal parameters without embedding and head; each long enough for every length."""
    ends: dict[str, Any] = {"inputs": Tokens(vocabulary=256), "outputs": PerStep(size=256), "causal": True}
    models: dict[str, ModelSettings] = {}
    target = None
    for name in settings.models:
        model = replace(
            parse_model(name), width=settings.width, layers=settings.layers, max_length=settings.lengths[-1] + 64
        )
        if target is None:
            target = count_parameters(model, **ends).without_embedding
        models[name] = match_parameters(model, **ends, target=target) if models else model
    return models


def _memory_curve(
    nursery: Nursery, workload: Workload, name: str, lengths: tuple[int, ...]
) -> tuple[Curve, list[Said]]:
    """Peak bytes by length, up to the first length that cannot be measured, and why it cannot."""
    x, y, samples = [], [], []
    missing: list[Said] = []
    for length in lengths:
        peaks = [nursery.peak(replace(workload, time=length), repeats=1) for _ in range(_SAMPLES)]
        reason = next((peak.reason for peak in peaks if peak.bytes is None), None)
        if reason is not None:
            missing.append(
                _(
                    "{model}, {pass}, length {length}: {reason}",
                    model=name,
                    length=number(length),
                    reason=reason,
                    **{"pass": PASS_NAMES[workload.kind]},
                )
            )
            break
        taken = tuple(float(peak.bytes or 0) for peak in peaks)
        x.append(length)
        y.append(median_interval(taken))
        samples.append(taken)
    labels = {"pass": workload.kind} | ({} if workload.fused else {"kernel": "unfused"})
    return Curve(name=name, measure="memory", x=tuple(x), y=tuple(y), labels=labels, samples=tuple(samples)), missing


def _state_curve(name: str, settings_of_model: ModelSettings, settings: MemorySettings, bench: Bench) -> Curve:
    workload = Workload(model=settings_of_model, batch=settings.batch, numerics=bench.numerics)
    model = build_model(settings_of_model, workload.inputs, workload.outputs, causal=True, seed=0)
    model.to(bench.numerics.device)
    sizes = [state_bytes(model, length, bench.numerics, batch=settings.batch) or 0 for length in settings.lengths]
    return Curve.counted(name, "state", settings.lengths, sizes)


PASS_NAMES: Mapping[str, Said] = {
    "train": _("training"),
    "encode": _("encoding whole sequences"),
    "decode": _("decoding step by step"),
}

TIME = Experiment(
    settings=TimeSettings,
    run=time_layers,
    measures={
        "time": Axes(x=_("length"), y=_("seconds of a layer, forward and backward")),
        "time by width": Axes(x=_("width"), y=_("seconds of a layer, forward and backward")),
    },
    full={"lengths": (128, 256, 512, 1024, 2048, 4096, 8192), "rounds": 40, "seconds": 300.0},
)
MEMORY = Experiment(
    settings=MemorySettings,
    run=measure_memory,
    measures={
        "memory": Axes(x=_("length"), y=_("peak bytes")),
        "state": Axes(x=_("length"), y=_("bytes of the carried state")),
    },
    full={"lengths": (256, 512, 1024, 2048, 4096, 8192)},
)
