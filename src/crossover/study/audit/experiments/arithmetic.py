"""What can be counted: parameters at several lengths, and the FLOPs of one layer over lengths and widths."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from crossover.costs import Execution, Shape
from crossover.errors import ConfigError, MeasurementError
from crossover.models.backbones import mixer_settings
from crossover.models.counting import count_parameters
from crossover.models.mixers.base import MixerSettings
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment
from crossover.study.audit.words import _, listing, number

_VOCABULARY = 256


@dataclass(frozen=True, kw_only=True)
class ParameterSettings:
    """Models built for each of `lengths`, at one width and depth."""

    models: tuple[str, ...] = ("elman", "lstm", "gru", "transformer", "gpt")
    lengths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)
    width: int = 128
    layers: int = 2

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)


@dataclass(frozen=True, kw_only=True)
class FlopSettings:
    """One layer of each model's mixer over a grid of lengths and widths."""

    models: tuple[str, ...] = ("elman", "lstm", "gru", "attention")
    lengths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)
    widths: tuple[int, ...] = (64, 128, 256, 512)

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)
        check_lengths("widths", self.widths)


def check_lengths(name: str, values: tuple[int, ...]) -> None:
    """Two or more increasing positive numbers, or a ConfigError."""
    if len(values) < 2 or min(values) < 1 or list(values) != sorted(set(values)):
        raise ConfigError(f"{name}={list(values)} must be two or more positive numbers in increasing order")


def layer(model: str, width: int) -> MixerSettings:
    """One causal layer of the first mixer of `model`, at `width`."""
    settings = replace(parse_model(model), width=width, layers=1)
    return mixer_settings(settings, causal=True)[0]


def count_all_parameters(settings: ParameterSettings, bench: Bench) -> Evidence:
    """Parameters of a model that is built to take sequences of each length."""
    ends = {"inputs": Tokens(vocabulary=_VOCABULARY), "outputs": PerStep(size=_VOCABULARY), "causal": True}
    curves = []
    for name in settings.models:
        model = replace(parse_model(name), width=settings.width, layers=settings.layers)
        counts = [count_parameters(replace(model, max_length=t), **ends).total for t in settings.lengths]  # type: ignore[arg-type]
        curves.append(Curve.counted(name, "parameters", settings.lengths, counts))
    return Evidence(
        curves=tuple(curves),
        scope=_(
            "{models}, width {width}, {layers} layers, vocabulary {vocabulary}, length {from} to {to}, counted",
            models=listing(settings.models),
            width=number(settings.width),
            layers=number(settings.layers),
            vocabulary=number(_VOCABULARY),
            **{"from": number(settings.lengths[0]), "to": number(settings.lengths[-1])},
        ),
        how=(
            _(
                "All parameters are counted, embedding and output layer included, of a model that is built to take "
                "sequences of that length."
            ),
        ),
    )


def count_flops(settings: FlopSettings, bench: Bench) -> Evidence:
    """Forward FLOPs of one row through one layer, from the cost formulas, which are checked against a counted run."""
    curves = []
    for name in settings.models:
        _check_against_run(name, settings.lengths[0], settings.widths[0])
        for width in settings.widths:
            mixer = layer(name, width)
            counts = [mixer.cost(Shape(batch=1, time=t), Execution()).flops_forward for t in settings.lengths]
            curves.append(Curve.counted(name, "flops", settings.lengths, counts, width=width))
    return Evidence(
        curves=tuple(curves),
        scope=_(
            "one layer of {models}, one row, length {from} to {to}, width {narrow} to {wide}, counted",
            models=listing(settings.models),
            narrow=number(settings.widths[0]),
            wide=number(settings.widths[-1]),
            **{"from": number(settings.lengths[0]), "to": number(settings.lengths[-1])},
        ),
        how=(
            _(
                "Forward floating-point operations of matrix products are counted (a multiply-add as two, causal "
                "attention in full), and checked against PyTorch's counter on the written-out layer."
            ),
        ),
    )


def _check_against_run(name: str, time: int, width: int) -> None:
    """Compare the formula with PyTorch's counter on the definition, on the meta device."""
    settings = layer(name, width)
    expected = settings.cost(Shape(batch=1, time=time), Execution(fused=False)).flops_forward
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        settings.build().definition(torch.empty(1, time, width))
    if counter.get_total_flops() != expected:
        raise MeasurementError(
            f"{name} at length {time} and width {width}: the cost formula gives {expected:g} FLOPs, PyTorch counts "
            f"{counter.get_total_flops():g}"
        )


PARAMETERS = Experiment(
    settings=ParameterSettings,
    run=count_all_parameters,
    measures={"parameters": Axes(x=_("length"), y=_("parameters"), log_y=True)},
    full={},
)
FLOPS = Experiment(
    settings=FlopSettings,
    run=count_flops,
    measures={"flops": Axes(x=_("length"), y=_("FLOPs of a layer"))},
    full={"lengths": (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384), "widths": (64, 128, 256, 512, 1024)},
)
