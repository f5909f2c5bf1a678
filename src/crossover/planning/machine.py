"""A machine, as a value: what it computes, moves, holds and sends, from a file in which every figure has a source.

A figure stands as ``[value, source]``, where the source is text or the key of one under ``[sources]``. A file that is
``like`` another takes what it does not give from there, and what it gives is checked together with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from crossover.config import build, load_toml
from crossover.errors import ConfigError, unknown
from crossover.planning.recurrent import RecurrentLaw

HARDWARE = Path(__file__).parent / "hardware"
"""The machines that are known by name, a file each; in ``recurrent/`` what was measured of recurrences on them."""

_AS_THEY_ARE = ("title", "kind", "recurrent")
"""What stands without a source of its own."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """FLOP/s of products of matrices in one number format: of the data sheet, and what large ones were seen to reach.

    Products of `sizes` FLOPs reach `shares` of that, where it was measured; where not, tiles and memory tell. Fused
    attention reaches `attention`, and `attention_backward` where scores are computed anew (0: as other products).
    """

    peak: float
    achievable: float
    sizes: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    attention: float = 0.0
    attention_backward: float = 0.0

    @property
    def attended(self) -> tuple[float, float]:
        """FLOP/s of fused attention, forward and backward."""
        forward = self.attention or self.achievable
        return forward, self.attention_backward or forward


@dataclass(frozen=True, kw_only=True)
class Link:
    """One tier of the network, nearest first: it joins `devices` devices (0: as many as there are).

    A device sends `bandwidth` bytes a second along it while it receives as many, in a collective of all that it
    joins; a message takes `latency` seconds besides.
    """

    name: str
    devices: int
    bandwidth: float
    latency: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Devices of one kind and what joins them.

    `memory_bandwidth` is that of the data sheet in bytes/s, `memory_share` what streaming kernels reach of it; one
    that moves `stream_sizes` bytes reaches `stream_shares` of that, where it was measured, and an exponential takes
    `function_seconds` besides. `units` is the number of tiles of a product that are computed side by side,
    `launch_seconds` what the host needs to start a kernel. `rates` and `recurrent` are by number format; what is not
    in `rates` cannot be computed. `sources` says by dotted name where each figure is from.
    """

    name: str
    title: str
    kind: Literal["gpu", "tpu", "cpu"]
    memory_bytes: float
    memory_bandwidth: float
    memory_share: float
    units: int
    launch_seconds: float
    rates: Mapping[str, Rate]
    function_seconds: float = 0.0
    stream_sizes: tuple[float, ...] = ()
    stream_shares: tuple[float, ...] = ()
    links: tuple[Link, ...] = ()
    recurrent: Mapping[str, RecurrentLaw] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self._figures():
            if not 0 < value < float("inf"):
                raise ConfigError(f"machine {self.name}: {name} is {value:g}, it must be above 0")
        if self.memory_share > 1:
            raise ConfigError(
                f"machine {self.name}: memory_share is {self.memory_share:g}: no kernel moves more than the bandwidth"
            )
        for name, rate in self.rates.items():
            if rate.achievable > rate.peak:
                raise ConfigError(
                    f"machine {self.name}: rates.{name} has a peak of {rate.peak:g} FLOP/s under the "
                    f"{rate.achievable:g} that were measured: one of the two is wrong"
                )
            if len(rate.sizes) != len(rate.shares) or not all(0 < share <= 1 for share in rate.shares):
                raise ConfigError(
                    f"machine {self.name}: rates.{name} has {len(rate.sizes)} sizes and the shares {rate.shares}: "
                    "give one above 0 and up to 1 for each size"
                )
        if len(self.stream_sizes) != len(self.stream_shares) or not all(share > 0 for share in self.stream_shares):
            raise ConfigError(
                f"machine {self.name}: {len(self.stream_sizes)} stream_sizes and the stream_shares "
                f"{self.stream_shares}: give one above 0 for each size"
            )
        joined = [link.devices for link in self.links]
        if any(not nearer or (farther and farther <= nearer) for nearer, farther in pairwise(joined)):
            raise ConfigError(
                f"machine {self.name}: its links join {joined} devices: give the nearest tier first, and devices=0 "
                "(any number) for the last alone"
            )

    def _figures(self) -> Iterator[tuple[str, float]]:
        for name in ("memory_bytes", "memory_bandwidth", "memory_share", "units", "launch_seconds"):
            yield name, getattr(self, name)
        for name, rate in self.rates.items():
            yield f"rates.{name}.peak", rate.peak
            yield f"rates.{name}.achievable", rate.achievable
        for link in self.links:
            yield f"links.{link.name}.bandwidth", link.bandwidth
            yield f"links.{link.name}.latency", link.latency

    def rate(self, precision: str) -> Rate:
        """The rate of a number format; one that the machine does not compute in is a ConfigError."""
        if precision not in self.rates:
            raise ConfigError(unknown(f"precision of {self.name}", precision, self.rates))
        return self.rates[precision]

    def recurrent_law(self, precision: str, gates: float) -> RecurrentLaw:
        """What was measured of recurrences on it, or what data sheets make of another format's or machine's.

        Cells of so many gates may have a law of their own (``"fp32/4"``), where a device has kernels of its own for
        each.
        """
        for kind in (f"{precision}/{gates:g}", precision):
            if kind in self.recurrent:
                return self.recurrent[kind]
        if self.recurrent:
            return scaled_law(self, next(iter(self.recurrent)), self, precision)
        kind = "fp32" if ELEMENT_BYTES[precision] == 4 else "fp16"
        return scaled_law(_reference(), kind, self, precision)


@cache
def _reference() -> Machine:
    """Whose recurrences are taken for those of a machine without any: the newest of which some were measured."""
    return load_machine("v100-16")


ELEMENT_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 2}
"""Of what a layer reads and writes; products of fp8 read and write 16 bits."""


def scaled_law(known: Machine, kind: str, other: Machine, precision: str) -> RecurrentLaw:
    """The law that was measured on `known` in the format `kind`, by the data sheets of both for `other`."""
    memory = known.memory_bandwidth / other.memory_bandwidth * ELEMENT_BYTES[precision] / ELEMENT_BYTES[kind]
    product = known.rate(kind).peak / other.rate(precision).peak
    return known.recurrent[kind].scaled(memory=memory, product=product)


def machine_names() -> list[str]:
    """The machines that are known by name."""
    return sorted(file.stem for file in HARDWARE.glob("*.toml"))


def load_machine(name: str | Path) -> Machine:
    """The machine of this name, or in this TOML file.

    Raises ConfigError for an unknown name, and for a file in which a figure is missing, has no source or is absurd.
    """
    file = HARDWARE / f"{name}.toml"
    if str(name) not in machine_names():
        file = Path(name)
        if file.suffix != ".toml":
            raise ConfigError(unknown("hardware", str(name), machine_names()))
    return _read(file)


def _read(file: Path) -> Machine:
    values = _merged(file, ())
    for name, what in (("sources", Mapping), ("rates", Mapping), ("links", Mapping), ("recurrent", (str, Mapping))):
        if not isinstance(values.get(name, {}), what):
            raise ConfigError(f"machine file {file}: {name}={values[name]!r} must be a table: write [{name}.…]")
    found, sources = _split_sources(values, file)
    found["links"] = [{"name": name, **link} for name, link in found.get("links", {}).items()]
    if "recurrent" in found:
        found["recurrent"], sources["recurrent"] = _laws(found["recurrent"])
    own = {entry.name: entry for entry in fields(Machine) if entry.name not in ("name", "sources")}
    for name in found:
        if name not in own:
            raise ConfigError(f"machine file {file}: {unknown('figure', name, own)}")
    for entry in own.values():
        if entry.name not in found and entry.default is entry.default_factory is MISSING:
            raise ConfigError(f"machine file {file} has no {entry.name}: add {entry.name} = [value, source]")
    return build(Machine, {**found, "name": file.stem, "sources": sources}, path=f"machine {file.stem}")


def _merged(file: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """What a file says, over what the one says that it is like."""
    own = load_toml(file)
    like = own.pop("like", None)
    if like is None:
        return own
    if like not in machine_names() or HARDWARE / f"{like}.toml" in (file, *seen):
        raise ConfigError(f"machine file {file}: " + unknown("machine to be like", str(like), machine_names()))
    base = _merged(HARDWARE / f"{like}.toml", (*seen, file))
    for name, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(name), Mapping)
        base[name] = {**base[name], **value} if both else value
    return base


def _split_sources(values: Mapping[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures without their sources, and the sources by dotted name."""
    texts, sources = values.get("sources", {}), {}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(inner, f"{path}.{name}") for name, inner in value.items()}
        if isinstance(value, str):
            return value
        if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], str) and value[1]):
            raise ConfigError(f"machine file {file}: {path}={value!r} has no source: write {path} = [value, source]")
        sources[path] = texts.get(value[1], value[1])
        return value[0]

    given = {name: value for name, value in values.items() if name != "sources"}
    found = {name: value if name in _AS_THEY_ARE else plain(value, name) for name, value in given.items()}
    return found, sources


def _laws(given: str | Mapping[str, Any]) -> tuple[dict[str, RecurrentLaw], str]:
    """The laws of recurrences by number format, and what they were fitted to: of a file by name, or as they stand."""
    name = given if isinstance(given, str) else "recurrent"
    laws = dict(load_toml(HARDWARE / "recurrent" / f"{given}.toml") if isinstance(given, str) else given)
    source = str(laws.pop("source", "not said"))
    return {format_: build(RecurrentLaw, law, path=f"{name}.{format_}") for format_, law in laws.items()}, source
