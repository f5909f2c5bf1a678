from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.costs import Cost, Product, Term, flops_of
from crossover.planning.compute import (
    backward_products,
    filled,
    product_seconds,
    recurrence_seconds,
    stream_seconds,
    term_work,
    weights_seconds,
)
from crossover.planning.machine import load_machine
from crossover.planning.recurrent import Kernel

A100, H100 = load_machine("a100-80"), load_machine("h100-sxm")


@pytest.mark.parametrize(
    ("machine", "rows", "depth", "columns", "milliseconds"),
    [
        (A100, 4096, 4096, 12288, 1.857),
        (A100, 4096, 4096, 4096, 0.600),
        (A100, 4096, 4096, 22016, 3.279),
        (A100, 4096, 11008, 4096, 1.560),
        (A100, 2048, 4096, 22016, 1.689),
        (A100, 2048, 11008, 4096, 0.849),
        (A100, 8, 4096, 12288, 0.063),
        (A100, 8, 4096, 22016, 0.111),
        (A100, 1, 11008, 4096, 0.060),
        (H100, 4096, 8192, 10240, 0.980),
        (H100, 4096, 8192, 8192, 0.789),
        (H100, 4096, 8192, 57344, 5.636),
        (H100, 4096, 28672, 8192, 2.586),
    ],
)
def test_a_product_takes_what_was_published(machine, rows, depth, columns, milliseconds):
    """vidur, data/profiling/compute, mlp.csv of Llama-2-7b on an A100 and of Llama-2-70b on an H100, fp16."""
    found = product_seconds(machine, "fp16", Product(rows, depth, columns))
    assert found * 1e3 == pytest.approx(milliseconds, rel=0.12)


def test_a_product_of_few_rows_waits_for_its_weights_and_one_of_many_is_computed():
    few, many = Product(1, 4096, 4096), Product(4096, 4096, 4096)
    assert product_seconds(A100, "bf16", few) == pytest.approx(stream_seconds(A100, 2 * (4096**2 + 2 * 4096)))
    assert product_seconds(A100, "bf16", many) > 5 * stream_seconds(A100, 6 * 4096**2)


def test_gradients_of_weights_are_half_of_the_backward_pass():
    products = (Product(8192, 4096, 4096), Product(8192, 4096, 8192))
    flops = flops_of(products)
    term = Term(name="", flops_forward=flops, flops_backward=2 * flops, products=products)
    _, backward = term_work(H100, "bf16", term)
    assert weights_seconds(H100, "bf16", Cost.of(term)) == pytest.approx(backward.seconds / 2, rel=0.05)


def test_the_last_round_of_tiles_is_what_stands_idle():
    machine = replace(A100, units=100)
    full, one_more = Product(1280, 64, 1280), Product(1280, 64, 1281)
    assert filled(machine, "bf16", full) == 1.0
    assert filled(machine, "bf16", one_more) == pytest.approx(1281 / 2560)
    assert filled(machine, "bf16", Product(128, 64, 128, count=50)) == 0.5
    assert filled(load_machine("cpu"), "fp32", one_more) == 1.0


def test_where_rates_were_measured_by_size_they_are_taken_from_there():
    rate = replace(A100.rates["bf16"], sizes=(1e6, 1e8), shares=(0.2, 0.8))
    machine = replace(A100, rates={"bf16": rate})
    assert filled(machine, "bf16", Product(10, 10, 10)) == pytest.approx(0.2)
    assert filled(machine, "bf16", Product(100, 500, 100, count=7)) == pytest.approx(0.5)
    assert filled(machine, "bf16", Product(4096, 4096, 4096)) == pytest.approx(0.8)


def test_the_backward_pass_has_the_flops_of_two_forward_ones():
    product = Product(64, 32, 48, count=3, split="depth")
    assert flops_of(backward_products(product)) == 2 * product.flops
    (weights,) = backward_products(product, input_gradient=False)
    assert (weights.rows, weights.depth, weights.columns) == (32, 64, 48)


def test_of_a_recurrence_only_the_steps_follow_one_another():
    product = Product(16, 512, 2048, serial=100)
    entering, weights = backward_products(product)
    assert (entering.serial, weights.serial) == (100, 1)
    assert weights.depth == 1600 and flops_of((entering, weights)) == 2 * product.flops


def test_a_recurrence_follows_its_own_law_and_not_that_of_products():
    machine, product = load_machine("v100-16"), Product(16, 1024, 4096, serial=25)
    found = recurrence_seconds(machine, "fp16", product)
    kernel = Kernel(gates=4, hidden=1024, batch=16, time=25, kind="forward")
    assert found["forward"] == machine.recurrent_law("fp16", 4).seconds(kernel)
    assert found["forward"] > 3 * product_seconds(machine, "fp16", product)
    both = recurrence_seconds(machine, "fp16", replace(product, count=2))
    assert both["backward"] == pytest.approx(2 * found["backward"])
