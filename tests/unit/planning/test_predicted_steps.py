from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from crossover.errors import ConfigError, LayoutError
from crossover.models.ports import PerStep, Tokens
from crossover.models.presets import parse_model
from crossover.parallel.layout import Layout
from crossover.parallel.schedule import clock, in_flight, make_schedule, most_in_flight
from crossover.planning.explain import explain
from crossover.planning.job import Job
from crossover.planning.machine import load_machine
from crossover.planning.predict import Planner
from crossover.planning.search import search

H100 = load_machine("h100-sxm")
TOKENS = Tokens(vocabulary=32_000)


def job(
    name: str = "gpt", *, rows: int = 64, time: int = 1024, layers: int = 16, width: int = 1024, **rest: object
) -> Job:
    mixer = {"attention": {"heads": 16}} if name in ("gpt", "transformer") else {}
    settings = replace(parse_model(name), layers=layers, width=width, dropout=0.0, max_length=time + 1, mixer=mixer)
    return Job(model=settings, inputs=TOKENS, outputs=PerStep(size=32_000), rows=rows, time=time, **rest)  # type: ignore[arg-type]


def predicted(layout: str, **changes: object):
    return Planner(job(**changes), H100).predict(Layout.parse(layout))  # type: ignore[arg-type]


def test_the_parts_of_a_step_add_up_to_it() -> None:
    found = predicted("data=2,pipeline=2,tensor=2,microbatches=4")
    parts = found.compute_seconds + found.communication_seconds + found.bubble_seconds + found.update_seconds
    assert found.step_seconds == pytest.approx(parts)
    low, high = found.interval
    assert low < found.step_seconds < high


def test_one_device_waits_for_nobody() -> None:
    found = predicted("single")
    assert found.communication_seconds == found.bubble_seconds == 0
    assert 0.1 < found.utilisation < 0.9


@pytest.mark.parametrize("axis", ["data", "tensor", "pipeline", "sequence"])
def test_more_ranks_take_less_time_each_and_more_in_all(axis: str) -> None:
    single = predicted("single").step_seconds
    found = predicted(f"{axis}=4" + (",microbatches=16" if axis == "pipeline" else "")).step_seconds
    assert single / 4 < found < single


@pytest.mark.parametrize("axis", ["data", "tensor", "pipeline"])
def test_memory_falls_with_what_is_shared_out(axis: str) -> None:
    assert predicted(f"{axis}=4").memory.total < predicted("single").memory.total


def test_on_a_cpu_an_lstm_holds_what_it_wrote_and_one_block_of_what_it_will_write() -> None:
    asked, cpu = job("lstm", layers=8, time=256), replace(load_machine("cpu"), rates=H100.rates)
    there, set_aside = (Planner(asked, machine).predict(Layout()).memory for machine in (cpu, H100))
    unwritten = sum(cost.unwritten_bytes for cost in asked.blocks(asked.rows))
    assert set_aside.activations - there.activations == pytest.approx(unwritten)
    assert there.buffers == pytest.approx(max(set_aside.buffers, unwritten / 8))
    again = Layout(recompute="blocks")
    there, set_aside = (Planner(asked, machine).predict(again).memory for machine in (cpu, H100))
    assert there.total == pytest.approx(set_aside.total), "the one block that is there is counted whole, and once"


def test_eight_bits_are_those_of_blocks_and_leave_the_ends_in_sixteen() -> None:
    halves, eighths = (Planner(job(precision=name), H100) for name in ("bf16", "fp8"))
    assert eighths.predict(Layout()).compute_seconds < halves.predict(Layout()).compute_seconds
    reasons = [
        {each.name: each for each in explain(planner, planner.predict(Layout()))} for planner in (halves, eighths)
    ]
    assert reasons[0]["head"] == reasons[1]["head"]
    assert "720 TFLOP/s" in reasons[0]["output"].numbers and "1262 TFLOP/s" in reasons[1]["output"].numbers


def test_recompute_trades_time_for_memory() -> None:
    plain, again = predicted("single"), predicted("recompute=blocks")
    assert again.memory.activations < plain.memory.activations / 3
    assert 1.15 < again.compute_seconds / plain.compute_seconds < 1.4


def test_chunks_computed_again_leave_one_of_them_and_what_enters_and_leaves_all_blocks_with_gradients() -> None:
    few = replace(job("lstm", time=16_384), inputs=Tokens(vocabulary=32), outputs=PerStep(size=32))
    ways = ("single", "recompute=chunks,chunks=16")
    plain, again = (Planner(few, H100).predict(Layout.parse(way)) for way in ways)
    whole = 2 * 64 * 16_384 * 1024 * 4
    assert again.memory.activations == pytest.approx(plain.memory.activations / 16 + 2 * whole, rel=0.05)
    assert again.compute_seconds > 1.15 * plain.compute_seconds


def test_parameters_in_shards_are_held_once_by_all_ranks() -> None:
    whole, shards = predicted("data=8"), predicted("data=8,shard_parameters=true")
    assert shards.memory.parameters == pytest.approx(whole.memory.parameters / 8)
    assert shards.memory.optimizer == pytest.approx(whole.memory.optimizer / 8)


def test_a_recurrence_is_never_linear_in_the_batch() -> None:
    few = Planner(job("lstm", rows=16, layers=2), H100).predict(Layout()).step_seconds
    many = Planner(job("lstm", rows=64, layers=2), H100).predict(Layout()).step_seconds
    assert many < 2.5 * few


def test_a_state_that_is_handed_on_leaves_ranks_waiting_less_the_more_micro_batches_there_are() -> None:
    few, many = (predicted(f"sequence=4,microbatches={count}", name="lstm", layers=4) for count in (1, 4))
    assert few.bubble_seconds > many.bubble_seconds > 0


def test_replicas_that_average_rarely_wait_less() -> None:
    every, rarely = predicted("data=16"), predicted("data=16,synchronise=64")
    assert rarely.communication_seconds < every.communication_seconds


def test_decoding_reads_the_weights_once_a_step_whatever_the_batch() -> None:
    one, many = (predicted("single", rows=rows, kind="decode") for rows in (1, 8))
    assert many.step_seconds < 1.5 * one.step_seconds
    assert one.memory.gradients == one.memory.optimizer == 0


def test_what_a_state_needs_grows_with_the_length_for_attention_alone() -> None:
    def state(name: str, time: int) -> float:
        return predicted("single", name=name, time=time, kind="decode").memory.activations

    assert state("gpt", 2048) > 1.9 * state("gpt", 1024)
    assert state("lstm", 2048) == state("lstm", 1024)


SCHEDULES = [
    Layout.parse(f"pipeline={p},microbatches={m}{extra}")
    for p, m, extra in [
        *product((2, 4, 8), (1, 4, 8, 32), ("", ",schedule=gpipe")),
        *product((2, 4), (4, 8), (",interleave=2", ",interleave=4")),
        *product((2, 4), (1, 2), (",chunks=4", ",chunks=16")),
    ]
]


@pytest.mark.parametrize("layout", SCHEDULES, ids=str)
def test_in_flight_is_what_the_schedule_holds(layout: Layout) -> None:
    schedule = make_schedule(layout)
    for rank, actions in enumerate(schedule.ranks):
        assert in_flight(layout, rank) == most_in_flight(actions)


@pytest.mark.parametrize("layout", SCHEDULES, ids=str)
def test_a_pipeline_takes_what_its_schedule_takes(layout: Layout) -> None:
    """Of equal stages to 1 %; the formula has no actions to play."""
    planner = Planner(job(rows=32, time=1024, layers=32, width=512), H100)
    stages = planner._stages(layout)
    even = {name: float(stages[name].mean()) for name in ("forward", "backward")}
    for name, value in even.items():
        stages[name][:] = value
        stages[f"{name}_messages"][:] = 0
    each = planner._computing(layout, stages.ranks(layout.pipeline))
    actions = layout.microbatches * layout.chunks
    filling = planner._filling(layout, stages, each, 0) - planner._between_stages(layout) * (layout.pipeline - 1)
    schedule = make_schedule(layout)
    seconds = {
        (stage, ahead): even["forward" if ahead else "backward"]
        for stage in range(schedule.stages)
        for ahead in (True, False)
    }
    whole, _ = clock(schedule, seconds)
    assert float(each[0]) * actions + filling == pytest.approx(whole, rel=0.01)


def test_a_job_of_no_rows_or_of_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="rows=0 must be 1 or more"):
        job(rows=0)
    with pytest.raises(ConfigError, match="precision"):
        job(precision="fp7")
    with pytest.raises(ConfigError, match="pass"):
        job(kind="dream")


def test_the_search_ranks_every_legal_layout_by_its_seconds() -> None:
    found = search(Planner(job(), H100), 8)
    seconds = [each.step_seconds for each in found.ranked]
    assert seconds == sorted(seconds) and len(found.ranked) > 10
    assert all(each.layout.devices == 8 and each.fits for each in found.ranked)
    assert not any(each.layout.reasons(8, job().model, job().spec) for each in found.ranked)


def test_what_is_pinned_stays() -> None:
    found = search(Planner(job(), H100), 8, fixed=Layout(tensor=2, recompute="blocks"))
    assert {each.layout.tensor for each in found.ranked} == {2}
    assert {each.layout.recompute for each in found.ranked} == {"blocks"}


def test_where_memory_is_short_the_best_layout_saves_some() -> None:
    planner = Planner(job(layers=32, width=4096), H100)
    found = search(planner, 8)
    assert found.best is not None and found.best.fits and found.too_large


def test_long_rows_that_do_not_fit_are_cut_into_chunks_where_the_state_can_be_carried() -> None:
    recurrent = search(Planner(job("mingru", rows=1, time=131_072, layers=96), H100), 1)
    assert recurrent.best is not None and recurrent.best.layout.recompute == "chunks"
    attending = search(Planner(job("gpt", rows=1, time=131_072, layers=96), H100), 1)
    assert {each.layout.recompute for each in attending.ranked} <= {"none", "blocks"}


def test_no_legal_layout_names_a_number_of_devices_that_has_one() -> None:
    with pytest.raises(LayoutError, match=r"17 devices can be used: .*one of 16 can: give --devices 16"):
        search(Planner(job("lstm", rows=1, layers=1, causal=False), H100), 17)


def test_degrees_that_are_pinned_name_the_number_of_devices_that_they_need() -> None:
    with pytest.raises(LayoutError, match=r"tensor=4 make 2 devices; one of 4 can: give --devices 4"):
        search(Planner(job(), H100), 2, fixed=Layout(tensor=4))
    with pytest.raises(LayoutError, match=r"tensor=7 make 2 devices; nor one of any other .*leave more of --layout"):
        search(Planner(job(), H100), 2, fixed=Layout(tensor=7))


def test_a_form_that_a_model_cannot_have_is_refused_with_its_reason() -> None:
    with pytest.raises(LayoutError, match=r"no layout of 1 devices can be used: .* grows with the row"):
        search(Planner(job("gpt"), H100), 1, fixed=Layout(recompute="chunks", chunks=8))
