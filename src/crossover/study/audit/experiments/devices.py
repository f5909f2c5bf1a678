"""How many times as fast a GPU is as a CPU: measured where there is one, else predicted from the machines' files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import torch

from crossover.errors import ConfigError, unknown
from crossover.measure.clock import UNSTEADY
from crossover.measure.numerics import Numerics, processor
from crossover.measure.statistics import Interval, median_interval
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.workload import PASSES, Workload
from crossover.parallel.layout import Layout
from crossover.planning.here import this_machine
from crossover.planning.machine import load_machine
from crossover.planning.predict import Planner
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Label, Stages
from crossover.study.audit.experiments.arithmetic import check_lengths
from crossover.study.audit.experiments.predicted import ratio
from crossover.study.audit.experiments.several_ranks import RankSettings, sized_workload
from crossover.study.audit.words import Said, _, listing, number

_ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class DeviceSettings(RankSettings):
    """Steps over `lengths` for each of `batches`, on a CPU and on a GPU; without one, on `gpu` by its file."""

    layouts: tuple[str, ...] = ()
    passes: tuple[str, ...] = ("train",)
    lengths: tuple[int, ...] = (64, 256, 1024)
    batches: tuple[int, ...] = (8, 64)
    width: int = 256
    layers: int = 4
    gpu: str = "a100-80"

    def __post_init__(self) -> None:
        check_lengths("lengths", self.lengths)
        for kind in self.passes:
            if kind not in PASSES:
                raise ConfigError(unknown("pass", kind, PASSES))
        load_machine(self.gpu)


def compare_devices(settings: DeviceSettings, bench: Bench) -> Evidence:
    """For each model, pass and batch: the CPU's seconds over the GPU's, by length."""
    measured = torch.cuda.is_available()
    conditions = list(product(settings.models, settings.passes, settings.batches))
    stages, curves, apart = Stages(bench, "devices", len(conditions)), list[Curve](), list[float]()
    for name, kind, batch in conditions:
        stages.begin(f"{name}, {kind}, batch {batch}")
        labels: dict[str, Label] = {"pass": kind, "batch": batch}
        labels |= {} if measured else {"by": "predicted"}
        ratios = []
        for length in settings.lengths:
            sized = replace(settings, length=length)
            workload = sized_workload(name, sized, batch, Numerics.default("cpu"), kind=kind)
            found, difference = _measured(workload) if measured else (_predicted(workload, settings.gpu), 0.0)
            ratios.append(found)
            apart.append(difference)
        curves.append(Curve(name=name, measure="GPU over CPU", x=settings.lengths, y=tuple(ratios), labels=labels))
    bench.numerics.apply()
    return Evidence(
        curves=tuple(curves),
        scope=_scope(settings, measured),
        how=(_("The same workload on both devices, each with its own fastest kernels; the ratio is of medians."),)
        if measured
        else (
            _(
                "Predicted, not measured: both from the files of the machines, whose figures have their sources "
                "(docs/planning.md); bands are 80 % intervals of the planner."
            ),
        ),
        steady=max(apart) <= UNSTEADY if measured else None,
        missing=() if measured else (_("a GPU: there is none here, so what is told is predicted"),),
    )


def _measured(workload: Workload) -> tuple[Interval, float]:
    """The ratio of the seconds, and how far the CPU's are from themselves.

    The devices are not timed in turn, so the interval is as wide as those of both medians allow.
    """
    taken, difference = dict[str, Interval](), 0.0
    for device in ("cpu", "cuda"):
        watch = Stopwatch()
        watch.begin("step", replace(workload, numerics=Numerics.default(device).apply()))
        if device == "cpu":
            difference = watch.pair_difference("step", rounds=_ROUNDS, device=device)
        seconds = watch.time(["step"], rounds=_ROUNDS, minimum=3, device=device, time_limit=20.0)["step"]
        taken[device] = median_interval(seconds)
    cpu, cuda = taken["cpu"], taken["cuda"]
    return Interval(cpu.value / cuda.value, cpu.low / cuda.high, cpu.high / cuda.low), difference


def _predicted(workload: Workload, gpu: str) -> Interval:
    here = this_machine(processor(), workload.numerics.threads, 1) or load_machine("cpu")
    cpu, there = (Planner(workload.job(), machine).predict(Layout()) for machine in (here, load_machine(gpu)))
    return ratio(cpu, there)


def _scope(settings: DeviceSettings, measured: bool) -> Said:
    return _(
        "{models}: {layers} blocks, width {width}, batch {batches}, {device} against {gpu}",
        models=listing(settings.models),
        layers=number(settings.layers),
        width=number(settings.width),
        batches=listing(map(number, settings.batches)),
        device=processor(),
        gpu=torch.cuda.get_device_name() if measured else load_machine(settings.gpu).title,
    )


DEVICES = Experiment(
    settings=DeviceSettings,
    run=compare_devices,
    measures={"GPU over CPU": Axes(x=_("length"), y=_("times as fast as the CPU"))},
    full={"passes": ("train", "encode"), "lengths": (64, 256, 1024, 4096), "batches": (1, 8, 64)},
)
