"""How much faster two ranks are than one, by layout, pass and batch: training, reading whole rows, single steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crossover.errors import ConfigError, LayoutError, unknown
from crossover.measure.clock import seconds_of
from crossover.measure.spread import prepare_spread
from crossover.measure.statistics import Interval, median_interval
from crossover.measure.workload import PASSES, Workload
from crossover.parallel.layout import Layout
from crossover.parallel.mesh import alone, largest, make_mesh
from crossover.study.audit.evidence import Axes, Bench, Curve, Evidence, Experiment, Stages
from crossover.study.audit.two_ranks import RankSettings, check_layouts, how_done, scope_of, sized_workload, two_ranks
from crossover.study.audit.words import Said, _

_UNSTEADY = 0.1


@dataclass(frozen=True, kw_only=True)
class SpeedSettings(RankSettings):
    """Steps on one rank and on two, for each of `passes` and `batches` (rows).

    All ranks have as many threads. Both are timed in turn, `rounds` times.
    """

    passes: tuple[str, ...] = ("train",)
    batches: tuple[int, ...] = (16,)
    length: int = 128
    width: int = 128
    rounds: int = 9

    def __post_init__(self) -> None:
        check_layouts(self.layouts, self.rounds)
        for kind in self.passes:
            if kind not in PASSES:
                raise ConfigError(unknown("pass", kind, PASSES))
        if list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 1:
            raise ConfigError(f"batches={list(self.batches)} must increase and start at 1 or more")

    def cases(self) -> Iterator[tuple[str, str, str]]:
        """Every (model, pass, layout) that there is: single steps cannot be split in time."""
        for name in self.models:
            for kind in self.passes:
                for layout in self.layouts:
                    if kind != "decode" or Layout.parse(layout).sequence == 1:
                        yield name, kind, layout


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
    """For each model, pass and layout: how many times as fast two ranks are, over the batch."""
    cases = list(settings.cases())
    stages = Stages(bench, "speed-up", len(cases) * len(settings.batches))
    curves, apart = list[Curve](), list[float]()
    with two_ranks(bench) as (team, numerics):
        for name, kind, layout in cases:
            ratios: dict[int, Interval] = {}
            for batch in settings.batches:
                stages.begin(f"{name}, {kind}, {layout}, batch {batch}")
                workload = sized_workload(name, settings, batch, numerics, kind=kind)
                if batch < Layout.parse(layout).data * Layout.parse(layout).microbatches:
                    continue
                one, both, again = team.run(compare, workload, Layout.parse(layout), settings.rounds)
                ratios[batch] = median_interval([a / b for a, b in zip(one, both, strict=True)])
                apart.append(abs(median_interval(one).value / median_interval(again).value - 1))
            if ratios:
                labels = {"layout": layout, "pass": kind}
                found = tuple(ratios.values())
                curves.append(Curve(name=name, measure="speed-up", x=tuple(ratios), y=found, labels=labels))
    if not curves:
        raise LayoutError("no batch is large enough for any of the layouts: give larger batches")
    how: list[Said] = [
        *how_done(settings),
        _("One rank and two are timed in turn, each with as many threads; the ratio is taken round by round."),
    ]
    return Evidence(
        curves=tuple(curves), scope=scope_of(settings, bench), how=tuple(how), steady=max(apart) <= _UNSTEADY
    )


SPEED_UP = Experiment(
    settings=SpeedSettings,
    run=measure_speed,
    measures={"speed-up": Axes(x=_("batch"), y=_("times as fast as one rank"), log_y=False)},
    full={"length": 512, "width": 256, "layers": 4, "rounds": 15},
)
