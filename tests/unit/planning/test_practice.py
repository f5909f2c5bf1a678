"""What a program does beside its model and layout, each thing by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.planning.job import Job
from crossover.planning.machine import load_machine
from crossover.planning.practice import OURS, Practice
from crossover.planning.predict import Planner

H100 = load_machine("h100-sxm")


def job(*, dropout: float = 0.0) -> Job:
    mixer = {"attention": {"heads": 16}}
    settings = replace(parse_model("gpt"), layers=16, width=1024, dropout=dropout, max_length=1025, mixer=mixer)
    return Job(model=settings, inputs=Tokens(vocabulary=32_000), outputs=PerStep(size=32_000), rows=64, time=1024)


def test_replicas_wait_for_the_longest_of_uneven_batches() -> None:
    uneven = Planner(job(), H100, practice=Practice(uneven=0.1))
    assert uneven.predict(Layout()).bubble_seconds == 0
    found = uneven.predict(Layout(data=8))
    # The longest of eight drawn from a normal distribution lies 1.424 standard deviations above the mean.
    assert found.bubble_seconds / found.compute_seconds == pytest.approx(0.1424, rel=0.01)


def test_what_a_program_updates_and_copies_counts_by_its_bytes() -> None:
    usual, apart = (Planner(job(), H100, practice=Practice(updated=value)) for value in (None, 80))
    assert apart.predict(Layout()).update_seconds == pytest.approx(2 * usual.predict(Layout()).update_seconds)
    copies = Planner(job(), H100, practice=Practice(copied=24, summed_each=True))
    one, four = Layout(data=2), Layout(data=2, accumulate=4)
    assert copies.predict(Layout()) == usual.predict(Layout())
    copied = copies.predict(one).compute_seconds - usual.predict(one).compute_seconds
    assert copied == pytest.approx(24 / 40 * usual.predict(Layout()).update_seconds)
    assert copies.predict(four).compute_seconds - usual.predict(four).compute_seconds == pytest.approx(4 * copied)
    assert copies.predict(four).communication_seconds > 2 * usual.predict(four).communication_seconds


def test_gradients_of_slices_are_added_up_by_a_kernel_or_by_the_products() -> None:
    apart, within = (Planner(job(), H100, practice=Practice(accumulated=value)) for value in (None, 0.0))
    assert within.predict(Layout()) == apart.predict(Layout())
    four = Layout(accumulate=4)
    kernels = apart.predict(four).compute_seconds - within.predict(four).compute_seconds
    assert kernels == pytest.approx(3 * 12 / 40 * apart.predict(Layout()).update_seconds)


def test_shards_that_are_sent_after_every_slice_are_added_up_in_shards() -> None:
    late, each = (Planner(job(), H100, practice=Practice(summed_each=value)) for value in (False, True))
    slices = Layout.parse("data=8,shard_parameters=true,accumulate=4")
    whole, shards = late.predict(slices), each.predict(slices)
    kernels = 3 * 12 / 40 * late.predict(Layout()).update_seconds
    assert whole.compute_seconds - shards.compute_seconds == pytest.approx(7 / 8 * kernels)
    assert shards.communication_seconds > whole.communication_seconds


def test_messages_behind_gradients_of_weights_are_waited_for_only_as_far_as_they_slow_these_down() -> None:
    tensor = Layout(tensor=8)
    waited, half, whole = (
        Planner(job(), H100, practice=Practice(behind_weights=share)).predict(tensor) for share in (0.0, 0.5, 1.0)
    )
    assert waited.communication_seconds > half.communication_seconds > whole.communication_seconds
    # Forward is as much as backward, and waited for in any case.
    assert whole.communication_seconds > waited.communication_seconds / 2
    assert whole.compute_seconds == half.compute_seconds == waited.compute_seconds


def test_a_block_is_computed_again_as_far_as_its_way_back_asks_for_it() -> None:
    def twice(dropout: float, practice: Practice = OURS) -> float:
        planner = Planner(job(dropout=dropout), H100, practice=practice)
        again, once = (planner.predict(Layout(recompute=kind)) for kind in ("blocks", "none"))
        return again.compute_seconds - once.compute_seconds

    whole = Practice(whole_again=True)
    last = 16 * 2 * 64 * 1024 * 1024 * 4096 / H100.rate("bf16").achievable
    assert twice(0.0, whole) - twice(0.0) == pytest.approx(last, rel=0.1)
    assert twice(0.1, whole) == pytest.approx(twice(0.1))


def test_chunks_are_computed_again_to_the_end_of_their_blocks() -> None:
    asked = replace(job(), model=replace(parse_model("lstm"), layers=4, width=512, dropout=0.0))
    ways = (Layout(recompute="chunks", chunks=4), Layout(recompute="blocks"))
    early, whole = (Planner(asked, H100, practice=Practice(whole_again=value)) for value in (False, True))
    chunks, blocks = ((early.predict(way), whole.predict(way)) for way in ways)
    assert chunks[0].compute_seconds == chunks[1].compute_seconds
    assert blocks[0].compute_seconds < blocks[1].compute_seconds
