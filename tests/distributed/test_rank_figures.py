"""A rank that is slow is waited for, and the waiting is told from the sending."""

from __future__ import annotations

import pytest
import timeline_cases
from training_cases import Training

SLEEP = 0.08
PARTS = ("compute_seconds", "communication_seconds", "wait_seconds", "bubble_seconds")


@pytest.mark.parametrize(
    ("layout", "waits"),
    [
        ("data=2", "wait_seconds"),
        ("sequence=2", "wait_seconds"),
        ("pipeline=2,microbatches=2", "bubble_seconds"),
    ],
)
def test_a_slow_rank_is_waited_for(layout, waits, on_ranks):
    case = Training("recall", "lstm", layout, batch=4)
    quick, slow = on_ranks(2, timeline_cases.slowed, case, SLEEP)[0]
    assert quick[waits] >= 0.7 * SLEEP
    assert slow["compute_seconds"] >= SLEEP
    assert slow["wait_seconds"] + slow["bubble_seconds"] < quick[waits]
    for rank in (quick, slow):
        assert sum(rank[part] for part in PARTS) == pytest.approx(rank["step_seconds"])
        assert {kind for kind, _start, _end in rank["timeline"]} >= {"forward", "backward", "update"}
        assert rank["traffic"]
        assert rank["peak_bytes"] is None or rank["peak_bytes"] > 1e8


def test_what_cannot_be_told_apart_is_left_open(on_ranks):
    case = Training("recall", "lstm", "data=2,shard_parameters=true", "adamw", batch=4)
    for rank in on_ranks(2, timeline_cases.slowed, case, 0.0)[0]:
        assert {rank[part] for part in PARTS} == {None}
        assert {sent["operation"] for sent in rank["traffic"]} >= {"all-gather", "reduce-scatter"}
