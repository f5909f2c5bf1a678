"""``scale``: what models cost along an axis, how that grows, and where the curves cross."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from crossover.errors import ConfigError, LayoutError, unknown
from crossover.measure.clock import UNSTEADY
from crossover.measure.memory import Nursery
from crossover.measure.numerics import Numerics, check_device, choose
from crossover.measure.solvers import left_open
from crossover.measure.statistics import fit_exponent
from crossover.measure.stopwatch import Stopwatch
from crossover.measure.sweep import Point, Sweep
from crossover.measure.together import TeamStopwatch
from crossover.measure.workload import PASSES, Pass, Workload
from crossover.models.backbones import mixer_settings
from crossover.models.counting import count_parameters
from crossover.models.matching import match_parameters
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import adapt, family_of, parse_model, with_setting
from crossover.models.settings import ModelSettings
from crossover.parallel.launch import Team, devices_for
from crossover.parallel.layout import Layout
from crossover.study.axis import AXES, parse_axis
from crossover.study.crossing import find_crossings
from crossover.study.machine import machine
from crossover.study.store import VERSION, Store

MEASURES = ("time", "memory", "flops")
_MEMORY_NOISE = 0.02
"""Peak memory repeats within one per cent; curves closer than this are not told apart."""
_VOCABULARY = 256
_OWN_WIDTH = re.compile(r"[\[,]\s*width\s*=")

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ScaleRequest:
    """What is to be measured.

    Every model is a causal one over bytes (256 tokens in and out). What is not the axis stays at `length`, `width`,
    `batch` and `layers`. The first model has that width; the others get the width that gives them the same number
    of parameters (without embedding and head, within 3 %), at every value of the axis. A model whose brackets set
    its width keeps it. Along ``length`` the batch stays the same, so the work grows with the axis.
    """

    models: tuple[str, ...]
    axis: str
    values: tuple[int, ...]
    passes: tuple[Pass, ...] = ("train",)
    length: int = 256
    width: int = 128
    batch: int = 4
    layers: int = 2

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigError("no model to measure: give one or more, such as lstm,mingru,transformer")
        if len(set(self.models)) < len(self.models):
            raise ConfigError(f"models {', '.join(self.models)} name one twice: give each once")
        if self.axis not in AXES:
            raise ConfigError(unknown("axis", self.axis, AXES))
        for kind in self.passes:
            if kind not in PASSES:
                raise ConfigError(unknown("pass", kind, PASSES))
        for name in ("length", "width", "batch", "layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is not admissible: give 1 or more")

    @property
    def smallest_batch(self) -> int:
        """Rows of a batch, the fewest where they are the axis."""
        return min(self.values) if self.axis == "batch" else self.batch

    def workload(self, model: str, kind: Pass, numerics: Numerics, value: int) -> Workload:
        """The workload of `model` at `value` of the axis; ConfigError where the model does not admit it."""
        sizes = {"length": self.length, "width": self.width, "batch": self.batch, "depth": self.layers}
        sizes[self.axis] = value
        base = Workload(
            model=self._settings(self.models[0], sizes),
            inputs=Tokens(vocabulary=_VOCABULARY),
            outputs=PerStep(size=_VOCABULARY),
            numerics=numerics,
            kind=kind,
        )
        settings = self._settings(model, sizes)
        if model != self.models[0] and not _OWN_WIDTH.search(model):
            target = count_parameters(base.model, base.inputs, base.outputs, causal=True).without_embedding
            settings = match_parameters(settings, base.inputs, base.outputs, causal=True, target=target)
        return replace(base, model=settings, batch=sizes["batch"], time=sizes["length"])

    def _settings(self, model: str, sizes: Mapping[str, int]) -> ModelSettings:
        settings = adapt(parse_model(model), {"width": sizes["width"], "layers": sizes["depth"]})
        if settings.origin is not None:
            raise ConfigError(
                f"model {model!r} has a trained model's sizes: scale needs its own, name a preset instead"
            )
        if settings.causal is False:
            raise ConfigError(
                f"model {model!r} is bidirectional: scale measures causal models, leave causal=false out"
            )
        return replace(settings, dropout=0.0, max_length=max(settings.max_length, sizes["length"] + 64))


def scale(
    models: Sequence[str] = ("lstm", "mingru", "transformer"),
    axis: str = "length=64..2048",
    *,
    folder: Path,
    passes: Sequence[Pass] = ("train",),
    length: int | None = None,
    batch: int | None = None,
    width: int | None = None,
    layers: int | None = None,
    solvers: Literal["auto", "all"] = "auto",
    memory: bool = True,
    time_limit: float = 60.0,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    layout: Layout | None = None,
    numerics: Numerics | None = None,
    tell: Tell | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Measure `models` along `axis` and return the study's document, which is also ``study.json`` in `folder`.

    With `solvers` ``all`` a recurrence that can be solved in several ways is measured in each. Under a `layout` of
    several devices all ranks take every step together, and peak memory is not measured.

    Everything ends within about `time_limit` seconds, shared evenly by the passes; what there is no time for is
    null in the document, with the reason. `numerics` None chooses the policy for `device` and `precision`. A folder
    that holds this very study, finished, gives its document again. Raises ConfigError and LayoutError before any
    work, MeasurementError where a result is not finite.
    """
    started = time.monotonic()
    name, values = parse_axis(axis)
    given = {key: v for key, v in (("length", length), ("batch", batch), ("width", width), ("layers", layers)) if v}
    shown = [way for model in models for way in (in_every_way(model) if solvers == "all" else [model])]
    request = ScaleRequest(models=tuple(shown), axis=name, values=values, passes=tuple(passes), **given)
    policy = numerics or Numerics.default(check_device(device))
    layout = layout or Layout()
    for model in request.models:
        check = layout.check if request.passes == ("train",) else layout.check_inference
        check(devices_for(layout, policy.device), parse_model(model))
        for value in values:
            request.workload(model, request.passes[0], policy, value).cost()
    if layout.data > request.smallest_batch:
        raise LayoutError(
            f"data={layout.data} needs as many rows, and a batch has {request.smallest_batch}: give a larger --batch"
        )
    memory = memory and layout.devices == 1
    identity = {"request": asdict(request), "memory": memory, "device": policy.device, "precision": precision}
    identity |= {} if layout == Layout() else {"layout": str(layout)}
    store = Store.open(folder, "scale", identity)
    held = store.load()
    if held is not None and held["settings"]["finished"]:
        return held
    tell = tell or _silent
    policy = policy.apply() if numerics is not None else choose(precision, policy.device)
    tell(policy.describe())
    study = _Scaling(request, policy, store, command, started)
    study.document["settings"] |= {"memory": memory, "time_limit": time_limit, "layout": str(layout)}
    with ExitStack() as stack:
        nursery = stack.enter_context(Nursery()) if memory else None
        if nursery is not None:
            nursery.start()
        if layout != Layout():
            study.stopwatch = TeamStopwatch(stack.enter_context(Team(layout.devices)), layout)
        for index, kind in enumerate(request.passes):
            left = time_limit - (time.monotonic() - started)
            study.run(kind, nursery, left / (len(request.passes) - index), tell)
    return study.finish()


class _Scaling:
    """A scale study under way: its document is saved after every value of the axis."""

    def __init__(
        self, request: ScaleRequest, numerics: Numerics, store: Store, command: str | None, started: float
    ) -> None:
        self.request, self.numerics, self.store, self.started = request, numerics, store, started
        self.stopwatch = Stopwatch()
        self.differences: list[float] = []
        self.curves: list[dict[str, Any]] = []
        self.crossings: list[dict[str, Any]] = []
        self.document: dict[str, Any] = {
            "version": VERSION,
            "kind": "scale",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "seconds": 0.0,
            "machine": machine(numerics),
            "numerics": numerics.to_json(),
            "settings": {**asdict(request), "vocabulary": _VOCABULARY, "finished": False},
            "tasks": {},
            "table": [],
            "scale": None,
        }

    def run(self, kind: Pass, nursery: Nursery | None, time_limit: float, tell: Tell) -> None:
        """Measure one pass along the axis."""
        request = self.request
        makers = {model: partial(request.workload, model, kind, self.numerics) for model in request.models}
        sweep = Sweep(makers, nursery=nursery, time_limit=time_limit, stopwatch=self.stopwatch)
        curves, crossings = self.curves, self.crossings
        for index, value in enumerate(request.values):
            sweep.measure(value, request.values[index + 1 :])
            tell(_line(request.axis, value, kind, sweep))
            self.curves = curves + [self._curve(model, kind, points) for model, points in sweep.points.items()]
            self.crossings = crossings + _crossings(request.axis, kind, sweep.points)
            self._save()
        if sweep.pair_difference is not None:
            self.differences.append(sweep.pair_difference)

    def finish(self) -> dict[str, Any]:
        """Mark the study as finished, save and return its document."""
        self.document["settings"]["finished"] = True
        if self.differences:
            self.document["machine"]["steady"] = max(self.differences) <= UNSTEADY
            self.document["machine"]["pair_difference"] = max(self.differences)
        return self._save()

    def _save(self) -> dict[str, Any]:
        self.document["seconds"] = time.monotonic() - self.started
        self.document["scale"] = {
            "axis": self.request.axis,
            "pass": ",".join(self.request.passes),
            "curves": self.curves,
            "crossings": self.crossings,
        }
        self.store.save(self.document)
        return self.document

    def _curve(self, model: str, kind: Pass, points: Sequence[Point]) -> dict[str, Any]:
        first = self.request.workload(model, kind, self.numerics, self.request.values[0])
        count = count_parameters(first.model, first.inputs, first.outputs, causal=True)
        upper = points[-((len(points) + 1) // 2) :]
        return {
            "model": model,
            "family": family_of(first.model),
            "axis": self.request.axis,
            "pass": kind,
            "width": first.model.width,
            "parameters": count.total,
            "parameters_without_embedding": count.without_embedding,
            "points": [point.to_json() for point in points],
            "exponents": _exponents(points),
            "upper_exponents": _exponents(upper),
        }


def in_every_way(model: str) -> list[str]:
    """A model once for each solver of its recurrences, or as it is where there is no choice."""
    names, open_ = [model, model], left_open(mixer_settings(parse_model(model), causal=True))
    for mixer in open_.values():
        key, ways = "solver" if len(open_) == 1 else f"{mixer.name}.solver", ("sequential", mixer.at_once)
        names = [with_setting(name, key, way) for name, way in zip(names, ways, strict=True)]
    return list(dict.fromkeys(names))


def _silent(line: str) -> None:
    """Where nobody listens."""


def _line(axis: str, value: int, kind: Pass, sweep: Sweep) -> str:
    shown = []
    for model, points in sweep.points.items():
        shown.append(f"{model} {1e3 * points[-1].median:.3g} ms" if points[-1].seconds else f"{model} not measured")
    return f"{axis} {value}, {kind}: " + ", ".join(shown)


def _samples(measure: str, points: Sequence[Point]) -> dict[float, tuple[float, ...]]:
    """What was measured at each value of the axis; values without a measurement are left out."""
    if measure == "time":
        return {point.x: point.seconds for point in points if point.seconds}
    if measure == "memory":
        return {point.x: (float(point.peak_bytes),) for point in points if point.peak_bytes}
    return {point.x: (point.flops_forward + point.flops_backward,) for point in points}


def _exponents(points: Sequence[Point]) -> dict[str, dict[str, float] | None]:
    """Fitted exponents over `points`; None where fewer than three were measured."""
    fitted: dict[str, dict[str, float] | None] = {}
    for measure in MEASURES:
        samples = _samples(measure, points)
        middles = [sorted(sample)[len(sample) // 2] for sample in samples.values()]
        fitted[measure] = fit_exponent(list(samples), middles).to_json() if len(samples) >= 3 else None
    return fitted


def _crossings(axis: str, kind: Pass, points: Mapping[str, Sequence[Point]]) -> list[dict[str, Any]]:
    """Every pair's crossings by every measure, over the values at which both were measured."""
    found = []
    for (a, of_a), (b, of_b) in combinations(points.items(), 2):
        for measure in MEASURES:
            samples_a, samples_b = _samples(measure, of_a), _samples(measure, of_b)
            if len(samples_a.keys() & samples_b.keys()) < 2:
                continue
            noise = _MEMORY_NOISE if measure == "memory" else 0.0
            for crossing in find_crossings(samples_a, samples_b, noise=noise):
                at = crossing.at.to_json() if crossing.at is not None else None
                found.append(
                    {
                        "a": a,
                        "b": b,
                        "axis": axis,
                        "pass": kind,
                        "measure": measure,
                        "at": at,
                        "searched": list(crossing.searched),
                    }
                )
    return found
