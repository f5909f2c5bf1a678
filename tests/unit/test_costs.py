from __future__ import annotations

import pytest

from crossover.costs import Cost, Execution, Product, Shape, Term, flops_of

PRODUCT = Term(name="product", flops_forward=10, flops_backward=20, flops_skipped=3, parameters=5, activation_bytes=7)
LOOP = Term(name="loop", flops_forward=1, state_bytes=16, serial_steps=64, scales_with=("batch", "time"))


def test_costs_add_up() -> None:
    whole = Cost.of(PRODUCT) + Cost.of(LOOP)
    assert whole == Cost.of(PRODUCT, LOOP) == Cost.sum([Cost.of(PRODUCT), Cost(), Cost.of(LOOP)])
    assert (whole.flops_forward, whole.flops_backward, whole.flops_skipped) == (11, 20, 3)
    assert (whole.parameters, whole.activation_bytes, whole.state_bytes, whole.serial_steps) == (5, 7, 16, 64)


def test_nothing_costs_nothing() -> None:
    empty = Cost.sum([])
    assert empty == Cost() and empty.flops_forward == empty.parameters == empty.serial_steps == 0


def test_the_parts_of_a_sum_keep_their_names() -> None:
    whole = Cost.sum([Cost.of(PRODUCT)] * 3)
    assert [term.name for term in whole.terms] == ["product"] * 3
    assert whole.flops_forward == 30


def test_values_cannot_be_changed() -> None:
    for value in (Shape(batch=1, time=2), Execution(), PRODUCT, Cost.of(LOOP)):
        with pytest.raises(AttributeError):
            value.batch = 3  # type: ignore[union-attr]
    assert Shape(batch=1, time=2).context == 0


def test_a_product_counts_every_multiply_add_of_every_repetition_as_two() -> None:
    product = Product(3, 5, 7, count=2, serial=4)
    assert product.flops == 2 * 3 * 5 * 7 * 2 * 4
    assert flops_of([product, Product(1, 1, 1)]) == product.flops + 2
