from __future__ import annotations

from dataclasses import replace

from crossover.train.progress import Progress

PROGRESS = Progress(
    task="tiny/sign",
    model="lstm",
    seed=2,
    step=30,
    fraction=0.25,
    loss=0.5,
    rate=0.01,
    tokens_per_second=12345.6,
    seconds=10.0,
    metric="accuracy",
    validation=0.75,
)


def test_the_time_left_is_at_the_pace_so_far() -> None:
    assert PROGRESS.seconds_left == 30.0
    assert replace(PROGRESS, fraction=1.0).seconds_left == 0.0


def test_before_the_first_step_no_time_left_is_known() -> None:
    assert replace(PROGRESS, fraction=0.0, seconds=0.0).seconds_left is None
