"""Global batches as a pure function of (seed, epoch), cut into row slices, and padded to tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from crossover.errors import ConfigError, DataError


def batch_indices(
    size: int,
    *,
    batch: int,
    seed: int,
    epoch: int,
    shuffle: bool,
    shard: tuple[int, int] = (0, 1),
    start: int = 0,
    by: Literal["rows", "tokens"] = "rows",
    lengths: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Row indices of one epoch's batches, int64, pure in the arguments.

    Every global batch is formed first: `batch` rows, or with ``by="tokens"`` rows whose padded tokens (rows times
    the longest of `lengths`) are at most `batch`. `shard=(i, n)` then takes the i-th of n row slices, so that every
    shard sees the same number of batches; a slice may be empty. `start` leaves out the first batches. Shuffled
    token batches are bucketed by length; unshuffled ones keep the order of the rows.

    Raises ConfigError for a batch below 1, a shard out of range, and a row that alone exceeds a token batch.
    """
    if batch < 1:
        raise ConfigError(f"batch is {batch}: use at least 1")
    index, shards = _checked_place(shard, start)
    if by == "tokens":
        batches = _token_batches(_checked_lengths(lengths, size, batch), batch, _generator(seed, epoch), shuffle)
    elif by == "rows":
        order = _generator(seed, epoch).permutation(size) if shuffle else np.arange(size)
        batches = (order[first : first + batch] for first in range(0, size, batch))
    else:
        raise ConfigError(f"batches by {by!r}: use 'rows' or 'tokens'")
    return (_slice(rows, index, shards) for rows in islice(batches, start, None))


def stream_indices(
    size: int, *, streams: int, shard: tuple[int, int] = (0, 1), start: int = 0
) -> Iterator[np.ndarray]:
    """Row indices of one epoch read as parallel streams: row i of every batch follows row i of the one before it.

    The `size` rows are cut into `streams` runs of consecutive rows, the longer ones first, so that a last batch holds
    the first of them only. `shard=(i, n)` takes the i-th of n slices of the streams: every shard sees the same number
    of batches, of which a slice may be empty. `start` leaves out the first batches.

    Raises ConfigError for less than one stream, a shard out of range and a negative start.
    """
    if streams < 1:
        raise ConfigError(f"a text cannot be read as {streams} streams: use a batch of at least one row")
    index, shards = _checked_place(shard, start)
    streams = min(streams, size)
    bounds = np.arange(streams + 1) * (size // max(streams, 1))
    bounds += np.minimum(np.arange(streams + 1), size % max(streams, 1))
    own = slice(index * streams // shards, (index + 1) * streams // shards)
    first, steps = bounds[:-1], np.diff(bounds)
    return (first[own][steps[own] > step] + step for step in range(start, int(steps.max(initial=0))))


def _checked_place(shard: tuple[int, int], start: int) -> tuple[int, int]:
    index, shards = shard
    if not 0 <= index < shards:
        raise ConfigError(f"shard is {shard}: use (i, n) with 0 <= i < n")
    if start < 0:
        raise ConfigError(f"start is {start}: use 0 or more")
    return index, shards


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _slice(rows: np.ndarray, index: int, shards: int) -> np.ndarray:
    return rows[index * len(rows) // shards : (index + 1) * len(rows) // shards]


def _checked_lengths(lengths: np.ndarray | None, size: int, batch: int) -> np.ndarray:
    if lengths is None or len(lengths) != size:
        given = "none" if lengths is None else len(lengths)
        raise ConfigError(f"batches by tokens need the length of each of the {size} rows: {given} given")
    lengths = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    if size and lengths.max() > batch:
        raise ConfigError(
            f"a row has {lengths.max()} tokens and a batch holds {batch}: use a larger batch or shorter rows"
        )
    return lengths


def _token_batches(
    lengths: np.ndarray, batch: int, generator: np.random.Generator, shuffle: bool
) -> Iterator[np.ndarray]:
    """Consecutive rows while rows x longest <= batch; shuffled: sorted by length first, the batches permuted last."""
    order = np.arange(len(lengths))
    if shuffle:
        order = generator.permutation(order)
        order = order[np.argsort(lengths[order], kind="stable")]
    cuts, first, longest = [0], 0, 0
    for position, length in enumerate(lengths[order].tolist()):
        longest = max(longest, length)
        if longest * (position + 1 - first) > batch:
            cuts.append(position)
            first, longest = position, length
    batches = [order[a:b] for a, b in zip(cuts, [*cuts[1:], len(order)], strict=True) if b > a]
    if shuffle:
        batches = [batches[i] for i in generator.permutation(len(batches))]
    return iter(batches)


def pad(
    rows: Sequence[np.ndarray | Sequence[int]],
    *,
    length: int | None = None,
    multiple: int = 1,
    channels: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Rows of [T_i] ids or [T_i, C] values to one tensor, filled up with zeros, and their lengths.

    Returns ([B, T] int64 or [B, T, C] float32, lengths_B int64). T is `length`, or the longest row (at least 1),
    rounded up to `multiple`. `channels` gives C where `rows` may be empty, as a slice of a batch may be.

    Raises DataError if a row is longer than `length` or has another number of channels than the rest.
    """
    arrays = [np.asarray(row) for row in rows]
    if channels is None and arrays and arrays[0].ndim == 2:
        channels = arrays[0].shape[1]
    lengths = [len(array) for array in arrays]
    longest = max(lengths, default=0)
    if length is not None and longest > length:
        raise DataError(f"a row has {longest} steps and rows are padded to {length}: truncate it first")
    steps = -(-(length or max(longest, 1)) // multiple) * multiple
    shape = (len(arrays), steps) if channels is None else (len(arrays), steps, channels)
    padded = np.zeros(shape, dtype=np.int64 if channels is None else np.float32)
    for row, array in zip(padded, arrays, strict=True):
        if len(array) == 0:
            continue
        if array.shape[1:] != row.shape[1:]:
            raise DataError(f"a row has the shape {list(array.shape)}, others have {channels or 'no'} channels")
        row[: len(array)] = array
    return torch.from_numpy(padded), torch.tensor(lengths, dtype=torch.int64)
