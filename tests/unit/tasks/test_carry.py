"""A text read as streams: what a batch continues, whose state is carried, and what is scored where."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossover.data.options import DataOptions
from crossover.errors import ConfigError
from crossover.models.mixers import MIXERS
from crossover.models.presets import parse_model
from crossover.tasks.base import Batch
from crossover.tasks.carry import carries
from crossover.tasks.language.modeling import LanguageModeling, own
from crossover.testing import check_task

TEXT = "".join(f"line {i}: the quick brown fox jumps over {i * i} lazy dogs.\n" for i in range(120))


def built(folder: Path, **settings: Any) -> LanguageModeling:
    path = folder / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return own(DataOptions(data=str(path), settings={"block": 16, "carry": True, **settings}))


def read(task: LanguageModeling, split: str, *, streams: int, **given: Any) -> list[Batch]:
    return list(task.batches(split, seed=0, epoch=0, batch=streams, **given))


def joined(batches: list[Batch], row: int) -> list[int]:
    """What stands in one row of all batches, one after the other."""
    rows = [batch.inputs[row, : batch.lengths_B[row]] for batch in batches if batch.size > row]
    return torch.cat(rows).tolist()


@pytest.mark.parametrize("streams", [1, 3, 7])
def test_every_row_goes_on_where_it_stopped_and_all_together_are_the_text(tmp_path: Path, streams: int) -> None:
    task = built(tmp_path)
    for split in ("train", "valid", "test"):
        batches = read(task, split, streams=streams)
        assert [batch.continues for batch in batches] == [False] + [True] * (len(batches) - 1)
        assert {batch.size for batch in batches[:-1]} == {streams} and batches[-1].size <= streams
        text = [token for row in range(streams) for token in joined(batches, row)]
        tokens = task.splits[split].tokens
        assert text == tokens[len(tokens) - 1 - len(text) : -1].tolist()
        assert len(text) > len(tokens) - 1 - 16, "train may leave out less than a block at its beginning"


def test_the_last_batch_holds_the_streams_that_have_not_ended_and_a_ragged_end(tmp_path: Path) -> None:
    task = built(tmp_path)
    batches = read(task, "test", streams=5)
    blocks = task.size("test")
    assert batches[-1].size == blocks % 5 > 0
    ends = torch.cat([batch.lengths_B[batch.rows_B == blocks - 1] for batch in batches])
    assert 0 < int(ends) < 16, "the text ends within a block"


def test_slices_keep_their_streams_to_the_end(tmp_path: Path) -> None:
    task = built(tmp_path)
    whole = read(task, "train", streams=7)
    for parts in (2, 3, 10):
        slices = [read(task, "train", streams=7, shard=(index, parts)) for index in range(parts)]
        assert {len(part) for part in slices} == {len(whole)}
        for step, batch in enumerate(whole):
            assert torch.cat([part[step].rows_B for part in slices]).tolist() == batch.rows_B.tolist()
        for part in slices:
            for before, after in pairwise(part):
                assert (before.rows_B[: after.size] + 1).tolist() == after.rows_B.tolist()


def test_a_start_continues_and_tokens_are_as_many_streams_as_they_hold(tmp_path: Path) -> None:
    task = built(tmp_path)
    whole, rest = read(task, "train", streams=4), read(task, "train", streams=4, start=3)
    assert rest[0].continues and torch.equal(rest[0].inputs, whole[3].inputs) and len(rest) == len(whole) - 3
    by_tokens = read(task, "train", streams=4 * 16 + 5, by="tokens")
    assert all(torch.equal(ours.inputs, theirs.inputs) for ours, theirs in zip(by_tokens, whole, strict=True))
    with pytest.raises(ConfigError, match="cannot be read as 0 streams"):
        read(task, "train", streams=15, by="tokens")


def test_a_score_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    task = built(tmp_path)
    rows = [[batch.rows_B.tolist() for batch in read(task, "valid", streams=streams)] for streams in (8, 24, 100)]
    assert rows[0] == rows[1] == rows[2]


def test_without_carry_no_batch_continues_another(tmp_path: Path) -> None:
    task = built(tmp_path, carry=False)
    assert task.spec.carry == "none" and not any(batch.continues for batch in read(task, "train", streams=4))


def test_a_task_read_as_streams_conforms(tmp_path: Path) -> None:
    assert not [result for result in check_task(built(tmp_path)) if not result.passed]


@pytest.mark.parametrize("name", ["lstm", "mingru", "transformer-xl", "window-transformer", "lstm+xl-attention"])
def test_models_with_a_state_of_fixed_size_carry_it(tmp_path: Path, name: str) -> None:
    assert carries(built(tmp_path).spec, parse_model(name))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("transformer", r"the state of attention grows with every step; take a model of elman, .*xl-attention"),
        ("lstm+attention", "the state of attention grows"),
        ("gpt", "the state of attention grows"),
        ("transformer-xl[positions=learned,max_length=99]", "its learned positions end at max_length=99"),
    ],
)
def test_other_models_are_refused_or_start_anew(tmp_path: Path, name: str, sentence: str) -> None:
    spec, model = built(tmp_path).spec, parse_model(name)
    with pytest.raises(ConfigError, match=sentence):
        carries(spec, model)
    assert not carries(replace(spec, carry="able"), model)
    assert not carries(replace(spec, carry="none"), model)


def test_all_but_plain_attention_have_a_state_of_fixed_size() -> None:
    assert [name for name in MIXERS.names() if MIXERS.get(name).state_grows] == ["attention"]


def test_losses_are_told_by_position_in_the_block(tmp_path: Path) -> None:
    task = built(tmp_path)
    batch = read(task, "test", streams=1)[-1]
    assert batch.lengths_B.tolist() < [16]
    outputs = torch.randn(1, batch.inputs.shape[1], task.vocabulary.size, generator=torch.Generator().manual_seed(0))
    items = task.metrics(outputs, batch)
    np.testing.assert_allclose(items["loss_by_position"].sum(1), items["loss"], rtol=1e-5)
    np.testing.assert_array_equal(items["count_by_position"].sum(1), items["count"])
    told = task.details({name: np.repeat(values, 3, axis=0) for name, values in items.items()})["by_position"]
    assert [(part["from"], part["to"]) for part in told][:4] == [(1, 1), (2, 2), (3, 4), (5, 8)]
    first = -outputs[0, 0].log_softmax(-1)[batch.targets[0, 0]]
    assert told[0]["loss"] == pytest.approx(float(first), rel=1e-5) and told[0]["count"] == 3
