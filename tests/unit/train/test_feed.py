from itertools import islice

import pytest

from crossover.errors import DataError
from crossover.train.feed import Feed
from crossover.train.settings import TrainSettings
from crossover.train.state import RunState, Work
from unit.train.tiny_task import TinyTask

SETTINGS = TrainSettings(batch=32)
WORK = Work(counted=0, rows=0, tokens=0, flops_forward=0, flops_backward=0)


def rows(feed: Feed, state: RunState, steps: int) -> list[list[tuple[int, ...]]]:
    """The rows of every global batch, in the order in which its slices hold them."""
    taken = []
    for slices in islice(feed.batches(state), steps):
        taken.append([tuple(row.tolist()) for part in slices for row in part.inputs])
        state.count_step(WORK)
    return taken


def test_every_epoch_holds_every_row_once_in_an_order_of_its_own() -> None:
    batches = rows(Feed(TinyTask(), SETTINGS, [(0, 1)]), RunState(), 6)
    first, second = ([row for batch in part for row in batch] for part in (batches[:3], batches[3:]))
    assert len(first) == 96 and sorted(first) == sorted(second) and first != second


@pytest.mark.parametrize("by_class", [False, True])
def test_the_slices_of_a_batch_hold_its_rows(by_class: bool) -> None:
    whole = rows(Feed(TinyTask(), SETTINGS, [(0, 1)]), RunState(), 3)
    parts = rows(Feed(TinyTask(), SETTINGS, [(0, 2), (1, 2)], by_class=by_class), RunState(), 3)
    assert [sorted(batch) for batch in parts] == [sorted(batch) for batch in whole]


def test_a_run_that_goes_on_reads_what_it_had_not_read() -> None:
    feed = Feed(TinyTask(), SETTINGS, [(0, 1)])
    stopped = RunState()
    began = rows(feed, stopped, 2)
    assert began + rows(feed, RunState.from_json(stopped.to_json()), 2) == rows(feed, RunState(), 4)


def test_looking_at_the_first_rows_leaves_them_to_be_read() -> None:
    feed, state = Feed(TinyTask(), SETTINGS, [(0, 1)]), RunState()
    seen = feed.first(state)
    assert seen is not None
    assert [tuple(row.tolist()) for row in seen.inputs] == rows(feed, state, 1)[0]


def test_an_empty_split_is_one_sentence() -> None:
    with pytest.raises(DataError, match="the train split of tiny/sign is empty: give more rows"):
        next(Feed(TinyTask(train=0), SETTINGS, [(0, 1)]).batches(RunState()))
