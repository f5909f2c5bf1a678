"""Schedules: every action once, none before what it needs, and the bubbles that their papers state."""

from __future__ import annotations

import pytest

from crossover.errors import LayoutError
from crossover.parallel.layout import Layout
from crossover.parallel.schedule import Action, bubble, clock, in_order, make_schedule, most_in_flight

LAYOUTS = [
    Layout(pipeline=p, microbatches=m, chunks=c, schedule=name, interleave=v)
    for p in (2, 3, 4)
    for m in (1, 2, 4, 12)
    for c in (1, 3)
    for name, v in (("gpipe", 1), ("1f1b", 1), ("wavefront", 1), ("interleaved", 2), ("gpipe", 2))
    if name != "interleaved" or m % p == 0
]


def even(layout: Layout) -> dict[tuple[int, bool], float]:
    """Backward takes twice as long as forward, on every stage."""
    stages = layout.pipeline * layout.interleave
    return {(stage, forward): 1.0 if forward else 2.0 for stage in range(stages) for forward in (True, False)}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_action_is_done_once_and_after_what_it_needs(layout):
    schedule = make_schedule(layout)
    expected = {
        Action(stage, microbatch, chunk, forward)
        for stage in range(layout.pipeline * layout.interleave)
        for microbatch in range(layout.microbatches)
        for chunk in range(layout.chunks)
        for forward in (True, False)
    }
    done = in_order(schedule)
    assert len(done) == len(expected)
    assert set(done) == expected
    assert all(action.stage % layout.pipeline == rank for rank, own in enumerate(schedule.ranks) for action in own)


@pytest.mark.parametrize("name", ["gpipe", "1f1b"])
@pytest.mark.parametrize(("p", "m"), [(2, 2), (2, 8), (4, 4), (4, 16)])
def test_the_bubble_is_that_of_the_papers(name, p, m):
    layout = Layout(pipeline=p, microbatches=m, schedule=name)
    assert bubble(make_schedule(layout), even(layout)) == pytest.approx((p - 1) / (m + p - 1))


@pytest.mark.parametrize(("p", "c"), [(2, 16), (4, 8)])
def test_chunks_in_time_fill_a_pipeline_as_micro_batches_do(p, c):
    layout = Layout(pipeline=p, chunks=c)
    whole, worked = clock(make_schedule(layout), even(layout))
    assert sum(worked) / whole == pytest.approx(c * p / (c + p - 1))


def test_interleaving_makes_the_bubble_smaller():
    plain, deep = Layout(pipeline=4, microbatches=8), Layout(pipeline=4, microbatches=8, interleave=2)
    halves = {place: seconds / 2 for place, seconds in even(deep).items()}
    assert bubble(make_schedule(deep), halves) < 0.7 * bubble(make_schedule(plain), even(plain))


@pytest.mark.parametrize(("rank", "held"), [(0, 4), (1, 3), (3, 1)])
def test_one_forward_one_backward_holds_no_more_than_what_is_ahead(rank, held):
    schedule = make_schedule(Layout(pipeline=4, microbatches=12))
    assert most_in_flight(schedule.ranks[rank]) == held
    assert most_in_flight(make_schedule(Layout(pipeline=4, microbatches=12, schedule="gpipe")).ranks[rank]) == 12


def test_an_interleaved_schedule_needs_whole_groups():
    with pytest.raises(LayoutError, match="microbatches=3 is no multiple of it"):
        make_schedule(Layout(pipeline=2, interleave=2, microbatches=3))
    with pytest.raises(LayoutError, match="use interleaved"):
        make_schedule(Layout(pipeline=2, interleave=2, microbatches=2, schedule="1f1b"))
