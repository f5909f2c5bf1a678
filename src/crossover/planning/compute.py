"""The time of a model's work on one device: products of matrices, and kernels that stream through memory.

A product runs at the rate that products of its number format reach, less what stands idle: it is cut into tiles, as
many of which are computed side by side as the device has units, so that the last round is mostly not full; and no
product is faster than memory gives it its operands and takes its result. A product inside a recurrence, one step
after the other, follows the law of `crossover.planning.recurrent` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import numpy as np

from crossover.costs import Cost, Product, Streamed, Term
from crossover.planning.machine import ELEMENT_BYTES, Machine
from crossover.planning.recurrent import Kernel, Pass

_TILE, _THIN = 128, 16
"""Rows and columns of a tile of a large product, and the fewest of one that has no more."""
RECOMPUTED = 2.5
"""FLOPs of a fused attention's backward pass over those of its forward pass: five products, two of them anew."""


@dataclass(frozen=True)
class Work:
    """Seconds that a device computes, and kernels that its host starts."""

    seconds: float = 0.0
    kernels: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.seconds + other.seconds, self.kernels + other.kernels)

    def on(self, machine: Machine) -> float:
        """Seconds in all: an accelerator computes while its host starts what comes next, a CPU does both itself."""
        starting = self.kernels * machine.launch_seconds
        return self.seconds + starting if machine.kind == "cpu" else max(self.seconds, starting)


def cost_work(machine: Machine, precision: str, cost: Cost) -> tuple[Work, Work]:
    """What a cost takes, forward and backward."""
    forward, backward = Work(), Work()
    for term in cost.terms:
        ahead, back = term_work(machine, precision, term)
        forward, backward = forward + ahead, backward + back
    return forward, backward


def term_work(machine: Machine, precision: str, term: Term) -> tuple[Work, Work]:
    """What a term takes, forward and backward."""
    forward, backward = _streamed(machine, term.streamed_forward), _streamed(machine, term.streamed_backward)
    if term.fused and term.products:
        ahead, back = _attention(machine, precision, term)
        return forward + ahead, backward + back
    into_input = term.flops_backward > term.flops_forward
    for product in term.products:
        if product.serial > 1:
            seconds = recurrence_seconds(machine, precision, product)
            forward += Work(seconds["forward"], product.count)
            backward += Work(seconds["backward"] + seconds["weights"], 2 * product.count)
            continue
        forward += Work(product_seconds(machine, precision, product), 1)
        for gradient in backward_products(product, input_gradient=into_input):
            backward += Work(product_seconds(machine, precision, gradient), 1)
    return forward, backward


def weights_seconds(machine: Machine, precision: str, cost: Cost) -> float:
    """What the products take, of the backward pass, that give the gradients of weights."""
    products = (product for term in cost.terms if not term.fused for product in term.products if product.serial == 1)
    return sum(product_seconds(machine, precision, backward_products(product)[-1]) for product in products)


def _streamed(machine: Machine, streamed: Streamed) -> Work:
    seconds = stream_seconds(machine, streamed.bytes, kernels=streamed.kernels)
    return Work(seconds + streamed.functions * machine.function_seconds, streamed.started)


def _attention(machine: Machine, precision: str, term: Term) -> tuple[Work, Work]:
    """One kernel each way; what a causal one need not compute it does not."""
    ahead, back = machine.rate(precision).attended
    flops = term.flops_forward - term.flops_skipped
    return Work(flops / ahead, 1), Work(RECOMPUTED * flops / back, 2)


def product_seconds(machine: Machine, precision: str, product: Product) -> float:
    """Seconds of a product that is not part of a recurrence."""
    rate = machine.rate(precision).achievable * filled(machine, precision, product)
    operands = product.rows * product.depth + product.depth * product.columns + product.rows * product.columns
    moved = operands * product.count * ELEMENT_BYTES[precision]
    return max(product.flops / product.serial / rate, stream_seconds(machine, moved)) * product.serial


def filled(machine: Machine, precision: str, product: Product) -> float:
    """The share of a device that a product keeps busy: as was measured, or in rounds of as many tiles as units."""
    rate = machine.rate(precision)
    if rate.sizes:
        each = product.flops / (product.count * product.serial)
        return float(np.interp(log(max(each, 1.0)), [log(size) for size in rate.sizes], rate.shares))
    if machine.kind == "cpu":
        return 1.0
    across, down = product.rows / _tile(product.rows), product.columns / _tile(product.columns)
    tiles = ceil(across) * ceil(down) * product.count
    rounds = ceil(tiles / machine.units)
    return across * down * product.count / (rounds * machine.units)


def _tile(size: int) -> int:
    return min(_TILE, max(_THIN, 1 << (size - 1).bit_length()))


def stream_seconds(machine: Machine, moved: float, *, kernels: int = 1) -> float:
    """Seconds in which kernels read and write so many bytes, all told; small ones may find them in a cache."""
    share = machine.memory_share
    if machine.stream_sizes and moved:
        each = moved / max(kernels, 1)
        share *= float(np.interp(log(each), [log(size) for size in machine.stream_sizes], machine.stream_shares))
    return moved / (machine.memory_bandwidth * share)


def backward_products(product: Product, *, input_gradient: bool = True) -> tuple[Product, ...]:
    """The products of the backward pass: of the gradient with the weights, for the input, and with the input.

    In a recurrence the first follows the steps, and the second is one product over all of them.
    """
    rows = product.rows * product.serial
    weights = Product(product.depth, rows, product.columns, count=product.count, split=product.split)
    if not input_gradient:
        return (weights,)
    turned = {"columns": "depth", "depth": "columns", "count": "count"}
    entering = Product(
        product.rows,
        product.columns,
        product.depth,
        count=product.count,
        serial=product.serial,
        split=turned[product.split],  # type: ignore[arg-type]
    )
    return entering, weights


def recurrence_seconds(machine: Machine, precision: str, product: Product) -> dict[Pass, float]:
    """Seconds of each pass of a dense recurrence whose steps multiply by `product`; directions follow one another."""
    gates = product.columns / product.depth
    law = machine.recurrent_law(precision, gates)

    def of(kind: Pass) -> float:
        kernel = Kernel(gates=gates, hidden=product.depth, batch=product.rows, time=product.serial, kind=kind)
        return law.seconds(kernel) * product.count

    return {"forward": of("forward"), "backward": of("backward"), "weights": of("weights")}
