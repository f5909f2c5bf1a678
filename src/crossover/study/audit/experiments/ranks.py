"""What ranks say to one another in a training step, what of that is exposed, and how they wait for a slow one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from crossover.errors import ConfigError
from crossover.measure.spread import prepare_spread
from crossover.measure.statistics import Interval, median_interval
from crossover.measure.workload import Workload
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import everyones, largest, make_mesh
from crossover.parallel.timeline import split_time, watching
from crossover.parallel.traffic import Traffic
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.experiments.predicted import Foreseen, exposed_share, foretell
from crossover.study.audit.experiments.several_ranks import (
    RankSettings,
    check_layouts,
    each_case,
    here_and_not,
    how_done,
    scope_of,
    sized_workload,
)
from crossover.study.audit.words import Said, _

_WARM_UP = 2


@dataclass(frozen=True, kw_only=True)
class ExchangeSettings(RankSettings):
    """Training steps for each of `batches` (rows); `steps` of them are looked at, after two that are not."""

    batches: tuple[int, ...] = (4, 16, 64)
    steps: int = 7
    foreseen: Foreseen = field(default_factory=Foreseen)

    def __post_init__(self) -> None:
        check_layouts(self.layouts, self.steps)
        if list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 4:
            raise ConfigError(f"batches={list(self.batches)} must increase and start at 4 or more")


@dataclass(frozen=True, kw_only=True)
class SlowRankSettings(RankSettings):
    """The same at one `batch`, the last rank slowed: its step takes each of `factors` times as long as by itself."""

    factors: tuple[float, ...] = (1.0, 1.1, 1.25, 1.5, 2.0)
    batch: int = 16
    steps: int = 7

    def __post_init__(self) -> None:
        check_layouts(self.layouts, self.steps)
        if list(self.factors) != sorted(set(self.factors)) or self.factors[0] < 1:
            raise ConfigError(f"factors={list(self.factors)} must increase and start at 1 or more")


@dataclass(frozen=True)
class Exchange:
    """One rank's bytes in a step, and of every step the shares that all ranks together spend on it and wait."""

    sent: int
    exposed: tuple[float, ...]
    waiting: tuple[float, ...]
    seconds: tuple[float, ...]


def watch(workload: Workload, layout: Layout, steps: int, slowed: float) -> Exchange:
    """On every rank: some steps, the last rank sleeping `slowed` seconds before each."""
    workload.numerics.apply()
    mesh = make_mesh(layout)
    step = prepare_spread(workload, layout, mesh)
    for _warming in range(_WARM_UP):
        step()
    exposed, waiting, seconds, sent = list[float](), list[float](), list[float](), 0
    for _step in range(steps):
        largest([0.0], mesh.world)
        with Traffic(*mesh.axes) as traffic, watching() as timeline:
            if mesh.world.last and slowed:
                time.sleep(slowed)
            step()
        ranks = everyones((timeline.events, timeline.now()), mesh.world)
        whole = max(taken for _events, taken in ranks)
        splits = split_time([events for events, _taken in ranks], [taken for _events, taken in ranks])
        exposed.append(max(split.communication for split in splits) / whole)
        waiting.append(max(split.wait + split.bubble for split in splits) / whole)
        seconds.append(whole)
        sent = sum(entry.bytes for entry in traffic.sent() if entry.operation != "receive")
    return Exchange(sent, tuple(exposed), tuple(waiting), tuple(seconds))


def measure_exchange(settings: ExchangeSettings, bench: Bench) -> Evidence:
    """For each model and layout: bytes that a rank sends in a step, and the exposed share of it, over the batch."""
    layouts, missing = here_and_not(settings.layouts)
    stages = Stages(bench, "exchange", len(settings.models) * len(layouts) * len(settings.batches))
    curves = []
    with closing(each_case(bench, settings.models, layouts)) as cases:
        for layout, name, team, numerics in cases:
            found = []
            for batch in settings.batches:
                stages.begin(f"{name}, {layout}, batch {batch}")
                workload = sized_workload(name, settings, batch, numerics)
                found.append(team.run(watch, workload, Layout.parse(layout), settings.steps, 0.0))
            sent = [one.sent for one in found]
            curves.append(Curve.counted(name, "bytes sent", settings.batches, sent, layout=layout))
            shares = [median_interval(one.exposed) for one in found]
            curves.append(_curve(name, "exposed share", settings.batches, shares, layout))
    return Evidence(
        curves=tuple(curves),
        scope=scope_of(settings, bench),
        how=(*how_done(layouts), exposed_means()),
        missing=tuple(missing),
        foretold=foretell(settings.foreseen, exposed_share, _("exposed share of a step")),
    )


def measure_slow_rank(settings: SlowRankSettings, bench: Bench) -> Evidence:
    """For each model and layout: the share of a step that the ranks wait, over how slow the last one is."""
    layouts, missing = here_and_not(settings.layouts)
    stages = Stages(bench, "slow-rank", len(settings.models) * len(layouts) * len(settings.factors))
    curves = []
    with closing(each_case(bench, settings.models, layouts)) as cases:
        for layout, name, team, numerics in cases:
            workload, shares, alone = sized_workload(name, settings, settings.batch, numerics), list[Interval](), 0.0
            for factor in settings.factors:
                stages.begin(f"{name}, {layout}, {factor:g} times as long")
                slowed = (factor - 1) * alone
                found = team.run(watch, workload, Layout.parse(layout), settings.steps, slowed)
                alone = alone or median_interval(found.seconds).value
                shares.append(median_interval(found.waiting))
            curves.append(_curve(name, "waiting share", settings.factors, shares, layout))
    how = (*how_done(layouts), exposed_means(), _("The last rank sleeps before each step."))
    return Evidence(curves=tuple(curves), scope=scope_of(settings, bench), how=how, missing=tuple(missing))


def _curve(name: str, measure: str, x: Sequence[float], y: Sequence[Interval], layout: str) -> Curve:
    return Curve(name=name, measure=measure, x=tuple(x), y=tuple(y), labels={"layout": layout})


def exposed_means() -> Said:
    """What is counted as exposed."""
    return _("A message is exposed where all who take part in it are there and nothing else is done meanwhile.")


EXCHANGE = Experiment(
    settings=ExchangeSettings,
    run=measure_exchange,
    measures={
        "bytes sent": Axes(x=_("batch"), y=_("bytes a rank sends in a step")),
        "exposed share": Axes(x=_("batch"), y=_("exposed share of a step"), log_y=False),
    },
    full={"length": 128, "width": 256, "layers": 4, "batches": (4, 16, 64, 256), "steps": 11},
)
SLOW_RANK = Experiment(
    settings=SlowRankSettings,
    run=measure_slow_rank,
    measures={
        "waiting share": Axes(
            x=_("how many times as long a rank takes"), y=_("share of a step waited for"), log_x=False, log_y=False
        )
    },
    full={"length": 128, "width": 256, "layers": 4, "steps": 11},
)
