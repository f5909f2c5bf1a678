from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.errors import ConfigError
from crossover.planning.machine import load_machine
from crossover.planning.recurrent import BATCHES, PASSES, Kernel, RecurrentLaw, StepLaw, WeightsLaw, fit_law

LAW = RecurrentLaw(
    call=5e-5,
    forward=StepLaw(step=2e-5, unit=2e-11, batches=BATCHES, depth=(2e-8, 2e-8, 3e-8, 3e-8), weight=(2e-12,) * 4),
    backward=StepLaw(step=3e-5, unit=0.0, batches=BATCHES, depth=(0.0, 1e-9, 3e-9, 7e-9), weight=(2e-12,) * 4),
    weights=WeightsLaw(product=2e-14, element=1e-11, weight=1e-11),
)
KERNELS = [
    Kernel(gates=gates, hidden=hidden, batch=batch, time=time, kind=kind)
    for gates, hidden, time in [
        (1, 1760, 50),
        (4, 512, 25),
        (4, 2048, 50),
        (3, 1024, 1500),
        (3, 2816, 1),
        (4, 256, 150),
    ]
    for batch in (8, 16, 32, 64, 128)
    for kind in PASSES
]


def timed(kernels: list[Kernel], law: RecurrentLaw = LAW) -> list[Kernel]:
    return [replace(kernel, seconds=law.seconds(kernel)) for kernel in kernels]


def test_a_law_is_found_again_from_the_times_that_it_gives():
    found = fit_law(timed(KERNELS))
    for kernel in timed(KERNELS):
        assert found.seconds(kernel) == pytest.approx(kernel.seconds, rel=1e-6)


def test_a_few_wrong_times_do_not_move_the_law():
    kernels = timed(KERNELS)
    kernels[7] = replace(kernels[7], seconds=3 * kernels[7].seconds)
    kernels[40] = replace(kernels[40], seconds=kernels[40].seconds / 3)
    found = fit_law(kernels)
    right = [kernel for place, kernel in enumerate(timed(KERNELS)) if place not in (7, 40)]
    errors = sorted(abs(found.seconds(kernel) / kernel.seconds - 1) for kernel in right)
    assert errors[len(errors) // 2] < 0.01 and errors[-len(errors) // 10] < 0.05


def test_between_two_batches_a_step_lies_on_the_line_and_above_the_last_it_grows_with_the_rows():
    law = LAW.forward
    assert law.at(48, law.depth) == pytest.approx(2.5e-8)
    assert law.at(8, law.depth) == law.at(16, law.depth)
    assert law.at(256, law.weight) == pytest.approx(2 * law.weight[-1])


def test_time_is_never_linear_in_the_batch():
    one, many = (Kernel(gates=4, hidden=1024, batch=batch, time=25, kind="forward") for batch in (16, 128))
    law = load_machine("v100-16").recurrent_law("fp16", 4)
    assert law.seconds(many) < 1.6 * law.seconds(one)


@pytest.mark.parametrize(
    ("batch", "kind", "microseconds"),
    [
        (16, "forward", 49.4),
        (64, "forward", 55.6),
        (128, "forward", 65.1),
        (16, "backward", 57.2),
        (64, "weights", 13.6),
    ],
)
def test_an_lstm_of_1024_units_on_a_v100_takes_what_was_published(batch, kind, microseconds):
    """Per step, of DeepBench da81ba7820, DeepBench_NV_V100.xlsx, fp16: 25 steps."""
    law = load_machine("v100-16").recurrent_law("fp16", 4)
    kernel = Kernel(gates=4, hidden=1024, batch=batch, time=25, kind=kind)
    assert law.seconds(kernel) / 25 * 1e6 == pytest.approx(microseconds, rel=0.2)


def test_half_the_bandwidth_makes_a_step_slower_and_its_waiting_no_longer():
    slower = LAW.scaled(memory=2.0, product=1.0)
    assert slower.forward.step == LAW.forward.step and slower.call == LAW.call
    assert slower.forward.weight[0] == pytest.approx(2 * LAW.forward.weight[0])
    assert slower.weights.product == LAW.weights.product


def test_a_law_needs_every_pass_and_no_negative_constant():
    with pytest.raises(ConfigError, match="no kernel was measured for the pass 'weights'"):
        fit_law([kernel for kernel in timed(KERNELS) if kernel.kind != "weights"])
    with pytest.raises(ConfigError, match="negative constant"):
        replace(LAW.forward, step=-1.0)
    with pytest.raises(ConfigError, match="ascending order"):
        replace(LAW.forward, batches=(32, 16, 64, 128))
