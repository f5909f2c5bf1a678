"""The time of a model's work on one device: products of matrices, and kernels that stream through memory.

A product runs at the rate that products of its number format reach, less what stands idle: it is cut into tiles, as
many of which are computed side by side as the device has units, so that the last round is mostly not full; and no
product is faster than memory gives it its operands and takes its result. A product inside a recurrence, one step
after the other, follows the law of `crossover.planning.recurrent` instead.
"""

from __future__ import annotations

from math import ceil, log

import numpy as np

from crossover.costs import Product
from crossover.planning.machine import ELEMENT_BYTES, Machine
from crossover.planning.recurrent import Kernel, Pass

_TILE, _THIN = 128, 16
"""Rows and columns of a tile of a large product, and the fewest of one that has no more."""


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


def stream_seconds(machine: Machine, moved: float) -> float:
    """Seconds in which a kernel reads and writes so many bytes, all told."""
    return moved / (machine.memory_bandwidth * machine.memory_share)


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
    law = machine.recurrent_law(precision)

    def of(kind: Pass) -> float:
        gates = product.columns // product.depth
        kernel = Kernel(gates=gates, hidden=product.depth, batch=product.rows, time=product.serial, kind=kind)
        return law.seconds(kernel) * product.count

    return {"forward": of("forward"), "backward": of("backward"), "weights": of("weights")}
