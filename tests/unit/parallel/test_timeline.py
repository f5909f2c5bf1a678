"""Where the seconds of a step go: waiting is told from sending, and nothing is recorded unless it is watched."""

from __future__ import annotations

import pytest

from crossover.parallel.timeline import Event, TimeSplit, recorded, sent, split_time, watched, watching

TOGETHER = {"axis": "data", "key": "1//1"}
HANDED = {"axis": "pipeline", "key": "2/0>1/1"}


def test_who_comes_first_waits_and_all_send_together():
    early = [Event("forward", 0.0, 1.0), Event("all-reduce", 1.0, 1.75, **TOGETHER)]
    late = [Event("forward", 0.0, 1.5), Event("all-reduce", 1.5, 1.75, **TOGETHER)]
    assert split_time([early, late], [2.0, 2.0]) == [
        TimeSplit(compute=1.25, communication=0.25, wait=0.5, bubble=0.0),
        TimeSplit(compute=1.75, communication=0.25, wait=0.0, bubble=0.0),
    ]


def test_waiting_for_another_stage_is_the_bubble_of_a_pipeline():
    gives = [Event("send", 2.0, 2.0, **HANDED)]
    takes = [Event("receive", 1.5, 2.25, **HANDED)]
    first, second = split_time([gives, takes], [3.0, 3.0])
    assert first == TimeSplit(compute=3.0, communication=0.0, wait=0.0, bubble=0.0)
    assert second == TimeSplit(compute=2.25, communication=0.25, wait=0.0, bubble=0.5)


def test_a_message_that_was_there_already_is_not_waited_for():
    gives = [Event("send", 1.0, 1.0, **HANDED)]
    takes = [Event("receive", 2.0, 2.5, **HANDED)]
    assert split_time([gives, takes], [3.0, 3.0])[1].communication == pytest.approx(0.5)


def test_a_step_is_recorded_only_where_somebody_watches():
    with recorded("forward"):
        assert watched() is None
    with watching() as timeline, recorded("forward"):
        pass
    assert [event.kind for event in timeline.events] == ["forward"]
    assert watched() is None


class Group:
    group_name = "7"


def test_messages_of_a_group_are_told_apart_by_their_order():
    from crossover.parallel.collectives import Axis

    axis = Axis("tensor", Group(), 0, 2)
    with watching() as timeline:
        for _ in range(2):
            with recorded("all-reduce", axis):
                pass
        sent(axis, "0>1")
    assert [event.key for event in timeline.events] == ["7//1", "7//2", "7/0>1/1"]
