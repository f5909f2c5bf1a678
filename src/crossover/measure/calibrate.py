"""This machine's figures as the planner reads them: products, memory, launches, recurrences and messages, measured.

What a rank on a CPU computes with is its share of the cores, so a device is that share. All ranks measure at the same
time, since they share caches and memory too. A figure is the median of repeated calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from statistics import mean, median
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from crossover.costs import Product, Shape
from crossover.measure.clock import seconds_of
from crossover.measure.numerics import Numerics, processor
from crossover.models.counting import model_cost
from crossover.models.mixers.base import Span
from crossover.models.model import build_model
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.launch import Team
from crossover.parallel.mesh import whole_world
from crossover.planning.compute import RECOMPUTED, product_seconds, stream_seconds
from crossover.planning.here import calibrated_title
from crossover.planning.machine import Link, Machine, Rate
from crossover.planning.recurrent import Kernel, RecurrentLaw, fit_law

_REPEATS = 5
_WIDTHS = (8, 16, 32, 64, 128, 256, 384)
"""Of layers whose products are timed: eight times as many rows, and four times as many columns."""
_STREAMED = tuple(1 << power for power in range(13, 24, 2))
"""Numbers that are streamed: from what the nearest cache holds to more than any does."""
_TINY = 16
"""Width and depth of a model whose kernels have next to nothing to do."""
_COLD = 1 << 25
"""Numbers that calls go round among, 128 megabytes: most of what a step reads was written long before, and no cache
has it any more.
"""
_EVALUATED = 1 << 18
"""Numbers of which a function is computed."""
_HIDDEN, _BATCHES, _STEPS = (64, 256, 512), (8, 32, 128), 32
_CELLS: dict[int, Callable[..., nn.RNNBase]] = {1: nn.RNN, 3: nn.GRU, 4: nn.LSTM}
"""By their number of gates."""
_ATTENDED = (8, 4, 256, 64)
"""Rows, heads, steps and features of a head of the attention that is timed."""
_MESSAGES = (1 << 10, 1 << 23)
"""Bytes of a small and of a large message that ranks send one another."""
_SENT, _WRITTEN = 60, 8
"""How often each is sent, and from how many places, so that no cache holds them all."""
_WORKED = (256, 256)
"""Of matrices that are multiplied between two messages: some hundred microseconds."""
_FIGURES = (
    "memory_bytes",
    "memory_bandwidth",
    "memory_share",
    "stream_sizes",
    "stream_shares",
    "function_seconds",
    "units",
    "launch_seconds",
)
"""What stands at the top of a machine's file."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def calibrate(*, devices: int = 1, threads: int | None = None) -> tuple[Machine, str]:
    """This machine as `devices` ranks have it, each with so many threads; and how it was measured.

    By itself (None) each has its share of the cores. Takes less than two minutes on two cores. Raises TrainingError
    where the ranks could not be started.
    """
    threads = threads or max(1, (os.cpu_count() or 1) // devices)
    how = f"measured by crossover calibrate on {date.today()}, torch {torch.__version__}"
    if devices == 1:
        return _measured(threads, devices), how
    with Team(devices) as team:
        machine: Machine = team.run(_measured, threads, devices)
        seconds: list[float] = team.run(_time_sums, _MESSAGES, threads)
    return replace(machine, links=(_link(devices, seconds),)), how


def _measured(threads: int, devices: int) -> Machine:
    """Every rank's part: all but the messages."""
    numerics = Numerics(threads=threads).apply()
    bandwidths = [_bandwidth(elements) for elements in _STREAMED]
    machine = Machine(
        name="this",
        title=calibrated_title(processor(), numerics.threads),
        kind="cpu",
        memory_bytes=float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // devices),
        memory_bandwidth=bandwidths[-1],
        memory_share=1.0,
        stream_sizes=tuple(float(3 * 4 * elements) for elements in _STREAMED),
        stream_shares=tuple(bandwidth / bandwidths[-1] for bandwidth in bandwidths),
        function_seconds=_function_seconds(),
        units=numerics.threads,
        launch_seconds=_launch_seconds(),
        rates={name: _rate(dtype) for name, dtype in _DTYPES.items()},
    )
    return replace(machine, recurrent=_recurrences(machine))


def to_mapping(machine: Machine, source: str) -> dict[str, Any]:
    """What the machine's file says: every figure with its source, which is one for all."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: told(inner) for key, inner in value.items()}
        return [list(value) if isinstance(value, tuple) else value, "measured"]

    laws = {name: asdict(law) for name, law in machine.recurrent.items()}
    return {
        "title": machine.title,
        "kind": machine.kind,
        **{name: told(getattr(machine, name)) for name in _FIGURES},
        "sources": {"measured": source},
        "rates": {name: told({k: v for k, v in asdict(rate).items() if v}) for name, rate in machine.rates.items()},
        "links": {link.name: told({k: v for k, v in asdict(link).items() if k != "name"}) for link in machine.links},
        "recurrent": {"source": source, **laws},
    }


def _typical(call: Callable[[], Any]) -> float:
    """Seconds of a call, in the median."""
    call()
    return median(seconds_of(call) for _ in range(_REPEATS))


def _bandwidth(elements: int) -> float:
    """Bytes a second of additions, two arrays read and one written: of small ones more than caches hold."""
    sets = [tuple(torch.ones(elements) for _ in range(3)) for _ in range(max(1, _COLD // (3 * elements)))]

    def add_up() -> None:
        for left, right, out in sets:
            torch.add(left, right, out=out)

    return 3 * 4 * elements * len(sets) / _typical(add_up)


def _function_seconds() -> float:
    """Seconds of a GELU of one number beyond those of reading it and writing the result."""
    numbers, out = torch.randn(_EVALUATED), torch.empty(_EVALUATED)
    copied = _typical(partial(torch.add, numbers, 1.0, out=out))
    return max(_typical(lambda: F.gelu(numbers)) - copied, 0.0) / _EVALUATED


def _launch_seconds() -> float:
    """Of a kernel as a step starts it, modules and autograd included: both ways through a model that has no work."""
    model = replace(parse_model("gpt"), layers=_TINY, width=_TINY, max_length=_TINY, dropout=0.0)
    ends, rows = (Tokens(vocabulary=_TINY), PerStep(size=_TINY)), Shape(batch=1, time=2)
    built, ids = build_model(model, *ends, causal=True, seed=0), torch.zeros(1, 2, dtype=torch.long)

    def both_ways() -> None:
        built(ids, None, span=Span(carry=False))[0].sum().backward()

    for _ in range(_REPEATS):
        both_ways()
    counted = model_cost(model, *ends, rows, causal=True)
    streamed = sum(t.streamed_forward.started + t.streamed_backward.started for t in counted.terms)
    # A product has two on the way back; one of attention is a kernel with all that stands between.
    products = sum(3 if term.fused else 3 * len(term.products) for term in counted.terms)
    return _typical(both_ways) / (streamed + products)


def _rate(dtype: torch.dtype) -> Rate:
    """Of the products of layers; the fastest size is the rate, and no peak is known but that."""
    rates = {}
    for width in _WIDTHS:
        flops, sets = 2 * 8 * width * width * 4 * width, _factors(width, dtype)

        def products(sets: list[tuple[Tensor, Tensor, Tensor]] = sets) -> None:
            for left, right, out in sets:
                torch.mm(left, right, out=out)

        rates[flops] = flops * len(sets) / _typical(products)
    most = max(rates.values())
    shares = tuple(rate / most for rate in rates.values())
    forward, backward = _attended(dtype)
    return Rate(
        peak=most,
        achievable=most,
        sizes=tuple(float(flops) for flops in rates),
        shares=shares,
        attention=forward,
        attention_backward=backward,
    )


def _factors(width: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What a layer of this width multiplies, and room for the product: so many that none is found in a cache."""
    rows, columns = 8 * width, 4 * width
    count = max(2, _COLD // (rows * width + width * columns + rows * columns))
    return [
        (
            torch.randn(rows, width).to(dtype),
            torch.randn(width, columns).to(dtype),
            torch.empty(rows, columns, dtype=dtype),
        )
        for _ in range(count)
    ]


def _attended(dtype: torch.dtype) -> tuple[float, float]:
    """FLOP/s of fused causal attention, forward and backward; the pairs that are masked do not count."""
    batch, heads, time, size = _ATTENDED
    q, k, v = (torch.randn(batch, heads, time, size).to(dtype).requires_grad_() for _ in range(3))
    forward, backward = list[float](), list[float]()
    for _ in range(_REPEATS):
        found: list[Tensor] = []
        forward.append(seconds_of(partial(_attend, q, k, v, found)))
        backward.append(seconds_of(partial(found[0].backward, torch.ones_like(found[0]))))
    flops = 2 * batch * heads * time * (time + 1) * size
    return flops / median(forward), RECOMPUTED * flops / median(backward)


def _attend(q: Tensor, k: Tensor, v: Tensor, found: list[Tensor]) -> None:
    found.append(F.scaled_dot_product_attention(q, k, v, is_causal=True))


def _recurrences(machine: Machine) -> dict[str, RecurrentLaw]:
    """The law of all cells together, for parts of them, and of each by itself: a CPU has a kernel for LSTMs alone."""
    kernels = list(_kernels(machine))
    own = {f"fp32/{gates}": [kernel for kernel in kernels if kernel.gates == gates] for gates in _CELLS}
    return {name: fit_law(some, _BATCHES) for name, some in {"fp32": kernels, **own}.items()}


def _kernels(machine: Machine) -> Iterator[Kernel]:
    """The fused kernels without the product of their inputs.

    A CPU's backward pass finds all gradients in one call: what it takes besides the products over all steps, which
    are those of any other layer, goes to the steps.
    """
    for gates, cell in _CELLS.items():
        for hidden in _HIDDEN:
            layer = cell(hidden, hidden, batch_first=True)
            for batch in _BATCHES:
                forward, backward = _passes(layer, torch.randn(batch, _STEPS, hidden, requires_grad=True))
                entering = Product(batch * _STEPS, hidden, gates * hidden)
                over_steps = product_seconds(machine, "fp32", Product(hidden, batch * _STEPS, gates * hidden))
                once = product_seconds(machine, "fp32", entering)
                kernel = partial(Kernel, gates=gates, hidden=hidden, batch=batch, time=_STEPS)
                least = stream_seconds(machine, 4.0 * gates * hidden**2)
                yield kernel(kind="forward", seconds=max(forward - once, least))
                yield kernel(kind="backward", seconds=max(backward - 2 * once - over_steps, least))
                yield kernel(kind="weights", seconds=over_steps)


def _passes(layer: nn.RNNBase, x_BTD: Tensor) -> tuple[float, float]:
    """Seconds of the forward and of the backward pass."""
    forward, backward = list[float](), list[float]()
    for _ in range(_REPEATS):
        outputs: list[Tensor] = []
        forward.append(seconds_of(partial(_read, layer, x_BTD, outputs)))
        backward.append(seconds_of(partial(outputs[0].backward, torch.ones_like(outputs[0]))))
    return median(forward), median(backward)


def _read(layer: nn.RNNBase, x_BTD: Tensor, outputs: list[Tensor]) -> None:
    outputs.append(layer(x_BTD)[0])


def _link(devices: int, seconds: Sequence[float]) -> Link:
    """What ranks of this machine send one another, from the seconds of sums of a small and a large tensor."""
    sent = 2 * (devices - 1) / devices
    bandwidth = sent * (_MESSAGES[-1] - _MESSAGES[0]) / max(seconds[-1] - seconds[0], 1e-9)
    hops = 2 * (devices - 1).bit_length()
    return Link(name="host", devices=0, bandwidth=bandwidth, latency=max(seconds[0], 1e-7) / hops)


def _time_sums(sizes: Sequence[int], threads: int) -> list[float]:
    """Every rank's part: the mean seconds of a sum of so many bytes, those of the first rank.

    In a step a message follows some work, after which the other ranks have to be waked up, and has just been written:
    so it is here. A step has many of them, so that the mean counts: one that has to wait takes ten times the median.
    """
    torch.set_num_threads(threads)
    world, found = whole_world(), []
    left, right = torch.ones(_WORKED), torch.ones(_WORKED)
    for size in sizes:
        tensors, taken = [torch.zeros(size // 4) for _ in range(_WRITTEN)], list[float]()
        for sent in range(_SENT + _WRITTEN):
            tensor = tensors[sent % _WRITTEN].fill_(1.0)
            torch.mm(left, right)
            taken.append(seconds_of(partial(dist.all_reduce, tensor, group=world.group)))
        found.append(mean(taken[_WRITTEN:]))
    return found
