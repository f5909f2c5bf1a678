import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossover.data.batching import batch_indices, pad
from crossover.errors import ConfigError, DataError


@st.composite
def requests(draw):
    lengths = np.array(draw(st.lists(st.integers(0, 30), max_size=60)), dtype=np.int64)
    return {
        "size": len(lengths),
        "lengths": lengths,
        "batch": draw(st.integers(30, 120)),
        "by": draw(st.sampled_from(["rows", "tokens"])),
        "seed": draw(st.integers(0, 5)),
        "epoch": draw(st.integers(0, 5)),
        "shuffle": draw(st.booleans()),
    }


@settings(max_examples=150, deadline=None)
@given(requests())
def test_every_row_comes_once(request):
    batches = list(batch_indices(**request))
    rows = np.concatenate(batches) if batches else np.empty(0, dtype=np.int64)
    assert sorted(rows.tolist()) == list(range(request["size"]))


@settings(max_examples=150, deadline=None)
@given(requests(), st.integers(1, 5))
def test_shards_partition_every_global_batch(request, shards):
    whole = list(batch_indices(**request))
    parts = [list(batch_indices(**request, shard=(i, shards))) for i in range(shards)]
    assert all(len(part) == len(whole) for part in parts)
    for number, rows in enumerate(whole):
        assert np.array_equal(np.concatenate([part[number] for part in parts]), rows)


@settings(max_examples=100, deadline=None)
@given(requests(), st.integers(0, 8))
def test_start_leaves_out_exactly_the_first_batches(request, start):
    whole = list(batch_indices(**request))
    rest = list(batch_indices(**request, start=start))
    assert len(rest) == max(len(whole) - start, 0)
    assert all(np.array_equal(a, b) for a, b in zip(whole[start:], rest, strict=True))


@settings(max_examples=100, deadline=None)
@given(requests())
def test_batches_are_pure_in_their_arguments(request):
    assert [b.tolist() for b in batch_indices(**request)] == [b.tolist() for b in batch_indices(**request)]


@settings(max_examples=100, deadline=None)
@given(requests())
def test_padded_tokens_never_exceed_a_token_batch(request):
    request["by"] = "tokens"
    for rows in batch_indices(**request):
        assert len(rows) * request["lengths"][rows].max() <= request["batch"]


def test_another_epoch_or_seed_gives_another_order():
    def order(seed, epoch):
        return np.concatenate(list(batch_indices(100, batch=10, seed=seed, epoch=epoch, shuffle=True))).tolist()

    assert len({tuple(order(s, e)) for s in range(3) for e in range(3)}) == 9


def test_without_shuffling_the_order_is_kept():
    lengths = np.array([5, 1, 9, 2, 2])
    for by in ("rows", "tokens"):
        rows = list(batch_indices(5, batch=10, seed=0, epoch=0, shuffle=False, by=by, lengths=lengths))
        assert np.concatenate(rows).tolist() == [0, 1, 2, 3, 4]


def test_shuffled_token_batches_are_bucketed_by_length():
    lengths = np.random.default_rng(0).integers(1, 50, 2000)
    shape = {"batch": 500, "seed": 0, "epoch": 0, "shuffle": True, "by": "tokens", "lengths": lengths}
    padded = sum(len(rows) * lengths[rows].max() for rows in batch_indices(2000, **shape))
    assert padded < 1.05 * lengths.sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"shard": (2, 2)}, r"shard is \(2, 2\)"),
        ({"start": -1}, "start is -1"),
        ({"by": "bytes"}, "batches by 'bytes'"),
        ({"by": "tokens"}, "none given"),
        ({"by": "tokens", "lengths": np.array([1, 2, 99, 4])}, "a row has 99 tokens and a batch holds 8"),
    ],
)
def test_what_cannot_be_batched_is_refused(change, message):
    request = {"batch": 8, "seed": 0, "epoch": 0, "shuffle": False} | change
    with pytest.raises(ConfigError, match=message):
        list(batch_indices(4, **request))


def test_pad_ids():
    padded, lengths = pad([[5, 6], np.array([7]), []], multiple=4)
    assert padded.dtype == torch.int64
    assert padded.tolist() == [[5, 6, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]
    assert lengths.tolist() == [2, 1, 0]


def test_pad_values_with_channels():
    padded, lengths = pad([np.ones((2, 3)), np.full((1, 3), 2.0)], length=3)
    assert padded.shape == (2, 3, 3)
    assert padded.dtype == torch.float32
    assert padded[1].tolist() == [[2.0] * 3, [0.0] * 3, [0.0] * 3]
    assert lengths.tolist() == [2, 1]


def test_pad_an_empty_slice():
    assert pad([], length=5)[0].shape == (0, 5)
    values, lengths = pad([], length=5, channels=3)
    assert values.shape == (0, 5, 3)
    assert values.dtype == torch.float32
    assert lengths.shape == (0,)


def test_pad_refuses_longer_rows_and_other_channels():
    with pytest.raises(DataError, match="a row has 3 steps"):
        pad([[1, 2, 3]], length=2)
    with pytest.raises(DataError, match="others have 3 channels"):
        pad([np.ones((2, 3)), np.ones((2, 4))])
