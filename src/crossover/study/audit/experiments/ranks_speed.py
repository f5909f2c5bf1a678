"""How much faster several ranks are than one, by layout, pass and batch: training, reading rows, single steps."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from statistics import median

from crossover.errors import ConfigError, LayoutError, unknown
from crossover.measure.clock import UNSTEADY, seconds_of
from crossover.measure.spread import prepare_spread
from crossover.measure.statistics import Interval
from crossover.measure.workload import PASSES, Workload
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import alone, largest, make_mesh
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Label, Stages
from crossover.study.audit.experiments.predicted import Foreseen, foretell, speed_up
from crossover.study.audit.experiments.several_ranks import (
    RankSettings,
    check_layouts,
    each_case,
    here_and_not,
    how_done,
    ratio_beside,
    scope_of,
    sized_workload,
)
from crossover.study.audit.words import _


@dataclass(frozen=True, kw_only=True)
class SpeedSettings(RankSettings):
    """Steps on one rank and on several, for each of `passes` and `batches` (rows).

    All ranks have as many threads. Both are timed in turn, `rounds` times.
    """

    passes: tuple[str, ...] = ("train",)
    batches: tuple[int, ...] = (16,)
    length: int = 128
    width: int = 128
    rounds: int = 9
    foreseen: Foreseen = field(default_factory=Foreseen)

    def __post_init__(self) -> None:
        check_layouts(self.layouts, self.rounds)
        for kind in self.passes:
            if kind not in PASSES:
                raise ConfigError(unknown("pass", kind, PASSES))
        if list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 1:
            raise ConfigError(f"batches={list(self.batches)} must increase and start at 1 or more")


def compare(workload: Workload, layout: Layout, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """On every rank: seconds of the first rank by itself, of all together, and of the first again, in turn."""
    workload.numerics.apply()
    mesh = make_mesh(layout)
    together, by_itself = prepare_spread(workload, layout, mesh), prepare_spread(workload, Layout(), alone())
    taken: tuple[list[float], list[float], list[float]] = ([], [], [])
    for done in range(rounds + 1):
        for place, step in enumerate((by_itself, together, by_itself)):
            largest([0.0], mesh.world)
            works = place == 1 or mesh.leads
            (slowest,) = largest([seconds_of(step) if works else 0.0], mesh.world)
            if done:  # the first round warms up
                taken[place].append(slowest)
    return taken


def measure_speed(settings: SpeedSettings, bench: Bench) -> Evidence:
    """For each model, pass and layout: how many times as fast its ranks are as one, over the batch."""
    layouts, missing = here_and_not(settings.layouts)
    stages = Stages(bench, "speed-up", len(settings.models) * len(layouts) * len(settings.passes))
    curves, apart = list[Curve](), list[float]()
    with closing(each_case(bench, settings.models, layouts)) as cases:
        for layout, name, team, numerics in cases:
            for kind in settings.passes:
                stages.begin(f"{name}, {kind}, {layout}")
                spread, ratios = Layout.parse(layout), dict[int, Interval]()
                for batch in _batches(settings, spread, kind):
                    workload = sized_workload(name, settings, batch, numerics, kind=kind)
                    one, together, again = team.run(compare, workload, spread, settings.rounds)
                    ratios[batch], difference = ratio_beside(one, together, again)
                    apart.append(difference)
                if ratios:
                    labels: dict[str, Label] = {"layout": layout, "pass": kind}
                    found = tuple(ratios.values())
                    curves.append(Curve(name=name, measure="speed-up", x=tuple(ratios), y=found, labels=labels))
    if layouts and not curves:
        raise LayoutError("no batch is large enough for any of the layouts: give larger batches")
    means = _("One rank and all are timed in turn, each with as many threads; the ratio is taken round by round.")
    return Evidence(
        curves=tuple(curves),
        scope=scope_of(settings, bench),
        how=(*how_done(layouts), means),
        steady=median(apart) <= UNSTEADY if apart else None,
        missing=tuple(missing),
        foretold=foretell(settings.foreseen, speed_up, _("times as fast as one rank")),
    )


def _batches(settings: SpeedSettings, layout: Layout, kind: str) -> list[int]:
    """Those that have a row for every replica and micro-batch; single steps cannot be split in time."""
    if kind == "decode" and layout.sequence > 1:
        return []
    return [batch for batch in settings.batches if batch >= layout.data * layout.microbatches]


SPEED_UP = Experiment(
    settings=SpeedSettings,
    run=measure_speed,
    measures={"speed-up": Axes(x=_("batch"), y=_("times as fast as one rank"), log_y=False)},
    full={"length": 512, "width": 256, "layers": 4, "rounds": 15},
)
